"""What lies on this machine of a registered source: the public file or another edition, and how much of it.

An edition has the layout of the public file and other contents: a part of it, a fuller or a newer one. It is
read like the public file, and it is said wherever its numbers are shown. What has another layout is refused
by the reader that a step would use, in the same line.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from humalign.data import listing, named, readers, readers_similarity, registered_sets, registry, wordnet
from humalign.data.datafiles import checked
from humalign.data.object_order import OLD, SORTED, UNIQUE
from humalign.data.readers import similarity_judgments_92
from humalign.data.readers_answers import answers, repeated, training, validation
from humalign.data.readers_levels import levels_answers
from humalign.data.registry import Source

PUBLIC, OTHER = "the public file", "another edition"
# Of a file of which no source attests a checksum.
FETCHED, UNKNOWN = "as first fetched", "no checksum is known"


@dataclasses.dataclass(frozen=True)
class Edition:
    """One source as it lies here.

    Attributes:
        entry: of the registry; of a file that serves in another one's place, that of the file.
        file: its place below the data folder.
        size: bytes, of a folder all its files together.
        sha256: as ``sha256sum`` gives it; of a folder, that of the list which it gives of the files.
        count, unit: how much it holds; an empty unit where that is not counted.
        edition: one of `PUBLIC`, `FETCHED`, `OTHER` and `UNKNOWN`.
    """

    entry: Source
    file: str
    size: int
    sha256: str
    count: int
    unit: str
    edition: str

    @property
    def holds(self) -> str:
        """How much it holds, in words; empty where that is not counted."""
        whole = f" of {self.entry.holds:,}" if self.entry.holds and self.entry.holds != self.count else ""
        return f"{self.count:,}{whole} {self.unit}" if self.unit else ""

    def __str__(self) -> str:
        held = f"{self.holds}, " if self.holds else ""
        return f"{self.entry.what}: {held}{self.edition}"


def of(name: str) -> Edition:
    """Return what lies here of a source, after reading it whole as a step would.

    Raises:
        HumalignError: it is missing, or has not the layout of the public file.
    """
    path = registry.locate(name)
    if registry.is_named(name):
        return _named(name, path)
    return _read(name, path, registry.digest_of(path), registry.data_folder())


def _named(name: str, path: Path) -> Edition:
    """Describe a set or a file that its own name says where it is from."""
    entry, single = registry.source(name), name.startswith("file:")
    count = 0 if single else len(named.pictures(name))
    digest, size = str(named.identity(name)), path.stat().st_size if path.is_file() else 0
    return Edition(entry, name, size, digest, count, "" if single else "pictures", UNKNOWN)


@functools.cache
def _read(name: str, path: Path, digest: str, folder: Path) -> Edition:
    """Read a source; again only where its contents have changed, or another data folder is named."""
    entry = _entry(registry.source(name), path)
    unit, count = COUNTS.get(name, ("", lambda path: 0))
    held = count(path)
    files = listing.everything(path) if path.is_dir() else [path]
    place = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else entry.path
    size = sum(file.stat().st_size for file in files)
    return Edition(entry, place, size, digest, held, unit, _edition(entry, path, digest, held, bool(unit)))


def _entry(entry: Source, path: Path) -> Source:
    """Return the entry of the file that was found: another's where that serves in the place of this one's."""
    known = (entry, *registry.everything().values()) if entry.kind == "data" else ()
    return next((each for each in known if path.as_posix().endswith(f"/{each.path}")), entry)


def _edition(entry: Source, path: Path, digest: str, held: int, counted: bool) -> str:
    if entry.parts:
        wanted = {part: fields.get("sha256") for part, fields in entry.parts.items()}
        if None not in wanted.values():
            same = all(registry.digest_of(path / part) == each for part, each in wanted.items())
            return PUBLIC if same else OTHER
    elif entry.sha256 and not entry.archive:
        return PUBLIC if digest == entry.sha256 else OTHER
    if counted and entry.holds and held != entry.holds:
        return OTHER
    if entry.kind == "data" and not path.as_posix().endswith(f"/{entry.path}"):
        return OTHER  # what serves in its place
    pin = registry.pins().get(entry.archive or entry.path)
    if pin is None or entry.archive:
        return FETCHED if pin else UNKNOWN
    return FETCHED if pin == digest else OTHER


def _ids() -> Sequence[str]:
    return readers.object_ids(registry.locate("things-ids"))


def _classes(path: Path) -> Sequence[str]:
    return wordnet.imagenet_classes(path / "dataset_class_info.json")


def _imagenet_a(path: Path) -> int:
    return len(wordnet.imagenet_a(path, _classes(registry.locate("breeds-hierarchy")))[0])


def _breeds(path: Path) -> int:
    for task in wordnet.TASKS:
        wordnet.breeds(path, task)
    return len(_classes(path))


def _judged(path: Path) -> int:
    return int(readers.reference_photographs(path, _ids())[1].sum())


def _peterson(path: Path) -> int:
    rated = readers_similarity.rated_categories(path)
    return sum(len(readers_similarity.ratings(path, category).files) for category in rated)


# Of each source that is read as a file of its own: what is counted in it, and what reads it whole and counts.
COUNTS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "things-ids": ("ids", lambda path: len(readers.object_ids(path))),
    "things-names": ("objects", lambda path: len(wordnet.things_ids(path, _ids()))),
    "things-categories": ("objects", lambda path: len(readers.categories(path, _ids()))),
    "things-answers": ("answers", lambda path: int(training(path, _ids()).counts.sum())),
    "things-validation-answers": ("answers", lambda path: int(validation(path, _ids()).counts.sum())),
    "things-repeated-answers": ("answers", lambda path: int(repeated(path, _ids()).counts.sum())),
    "things-all-answers": ("answers", lambda path: len(answers(path, _ids()))),
    "things-vice": ("objects", lambda path: len(readers.embedding(path, _ids(), OLD))),
    "things-spose": ("objects", lambda path: len(readers.embedding(path, _ids(), UNIQUE))),
    "things-clip-features": ("objects", lambda path: len(readers.features(path, _ids(), SORTED))),
    "things-48": ("objects", lambda path: len(readers.things48(path, _ids())[0])),
    "things-photographs": ("photographs", lambda path: len(readers.things_photographs(path, _ids())[0])),
    "things-reference-photographs": ("judged photographs", _judged),
    "kriegeskorte92-judgments": ("people", lambda path: len(similarity_judgments_92(path.parent).matrices)),
    "kriegeskorte92-images": ("images", lambda path: len(similarity_judgments_92(path.parent).images)),
    "levels-answers": ("answers", lambda path: len(levels_answers(path))),
    "peterson-judgments": ("photographs", _peterson),
    "cichy-judgments": ("photographs", lambda path: len(readers_similarity.arrangements_cichy(path).files)),
    "king-judgments": ("photographs", lambda path: len(readers_similarity.arrangements_king(path).files)),
    "cifar10": ("test pictures", lambda path: len(registered_sets.cifar10(path))),
    "cifar10h": ("pictures", lambda path: len(registered_sets.cifar10h(path))),
    "dtd": ("pictures", lambda path: len(registered_sets.dtd(path))),
    "caltech101": ("pictures", lambda path: len(registered_sets.caltech101(path))),
    "imagenet-a": ("pictures", _imagenet_a),
    "breeds-hierarchy": ("classes", _breeds),
    "wordnet-nouns": ("nouns", lambda path: len(wordnet.hypernyms(checked(path)))),
}
