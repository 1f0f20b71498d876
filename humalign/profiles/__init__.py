"""Profiles: the settings of a run. A profile is data; code and notebooks are the same for all."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import typing
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from humalign.errors import HumalignError, nearest, path_of
from humalign.profiles import consistent
from humalign.profiles.schema import Profile, Student, Teacher

__all__ = ["Profile", "Student", "Teacher", "as_settings", "changed", "load", "names", "parse", "section"]

Kind = typing.TypeVar("Kind")
FOLDER = files("humalign.profiles")
ENDINGS = (".yaml", ".yml")
# What a file without this says is inherited from, and no run of its own.
RUNS = "about"
# Lists that must have an entry.
NOT_EMPTY = ("evaluation.names", "evaluation.shots", "data.judged")


class _Loader(yaml.SafeLoader):
    """YAML in which a key may stand once."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = set()
    for key_node, _ in node.value:
        key = MERGE if key_node.tag == MERGE else loader.construct_object(key_node, deep=True)
        if key in keys:
            line = key_node.start_mark.line + 1
            raise HumalignError(f"line {line}: the key {key!r} stands twice: take one of them out")
        keys.add(key)
    loader.flatten_mapping(node)  # what `<<` brings stands first, and its own keys are laid over it
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    """Return a number; one that YAML counts by eight or by sixty is refused, for few would expect that."""
    if re.match(r"[-+]?(0[0-9_]*[0-9]|[^:]*:.*)$", node.value):
        said = f"line {node.start_mark.line + 1}: {node.value} is 8 or 60 to a digit in YAML"
        mend = "write it without zeros in front or colons, or in quotes where it is a text"
        raise HumalignError(f"{said}: {mend}")
    whole = node.tag == "tag:yaml.org,2002:int"
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


MERGE = "tag:yaml.org,2002:merge"
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _number)


def names() -> list[str]:
    """Return the profiles that come with the package and can be run."""
    every = (path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))
    return sorted(name for name in every if RUNS in _ours(name))


def load(name: str | Path) -> Profile:
    """Read a profile by name, or one of your own by the path of its file (``mine.yaml``).

    Raises:
        HumalignError: unknown profile, a file that cannot be read, or a key that is unknown, missing, twice,
            of the wrong type or out of its range.
    """
    path = path_of(name, "profile")
    name = str(path)
    if path.suffix.lower() in ENDINGS:
        return parse(path.stem, _read(path), str(path.resolve()))
    if name not in names():
        hint = f"{nearest(name, names())}; or give the path of a file of your own, mine.yaml"
        raise HumalignError(f"unknown profile {name!r}: {hint}")
    return parse(name, _ours(name))


def parse(name: str, settings: Any, source: str = "") -> Profile:
    """Check the settings of a profile, section by section, on top of what they inherit."""
    where = f"profile {name}"
    if not isinstance(settings, dict) or not settings:
        raise HumalignError(f"{where}: no settings: start it with `inherits: demo`, and change what differs")
    given = _inherited(settings, where, (source,))
    for key in ("name", "source"):  # the file's own
        if key in given:
            raise HumalignError(f"{where}: unknown key {key!r}: a run is called after its file")
    profile = section(Profile, given | {"name": name, "source": source or name}, where)
    for line in consistent.faults(profile):
        raise HumalignError(f"{where}: {line}")
    return profile


def section(kind: type[Kind], given: Any, where: str, place: str = "") -> Kind:
    """Make a section of settings of a mapping, each value checked by its type.

    Errors say ``where`` it stands and, of a section within another, at which ``place``.
    """
    if not isinstance(given, dict):
        raise HumalignError(f"{where}: {place} = {given!r}: a section, with a key in each line")
    wanted, prefix = typing.get_type_hints(kind, include_extras=True), f"{place}." if place else ""
    for key in given:
        if key not in wanted:
            known = set(wanted) - ({"name", "source"} if kind is Profile else set())
            raise HumalignError(f"{where}: unknown key {f'{prefix}{key}'!r}: {nearest(str(key), known)}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in given:
            raise HumalignError(f"{where}: key {f'{prefix}{field.name}'!r} is missing")
    return kind(**{key: _value(wanted[key], value, where, f"{prefix}{key}") for key, value in given.items()})


def changed(profile: Profile, **sections: Any) -> Profile:
    """Return a profile with other settings: sections are merged, lists and single values replaced."""
    return parse(profile.name, _laid(as_settings(profile), sections), profile.source)


def as_settings(profile: Profile) -> dict[str, Any]:
    """Return all settings of a profile as a file of it would hold them."""
    whole: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(profile)))
    return {key: value for key, value in whole.items() if key not in ("name", "source")}


