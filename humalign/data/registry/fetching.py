"""Bring a registered source to this machine: resumable, checked, and moved into place only when it is whole.

A file is looked for in the data folder, then in the mirror, and downloaded into the data folder where neither
has it. Its bytes gather in ``NAME.part``, which the next call continues; a page, a cut file, or one with
another checksum never gets the file's name. What lies there already is not compared with a checksum: it may
be another edition, which `humalign.data.editions` tells apart.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from humalign.artefacts import sha256
from humalign.data import registry
from humalign.data.datafiles import MAGIC
from humalign.data.registry import File, Source, imagenet
from humalign.data.registry.unpacking import unpack, writing
from humalign.errors import HumalignError

WAITS = (1.0, 5.0)  # seconds before the second and the third attempt
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
PIECE = 1 << 16  # bytes; of a connection that breaks, less than this is lost
# What a page begins with that a server gives instead of a file.
PAGE = (b"<!doctype", b"<html", b"<head", b"<?xml")


class Unreachable(HumalignError):
    """Signal that a host gives no answer, so that asking it for the next file is of no use."""


class Passing(Exception):
    """Signal a fault that another attempt may not meet."""


def fetch(name: str) -> Path:
    """Return where a source lies, downloaded where it is missing and can be.

    Raises:
        HumalignError: it is brought by hand, cannot be downloaded, or what came is not the public file.
    """
    entry = registry.source(name)
    ways = {"data": _data, "hub": _hub, "imagenet": imagenet.check, "named": _named}
    return ways.get(entry.kind, lambda entry: registry.locate(entry.name))(entry)


def fetch_all(entries: Iterable[Source]) -> Iterator[tuple[Source, Path | HumalignError]]:
    """Yield each source with its place, or what is wrong; a host that gives no answer is asked no more."""
    silent: dict[str, HumalignError] = {}
    for entry in entries:
        host = "huggingface.co" if entry.hub else urlsplit(entry.url).netloc
        try:
            yield entry, (registry.locate if host in silent else fetch)(entry.name)
        except Unreachable as error:
            silent[host] = error
            yield entry, error
        except HumalignError as error:
            skipped = HumalignError(f"{entry.what}: not asked for, as {host} gave no answer")
            yield entry, skipped if host in silent else error


def _data(entry: Source) -> Path:
    with contextlib.suppress(HumalignError):
        return registry.locate(entry.name)
    if not entry.fetchable:
        return registry.locate(entry.name)  # which says how it is brought
    for file in entry.files:
        path = registry.find(file.path) or download(entry, file)
        if not file.sha256 and file.path not in registry.pins():
            _pin(file, sha256(path))
        if entry.archive:
            unpack(entry, path)
    return registry.locate(entry.name)


def _named(entry: Source) -> Path:
    from humalign.data import named  # which imports pictures' readers

    return named.fetch(entry.name)


def _hub(entry: Source) -> Path:
    from huggingface_hub import errors, hf_hub_download

    with contextlib.suppress(HumalignError):
        return registry.locate(entry.name)
    try:
        return Path(hf_hub_download(str(entry.hub), entry.path))
    except errors.LocalEntryNotFoundError:
        mend = f"connect to the network, then {entry.command}; {registry.BY_HAND}"
        raise Unreachable(f"cannot reach the Hugging Face hub: {mend}") from None
    except (errors.HfHubHTTPError, OSError) as error:
        said = f"{str(error).splitlines()[0]}; see {entry.home}"
        raise HumalignError(f"{entry.hub} on the Hugging Face hub: {said}") from None


def download(entry: Source, file: File) -> Path:
    """Download one file into the data folder, whole or not at all; one that was stopped is continued."""
    path = registry.data_folder() / file.path
    wanted = file.sha256 or registry.pins().get(file.path)
    digest, bring = wanted and f"sha256:{wanted}", Resumable(entry, file, path)
    pooch.get_logger().setLevel("ERROR")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pooch.retrieve(str(file.url), digest, path.name, path.parent, downloader=bring)
        except ValueError:
            mend = f"see {entry.home}; a newer edition is read where you put it at {path}"
            if not file.sha256:
                pins = registry.data_folder() / registry.PINS
                mend = f"delete the line of {file.path} in {pins} to take the new one"
            what = f"{entry.what} from {file.url} are not the public file (another checksum)"
            raise HumalignError(f"{what}: nothing is kept; try once more; {mend}") from None
    return path


class Resumable:
    """A downloader for pooch that continues ``NAME.part`` by HTTP ranges, and refuses what is no data."""

    def __init__(self, entry: Source, file: File, path: Path) -> None:
        self.entry, self.file, self.path = entry, file, path
        self.part = path.with_name(f"{path.name}.part")
        self.tag = path.with_name(f"{path.name}.part.tag")

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Bring the whole of ``url``, with two more attempts at what may pass, and move it to its file."""
        for wait in (*WAITS, None):
            try:
                self._continue(url)
                break
            except Passing as fault:
                if wait is None:
                    raise HumalignError(f"{fault}: run the same command again{self._kept()}") from None
            except requests.RequestException as fault:
                if wait is None:
                    what = f"cannot reach {urlsplit(url).hostname} ({_reason(fault)})"
                    mend = f"connect to the network, then run the same command again{self._kept()}"
                    raise Unreachable(f"{what}: {mend}; or put the file at {self.path}") from None
            time.sleep(wait)
        self._refuse_page(url)
        self.tag.unlink(missing_ok=True)
        self.part.replace(output_file)

    def _kept(self) -> str:
        have = self._have()
        return f", it continues at {have / 1e6:.1f} MB" if have else ""

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str) -> None:
        start = self._have()
        tag = self.tag.read_text() if self.tag.exists() else ""
        if start and not (tag or self.file.sha256):  # the server may have another file by now
            self.part.unlink()
            start = 0
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            self._refuse_status(url, answer)
            if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
                start = 0
            length = None if "Content-Encoding" in answer.headers else answer.headers.get("Content-Length")
            whole = start + int(length) if length else self.file.size
            if self.file.size is not None and whole != self.file.size:
                said = f"{url} has {whole:,} bytes, the public file has {self.file.size:,}"
                raise HumalignError(f"{said}: see {self.entry.home}")
            self._refuse_full_disk(whole, start)
            self.tag.write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
            shown: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}
            shown |= {"total": whole, "initial": start, "desc": f"    {self.path.name}"}
            cut = False
            with open(self.part, "ab" if start else "wb") as part, tqdm(**shown) as bar:
                try:
                    for piece in answer.iter_content(PIECE):
                        part.write(piece)
                        bar.update(len(piece))
                except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
                    cut = True
        if cut or (whole is not None and self._have() < whole):
            of = f" of {whole:,}" if whole is not None else ""
            raise Passing(f"{url} was cut off at {self._have():,} bytes{of}")

    def _refuse_status(self, url: str, answer: requests.Response) -> None:
        code = answer.status_code
        said = f"{url} answers {code} ({answer.reason})"
        if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.part.unlink(missing_ok=True)
            raise Passing(f"{url} is shorter than what was downloaded of it")
        if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code == HTTPStatus.TOO_MANY_REQUESTS:
            raise Passing(said)
        if code >= HTTPStatus.BAD_REQUEST:
            raise HumalignError(f"{said}: find the file at {self.entry.home}, and put it at {self.path}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise self._page(answer.url)

    def _refuse_page(self, url: str) -> None:
        with open(self.part, "rb") as part:
            head = part.read(1024)
        known = tuple(first for first, _, suffixes in MAGIC if self.path.suffix in suffixes)
        sound = head.startswith(known) if known else self.path.suffix != ".tar" or head[257:262] == b"ustar"
        if not sound or head.lstrip().lower().startswith(PAGE):
            self.part.unlink()
            self.tag.unlink(missing_ok=True)
            raise self._page(url)

    def _page(self, url: str) -> HumalignError:
        what = "gives a page instead of the file (to log in, or to accept terms)"
        return HumalignError(f"{url} {what}: see {self.entry.home}, and put the file at {self.path}")

    def _refuse_full_disk(self, whole: int | None, start: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if whole is not None and free < whole - start:
            to_come = f"{(whole - start) / 1e9:.1f} GB are to come"
            raise OSError(errno.ENOSPC, f"{to_come}, {free / 1e9:.1f} GB are free")


def _reason(fault: requests.RequestException) -> str:
    if isinstance(fault, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    return "no answer in time" if isinstance(fault, requests.Timeout) else "no connection"


def _pin(file: File, digest: str) -> None:
    """Write down what came first, in the layout of sha256sum."""
    path = registry.data_folder() / registry.PINS
    part = path.with_suffix(".part")
    pins = registry.pins() | {file.path: digest}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(f"{each}  {name}\n" for name, each in sorted(pins.items())), "utf-8")
        part.replace(path)
