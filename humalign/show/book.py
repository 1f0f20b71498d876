"""Render the book: gather prose, executed chapters and figures in one folder, and build it with Jupyter Book.

Everything is staged under ``build/<profile>/book/source``. A warning is an error: a number in prose whose
chapter no longer gives it, a reference to nothing, a formula that does not parse.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from humalign.artefacts import NO_ROOM, PACKAGE, fingerprint, replacing, sha256, versions, write_error
from humalign.chain import processes
from humalign.errors import HumalignError
from humalign.show import generated

# The address of the repository, and what the book shows only where there is one.
ADDRESS = re.compile(r"https://(?P<host>[^/\s]+)/(?P<owner>[^/\s]+)/(?P<name>[^/\s]+)")
BUTTONS = ("use_repository_button", "use_edit_page_button", "use_issues_button")
SETTINGS = ("_config.yml", "_toc.yml")
STAMP, BUILDING = ".fingerprint", ".building-"
# Jupyter Book as a process that ends when this one does.
BUILDER = (
    "from humalign.chain.processes import end_with_starter; end_with_starter();"
    " from jupyter_book.cli.main import main; main()"
)
PROSE = ("*.md", "*.bib", "_static/*", "recorded/growth.*", "recorded/coverage.*")


def render(root: Path, build: Path, notebooks: Path, runs: Mapping[str, Path] | None = None) -> Path:
    """Render what has been run for a profile and return the first page.

    Args:
        root: the repository.
        build: the profile's build folder; the page is ``book/html/index.html`` below it.
        notebooks: the executed chapters.
        runs: folders of the runs whose scores are on the page of scores, by name; the first with people's
            answers is on the preview image.

    Raises:
        HumalignError: the repository's address is none, a chapter has not been run, the book has a warning.
    """
    book = build / "book"
    page = book / "html" / "index.html"
    stamp = book / "html" / STAMP
    source = _stage(root, notebooks, runs or {}, book / "source")
    found = _fingerprint(source)
    if page.is_file() and _read(stamp) == {"made of": found, "files": _sums(stamp.parent)}:
        print("book: reused, nothing changed", file=sys.stderr)
        return page
    print("book ...", file=sys.stderr)
    shutil.rmtree(book / "html", ignore_errors=True)
    _build(source, book)
    with replacing(stamp) as part:
        part.write_text(json.dumps({"made of": found, "files": _sums(stamp.parent)}))
    return page


def _read(stamp: Path) -> Any:
    try:
        return json.loads(stamp.read_text())
    except (OSError, ValueError):
        return None


def _sums(html: Path) -> dict[str, str]:
    """Return the checksum of every file of a rendered book, its stamp left out."""
    every = sorted(path for path in html.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(html).as_posix(): sha256(path) for path in every}


def pages(toc: Path) -> list[str]:
    """Return every page that a table of contents names, the first page first."""

    def named(entry: Any) -> Iterator[str]:
        for key, value in entry.items():
            if key in ("root", "file"):
                yield value
            elif isinstance(value, list):
                for below in value:
                    yield from named(below)

    return list(named(yaml.safe_load(toc.read_text("utf-8"))))


def configured(text: str) -> str:
    """Return ``_config.yml`` with what follows from the repository's address, the one setting for it.

    Raises:
        HumalignError: an address that is none.
    """
    config = yaml.safe_load(text)
    address = str((config.get("repository") or {}).get("url") or "").rstrip("/")
    found = ADDRESS.fullmatch(address)
    if address and not found:
        wanted = "expected https://github.com/owner/name, or nothing"
        raise HumalignError(f"repository.url is {address!r} in _config.yml: {wanted}")
    config["html"] |= dict.fromkeys(BUTTONS, bool(address))
    config["sphinx"]["config"]["repository"] = address
    if found and found["host"] == "github.com":  # where the workflow publishes
        config["html"]["baseurl"] = f"https://{found['owner']}.github.io/{found['name']}"
    return yaml.safe_dump(config, sort_keys=False)


def below(toc: str, page: str, more: list[str]) -> str:
    """Return a table of contents with more pages below one of its pages."""
    contents = yaml.safe_load(toc)
    for part in contents.get("parts", [contents]):
        for entry in part.get("chapters", []):
            if entry.get("file") == page:
                entry["sections"] = [{"file": name} for name in more]
    return yaml.safe_dump(contents, sort_keys=False)


def _stage(root: Path, notebooks: Path, runs: Mapping[str, Path], source: Path) -> Path:
    """Gather everything that the book is built from in one fresh folder."""
    chapters = [name.partition("/")[2] for name in pages(root / "_toc.yml") if name.startswith("notebooks/")]
    missing = [name for name in chapters if not (notebooks / f"{name}.ipynb").is_file()]
    if missing:
        what = "nothing has" if len(missing) == len(chapters) else f"chapter {missing[0]} has not"
        profile = notebooks.parent.name
        raise HumalignError(f"{what} been run for {profile} yet: make reproduce PROFILE={profile}")
    shutil.rmtree(source, ignore_errors=True)
    book = root / "book"
    staged = {root / name: source / name for name in SETTINGS}
    prose = [path for pattern in PROSE for path in book.glob(pattern)]
    staged |= {path: source / "book" / path.relative_to(book) for path in prose}
    staged |= {notebooks / f"{name}.ipynb": source / "notebooks" / f"{name}.ipynb" for name in chapters}
    for path, target in staged.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    config, toc = (source / name for name in SETTINGS)
    config.write_text(configured(config.read_text("utf-8")), "utf-8")
    if "book/api" in pages(toc):
        toc.write_text(below(toc.read_text("utf-8"), "book/api", generated.api(source)), "utf-8")
    generated.scores(runs, source)
    generated.preview(runs, source / "book" / "_static" / "preview.png")
    return source


def _fingerprint(source: Path) -> str:
    """Return a digest of what the pages depend on: what is staged, and the docstrings that the API shows."""
    every = {source: source.rglob("*"), PACKAGE: PACKAGE.rglob("*.py")}
    files = [(str(path.relative_to(folder)), sha256(path))
             for folder, paths in every.items() for path in sorted(paths) if path.is_file()]
    return fingerprint(files, versions())


def _build(source: Path, book: Path) -> None:
    """Build the staged book, and move it into place only when it has no warning."""
    # Always from nothing: an incremental build repeats no warning of a page that it does not read again.
    for leftover in book.glob(f"{BUILDING}*"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=BUILDING, dir=book) as out:
        options = ["--path-output", out, "-W", "--keep-going"]
        command = [sys.executable, "-c", BUILDER, "build", str(source), *options]
        here = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
        said_to: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with processes.child(command, {"PYTHONPATH": here}, **said_to) as started:
            assert started.stdout
            said = started.stdout.read()
            status = started.wait()
        text = re.sub(r"\x1b\[[0-9;]*m", "", said)
        (book / "build.log").write_text(text)
        bad = [line for line in text.splitlines() if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]
        warnings = [line.replace(f"{source}/", "") for line in bad]
        if status and ("No space left" in text or shutil.disk_usage(book).free < NO_ROOM):
            raise write_error(book / "html", OSError(errno.ENOSPC, "the disk is full"))
        if status or warnings:
            shown = "; ".join(warnings[:3]) or (text.strip().splitlines() or ["no output"])[-1]
            more = f" (and {len(warnings) - 3} more)" if len(warnings) > 3 else ""
            log = f"the log is {book / 'build.log'}"
            raise HumalignError(f"the book does not build cleanly: {shown}{more}; {log}")
        (Path(out) / "_build" / "html").rename(book / "html")