# ---- files and what they inherit ---------------------------------------------------------------------------


@functools.cache  # every command names them all; nobody alters what is returned
def _ours(name: str) -> Any:
    return _parsed((FOLDER / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")


def _read(path: Path) -> Any:
    try:
        return _parsed(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        fault = f"cannot read the profile {path} ({error})"
        raise HumalignError(f"{fault}: give the path of a YAML file") from None


def _parsed(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # dates, numbers, lists as keys
        raise HumalignError(f"{where} is no YAML: {' '.join(str(error).split())}") from None
    except HumalignError as error:
        raise HumalignError(f"{where}, {error}") from None


def _inherited(settings: Any, where: str, above: tuple[str, ...]) -> dict[Any, Any]:
    """Lay settings over those that they inherit: sections are merged, lists and single values replaced.

    ``above`` names the files that led here, the nearest last; a relative path starts in that file's folder.
    """
    if not isinstance(settings, dict):
        fault = f"{above[-1]}, which it inherits, holds no settings"
        raise HumalignError(f"{where}: {fault}: write them as `key: value`")
    rest = {key: value for key, value in settings.items() if key != "inherits"}
    if "inherits" not in settings:
        return rest
    base = str(settings["inherits"])
    if base.lower().endswith(ENDINGS):
        base = str((Path(above[-1]).parent / path_of(base)).resolve())
    if base in above:
        raise HumalignError(f"{where}: inherits itself by way of {base}: take one `inherits` out")
    if base.lower().endswith(ENDINGS):
        found = _read(Path(base))
    elif (FOLDER / f"{base}.yaml").is_file():
        found = _ours(base)
    else:
        known = ", ".join(["official", *names()])
        raise HumalignError(f"{where}: inherits {base!r}, which is no profile: known are {known}")
    return _laid(_inherited(found, where, (*above, base)), rest)


def _laid(below: dict[Any, Any], above: dict[Any, Any]) -> dict[Any, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid(merged[key], value) if both else value
    return merged


# ---- values ------------------------------------------------------------------------------------------------


def _value(wanted: Any, value: Any, where: str, place: str) -> Any:
    """Check and convert one value: a number, a text, a list of these, a section, or a list of sections."""
    if typing.get_origin(wanted) is tuple:
        if not isinstance(value, list):
            raise HumalignError(f"{where}: {place} = {value!r}: a list, in brackets or a line each")
        if not value and place.endswith(NOT_EMPTY):
            raise HumalignError(f"{where}: {place} = []: one or more")
        return tuple(_value(typing.get_args(wanted)[0], each, where, place) for each in value)
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return section(wanted, value, where, place)
    kind, *within = typing.get_args(wanted) or [wanted]  # the conditions of an annotated type
    found = _plain(kind, value)
    if found is None:
        raise HumalignError(f"{where}: {place} = {value!r} is no {NAMED[kind]}")
    for condition in within:
        if not condition.holds(found):
            raise HumalignError(f"{where}: {place} = {value!r}: it must be {condition.said}")
    return found


NAMED = {int: "whole number", float: "finite number", str: "text", bool: "true or false"}


def _plain(kind: type, value: Any) -> Any:
    """Return a value as the wanted kind, or none; ``3e-4``, which YAML takes for a text, is a number."""
    if isinstance(value, bool) or kind is bool:
        return value if isinstance(value, kind) and kind is bool else None
    if kind is float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return number if math.isfinite(number) else None
    return value if isinstance(value, kind) else None
