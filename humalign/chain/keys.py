"""Which code can change what a step leaves: every definition of this package that its function reaches.

What a definition names is followed through the imports of the package: nobody lists modules, and an edit
elsewhere in a file costs nothing. Of a table of functions only the entries that a profile uses are followed;
comments and docstrings are left out.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from humalign.artefacts import PACKAGE, fingerprint
from humalign.errors import HumalignError

# Packages whose code is followed: this one, and a study that keeps what it makes under keys of its own.
FOLDERS = {PACKAGE.name: PACKAGE, "pricing": PACKAGE.parent / "benchmarks" / "pricing"}
Place = tuple[str, str]  # module, name of a definition in it
Tables = Mapping[Place, Collection[str]]
EVERY: tuple[str, ...] = ()  # of a table: all its entries
WHOLE: Tables = {}  # of all tables


@dataclasses.dataclass(frozen=True)
class _Module:
    """The top level of a source file: statements by the names that they define, and what its imports bind."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Place]
    effects: list[ast.stmt]


def code(function: Callable[..., Any], notebooks: Iterable[Path] = (), tables: Tables = WHOLE) -> str:
    """Return a digest of all code that a function, and the code cells of notebooks, can reach.

    Args:
        function: of this package, at the top level of its module.
        notebooks: whose imports are followed too.
        tables: dictionaries of which only the entries of these names are used, by their module and name.
    """
    found = reached([(function.__module__, function.__qualname__)], tables)
    for notebook in notebooks:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            mistake = f"{error.msg}: {(error.text or '').strip()}"
            line = f"{notebook.name} has a mistake in its code ({mistake}): mend that cell"
            raise HumalignError(line) from None
        found |= reached(_named(tree, _parsed(source)), tables)
    used = ((place, frozenset(tables.get(place, EVERY))) for place in sorted(found))
    return fingerprint([(*place, _text(place, names)) for place, names in used])


def reached(start: Iterable[Place], tables: Tables = WHOLE) -> set[Place]:
    """Return every definition that some need, themselves among them; bare statements have an empty name."""
    found: set[Place] = set()
    waiting = list(start)
    while waiting:
        place = waiting.pop()
        if place in found or not _path(place[0]):
            continue
        found.add(place)
        waiting += _needs(place, frozenset(tables.get(place, EVERY)))
    return found


@functools.cache
def _needs(place: Place, used: frozenset[str]) -> frozenset[Place]:
    """Return what one definition refers to, and the bare statements of its module."""
    module = _read(place[0])
    found = {(place[0], "")}
    if place[1] in module.imports and place[1] not in module.definitions:
        found |= set(_resolved(*module.imports[place[1]]))
    for statement in _statements(place):
        found |= set(_named(_entries(statement, used or EVERY), module, place[0]))
    return frozenset(found)


def _statements(place: Place) -> list[ast.stmt]:
    module = _read(place[0])
    return module.definitions.get(place[1], []) if place[1] else module.effects


def _entries(statement: ast.stmt, used: Collection[str]) -> ast.AST:
    """Return a table with the entries that are used, and whatever else a statement is as it is."""
    value = getattr(statement, "value", None)
    if used is EVERY or not isinstance(value, ast.Dict):
        return statement
    entries = zip(value.keys, value.values, strict=True)
    kept = [(key, each) for key, each in entries if not isinstance(key, ast.Constant) or key.value in used]
    return ast.Dict([key for key, _ in kept], [each for _, each in kept])


@functools.cache
def _text(place: Place, used: frozenset[str]) -> str:
    """Return a definition's code as it was when first asked for: a run's keys speak of the code that runs."""
    return "\n".join(ast.dump(_entries(_bare(statement), used or EVERY)) for statement in _statements(place))


def _bare(statement: ast.stmt) -> ast.stmt:
    """Return a statement without its docstrings."""
    for node in ast.walk(statement):
        if isinstance(node, NAMED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return statement


def _named(node: ast.AST, module: _Module, here: str = "") -> Iterator[Place]:
    """Yield what a piece of code refers to: names of its own module, and through imports those of others."""
    imports = module.imports | _bound(node)
    for name, attributes in _used(node, frozenset()):
        if name in imports:
            yield from _resolved(*imports[name], attributes)
        elif name in module.definitions and here:
            yield here, name


NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SCOPES = (*NAMED[:2], ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _used(node: ast.AST, local: frozenset[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each name that a piece of code reads from outside of its functions, with its attributes."""
    if isinstance(node, SCOPES):
        inner = local | frozenset(_own(node))
        for field, value in ast.iter_fields(node):
            # Decorators, defaults and annotations are read outside.
            outside = field in ("decorator_list", "args", "returns")
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _used(child, local if outside else inner)
        return
    chain: list[str] = []
    root = node
    while isinstance(root, ast.Attribute):
        chain.append(root.attr)
        root = root.value
    if isinstance(root, ast.Name):
        # A field of a class that is called as a module is does not read the module.
        if root.id not in local and not isinstance(root.ctx, ast.Store):
            yield root.id, chain[::-1]
        return
    for child in ast.iter_child_nodes(root if chain else node):
        yield from _used(child, local)


def _own(scope: ast.AST) -> Iterator[str]:
    """Yield the names that a function or a comprehension binds itself; imports are not, they are followed."""
    waiting = [scope]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef) and node is not scope:
            yield node.name
        if node is scope or not isinstance(node, SCOPES):
            waiting += ast.iter_child_nodes(node)


def _resolved(module: str, name: str, attributes: Sequence[str] = ()) -> Iterator[Place]:
    """Yield the definition that an imported name stands for; of a module that is named alone, every one."""
    inside = f"{module}.{name}" if name else module
    if not _path(inside):
        yield module, name
    elif attributes:
        yield from _resolved(inside, attributes[0], attributes[1:])
    else:
        yield from ((inside, each) for each in (*_read(inside).definitions, *_read(inside).imports))


def _bound(code: ast.AST) -> dict[str, Place]:
    """Return what imports bind: names of this package to (module, name), a module to (module, nothing)."""
    found: dict[str, Place] = {}
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FOLDERS:
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = (alias for alias in node.names if alias.asname and alias.name.split(".")[0] in FOLDERS)
            found |= {str(alias.asname): (alias.name, "") for alias in ours}
    return found


def _path(module: str) -> Path | None:
    """Return the source file of a module of this package; none where the name is that of no module."""
    package, _, inside = module.partition(".")
    return _source(FOLDERS[package], inside) if package in FOLDERS else None


@functools.cache
def _source(folder: Path, inside: str) -> Path | None:
    stem = folder.joinpath(*inside.split(".")) if inside else folder
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _read(module: str) -> _Module:
    path = _path(module)
    assert path is not None
    return _of_file(path)


@functools.cache
def _of_file(path: Path) -> _Module:
    return _parsed(path.read_text("utf-8"))


def _parsed(source: str) -> _Module:
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Place] = {}
    effects: list[ast.stmt] = []
    for statement in ast.parse(source).body:
        names = list(_defines(statement))
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            imports |= _bound(statement)
        for name in names:
            definitions.setdefault(name, []).append(statement)
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not names and not isinstance(statement, ast.Import | ast.ImportFrom) and not text:
            effects.append(statement)
    return _Module(definitions, imports, effects)


def _defines(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of the top level defines, in its branches too."""
    if isinstance(statement, NAMED):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
