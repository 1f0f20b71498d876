"""Downloads and their faults, against a server of the test on the loopback device; the doctor's answers; ImageNet with files missing."""

import contextlib
import errno
import hashlib
import io
import json
import socket
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from humalign import cli, profiles
from humalign.chain import doctor, origins, pipeline
from humalign.chain import steps as stages
from humalign.data import editions, registry
from humalign.data.registry import Source, fetching, imagenet
from humalign.errors import HumalignError
from humalign.models import backbones

ROOT = Path(__file__).parents[2]


def digest(content):
    return hashlib.sha256(content).hexdigest()


def npz():
    """An AligNet triplet file in small."""
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    np.savez(buffer, filenames=np.full((500, 3), "n0_1.JPEG"), similarities=rng.random((500, 3)), indices=rng.integers(0, 9, (500, 3)))
    return buffer.getvalue()


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


CONTENT = npz()


class Server:
    """A server whose files, and faults, are set by the test; it keeps what was asked for.

    Attributes:
        files: content by path.
        faults: what to do instead, by path, one after the other, before the file is given.
        asked: path and range of each request.
        ranges: whether it continues a download where it is asked to.
    """

    def __init__(self):
        self.files, self.faults, self.asked, self.ranges = {}, {}, [], True
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        faults = self.faults.get(request.path, [])
        if faults:
            faults.pop(0)(request)
        elif request.path in self.files:
            content = self.files[request.path]
            tag = f'"{digest(content)[:8]}"'
            start = 0
            if wanted and self.ranges and request.headers.get("If-Range", tag) == tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            send(request, 206 if start else 200, content[start:], ETag=tag)
        else:
            status(404)(request)


def send(request, code, content, length=None, **headers):
    request.send_response(code)
    for key, value in {"Content-Length": str(len(content) if length is None else length), **headers}.items():
        request.send_header(key.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def status(code):
    return lambda request: send(request, code, b"no")


def cut(content, at):
    """Promise the rest of a file, and hang up at a place of it."""

    def fault(request):
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        code = 206 if start else 200
        send(request, code, content[start:at], length=len(content) - start, ETag=f'"{digest(content)[:8]}"')
        request.connection.shutdown(socket.SHUT_RDWR)

    return fault


def page(request):
    send(request, 200, b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html; charset=utf-8")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(fetching, "PIECE", 100)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HUMALIGN_MIRROR", raising=False)
    return tmp_path / "data"


@pytest.fixture
def register(monkeypatch):
    """Put a source into the registry for one test; returns it."""

    def put(name="made", **fields):
        facts = {"what": "made triplets", "home": "https://example.org/made", "licence": "CC0", "attribution": "the test"}
        entry = Source(name=name, **facts | {"path": "made/t.npz"} | fields)
        monkeypatch.setitem(registry.everything(), name, entry)
        return entry

    return put


@pytest.fixture
def made(server, register):
    server.files["/t.npz"] = CONTENT
    return register(url=f"{server.address}/t.npz", size=len(CONTENT), sha256=digest(CONTENT))


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refused(name, said):
    with pytest.raises(HumalignError, match=said) as caught:
        fetching.fetch(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what goes well --------------------------------------------------------------------------------------------------

def test_a_file_is_downloaded_once_and_checked(server, data, made):
    assert fetching.fetch("made") == data / "made" / "t.npz" == registry.locate("made")
    assert (data / "made" / "t.npz").read_bytes() == CONTENT and files(data) == {"made/t.npz"}
    assert editions.of("made").edition == editions.PUBLIC
    fetching.fetch("made")
    assert len(server.asked) == 1
    (data / "made" / "t.npz").write_bytes(CONTENT[:-1] + b"x")
    assert fetching.fetch("made") == data / "made" / "t.npz" and editions.of("made").edition == editions.OTHER


def test_a_file_without_a_checksum_is_pinned_when_it_first_comes(server, data, register):
    server.files["/t.npz"] = CONTENT
    register(url=f"{server.address}/t.npz")
    path = fetching.fetch("made")
    assert (data / "pins.txt").read_text() == f"{digest(CONTENT)}  made/t.npz\n"
    assert editions.of("made").edition == editions.FETCHED
    path.write_bytes(CONTENT + b"x")
    assert editions.of("made").edition == editions.OTHER
    path.unlink()
    server.files["/t.npz"] = CONTENT + b"another release"
    refused("made", r"another checksum.*delete the line of made/t.npz in .*pins.txt to take the new one")
    assert files(data) == {"pins.txt"}


def test_the_data_folder_and_then_the_mirror_are_looked_at_before_the_network(server, data, made, tmp_path, monkeypatch):
    monkeypatch.setenv("HUMALIGN_MIRROR", str(tmp_path / "mirror"))
    mirrored = tmp_path / "mirror" / "made" / "t.npz"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    assert fetching.fetch("made") == registry.locate("made") == mirrored and not server.asked
    own = data / "made" / "t.npz"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    assert fetching.fetch("made") == own and not server.asked


def test_a_folder_is_downloaded_part_by_part(server, data, register):
    server.files |= {"/b/one.txt": b"n1 n2\n", "/b/in/two.txt": b"n3\n"}
    parts = {"one.txt": {"size": 6, "sha256": digest(b"n1 n2\n")}, "in/two.txt": {}}
    register(path="b", url=f"{server.address}/b/", parts=parts)
    assert fetching.fetch("made") == registry.locate("made") == data / "b"
    assert files(data) == {"b/one.txt", "b/in/two.txt", "pins.txt"}
    (data / "b" / "one.txt").unlink()
    with pytest.raises(HumalignError, match="are missing: humalign fetch made"):
        registry.locate("made")


def test_an_archive_is_unpacked_whole_and_then_removed(server, data, register):
    server.files["/a.tar"] = tar({"a/n1/1.JPEG": b"picture", "a/README.txt": b"text"})
    register(path="sets/a", archive="a.tar", url=f"{server.address}/a.tar")
    assert fetching.fetch("made") == registry.locate("made") == data / "sets" / "a"
    assert files(data) == {"sets/a/n1/1.JPEG", "sets/a/README.txt", "pins.txt"}
    fetching.fetch("made")
    assert len(server.asked) == 1


def test_an_archive_that_leads_out_of_its_folder_is_refused(server, data, register):
    server.files["/a.tar"] = tar({"../outside": b"x"})
    register(path="a", archive="a.tar", url=f"{server.address}/a.tar")
    refused("made", "cannot be unpacked into a")
    assert not (data.parent / "outside").exists() and not (data / "a").exists()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_password_is_taken_from_the_environment_and_asked_for_in_one_line(server, data, register, monkeypatch):
    server.files["/images.zip"] = zipped({"images/object_images/ant/ant_01b.jpg": b"picture"})
    gate = "read the terms at https://example.org/terms, which give the password"
    fields = {"archive": "things/images.zip", "url": f"{server.address}/images.zip", "password": "SECRET", "gate": gate}
    entry = register(path="things/object_images", **fields)
    monkeypatch.delenv("SECRET", raising=False)
    said = refused("made", "read the terms .*; then set SECRET to it and run `humalign fetch made`")
    assert not server.asked and not entry.fetchable and doctor._state(entry, None).state == doctor.GATED, said
    given, real = [], zipfile.ZipFile.extractall

    def extractall(archive, path, pwd=None):
        given.append(pwd)
        if pwd != b"right":
            raise RuntimeError("Bad password for file 'ant_01b.jpg'")
        real(archive, path)

    monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    monkeypatch.setenv("SECRET", "wrong")
    said = refused("made", r"cannot be unpacked .*Bad password.*: is SECRET the password\? https://example.org/made gives it")
    assert "wrong" not in said
    monkeypatch.setenv("SECRET", "right")
    assert fetching.fetch("made") == data / "things" / "object_images" and given == [b"wrong", b"right"]
    assert files(data) == {"things/object_images/ant/ant_01b.jpg", "pins.txt"}, "the folder is found in another one, the archive gone"
    assert len(server.asked) == 1, "a wrong password costs no second download"


def test_an_archive_inside_an_archive_is_said(server, data, register):
    server.files["/images.zip"] = zipped({"readme.txt": b"x", "inner.zip": zipped({"object_images/ant.jpg": b"picture"})})
    register(path="object_images", archive="images.zip", url=f"{server.address}/images.zip")
    refused("made", "cannot be unpacked into object_images .*it holds the archive inner.zip: unpack that by hand")
    assert not (data / "object_images").exists()


# ---- what goes wrong -------------------------------------------------------------------------------------------------

def test_an_address_without_a_file_says_where_to_look(server, data, made):
    server.faults["/t.npz"] = [status(404)]
    said = refused("made", "answers 404 .*: find the file at https://example.org/made")
    assert f"put it at {data / 'made' / 't.npz'}" in said and len(server.asked) == 1 and not files(data)


def test_a_server_that_fails_is_asked_again_and_then_given_up(server, data, made):
    server.faults["/t.npz"] = [status(500), status(503)]
    assert fetching.fetch("made").read_bytes() == CONTENT and len(server.asked) == 3
    (data / "made" / "t.npz").unlink()
    server.faults["/t.npz"] = [status(500)] * 3
    refused("made", "answers 500 .*: run the same command again")
    assert not files(data)


@pytest.mark.parametrize("labelled", [True, False], ids=["as a page", "as a file"])
def test_a_page_to_log_in_is_never_saved_as_data(server, data, register, labelled):
    def redirect(request):
        send(request, 302, b"", Location="/login")

    server.faults["/t.npz"] = [redirect]
    server.files["/login"] = b"<!DOCTYPE html><title>Log in</title>"
    if labelled:
        server.faults["/login"] = [page]
    register(url=f"{server.address}/t.npz")
    refused("made", "gives a page instead of the file .*: see https://example.org/made")
    assert not files(data)


def test_a_file_of_another_kind_is_no_data(server, data, register):
    server.files["/t.npz"] = b"this text is no archive of arrays"
    register(url=f"{server.address}/t.npz")
    refused("made", "gives a page instead of the file")
    assert not files(data)


def test_a_file_that_is_cut_is_continued_by_the_next_call(server, data, made):
    half = len(CONTENT) // 200 * 100
    server.faults["/t.npz"] = [cut(CONTENT, half)] * 3
    said = refused("made", f"was cut off at {half:,} bytes of {len(CONTENT):,}: run the same command again, it continues")
    assert str(data / "made") not in said and files(data) == {"made/t.npz.part", "made/t.npz.part.tag"}
    server.asked.clear()
    assert fetching.fetch("made").read_bytes() == CONTENT
    assert server.asked == [("/t.npz", f"bytes={half}-")] and files(data) == {"made/t.npz"}


def test_a_file_that_is_cut_is_continued_within_a_call(server, data, made):
    server.faults["/t.npz"] = [cut(CONTENT, 1000), cut(CONTENT, 3000)]
    assert fetching.fetch("made").read_bytes() == CONTENT
    assert [span for _, span in server.asked] == [None, "bytes=1000-", "bytes=3000-"]


@pytest.mark.parametrize("ranges", [True, False], ids=["another file", "no ranges"])
def test_halves_of_two_files_are_never_joined(server, data, register, ranges):
    other = CONTENT[:100] + CONTENT[::-1]
    server.ranges = ranges
    server.faults["/t.npz"] = [cut(CONTENT, 2000)] * 3
    server.files["/t.npz"] = other
    register(url=f"{server.address}/t.npz")
    refused("made", "was cut off")
    assert fetching.fetch("made").read_bytes() == other


def test_a_file_of_another_size_is_refused_before_it_is_downloaded(server, data, register):
    server.files["/t.npz"] = CONTENT
    register(url=f"{server.address}/t.npz", size=len(CONTENT) + 1)
    refused("made", f"has {len(CONTENT):,} bytes, the public file has {len(CONTENT) + 1:,}")
    assert not files(data)


def test_a_file_with_another_checksum_is_not_kept(server, data, register):
    server.files["/t.npz"] = CONTENT
    register(url=f"{server.address}/t.npz", size=len(CONTENT), sha256="0" * 64)
    refused("made", r"are not the public file \(another checksum\): nothing is kept.*a newer edition is read where you put it at .*t.npz")
    assert not files(data)


def test_without_a_network_it_says_so_and_where_the_file_can_be_put(data, register, monkeypatch):
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))
    with contextlib.closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    register(url=f"http://127.0.0.1:{port}/t.npz")
    said = refused("made", r"cannot reach 127.0.0.1 \(no connection\): connect to the network, then run the same command again")
    assert said.endswith(f"or put the file at {data / 'made' / 't.npz'}") and not files(data)
    with pytest.raises(fetching.Unreachable):
        fetching.fetch("made")


def test_a_disk_that_fills_up_keeps_what_came(server, data, made, monkeypatch):
    real = open

    class Full:
        """A file on a disk with room for 1,000 bytes more."""

        def __init__(self, path, mode):
            self.file, self.room = real(path, mode), 1000

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, piece):
            self.room -= self.file.write(piece[: self.room])
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(fetching, "open", lambda path, mode="r": Full(path, mode) if mode[0] in "aw" else real(path, mode), raising=False)
        refused("made", r"no space left for .*t.npz: free some, then run the same command again, it continues")
    assert files(data) == {"made/t.npz.part", "made/t.npz.part.tag"} and (data / "made" / "t.npz.part").stat().st_size == 1000
    assert fetching.fetch("made").read_bytes() == CONTENT and server.asked[-1] == ("/t.npz", "bytes=1000-")


def test_a_disk_that_is_too_small_is_told_before_the_download(server, data, made, monkeypatch):
    usage = fetching.shutil.disk_usage("/")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: usage._replace(free=10))
    refused("made", r"no space left for .*t.npz \(0.0 GB are to come, 0.0 GB are free\)")
    assert not (data / "made" / "t.npz").exists()


# ---- ImageNet --------------------------------------------------------------------------------------------------------

@pytest.fixture
def small(tmp_path, monkeypatch):
    """ImageNet in small: four classes of five pictures, as folders and as the archive of archives; returns its folder."""
    names = [f"n0000000{c}/n0000000{c}_{i}" for c in range(4) for i in range(5)]
    for name in names:
        path = tmp_path / "imagenet" / "train" / f"{name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
    classes = {f"n0000000{c}.tar": tar({f"n0000000{c}_{i}.JPEG": b"picture" for i in range(5)}) for c in range(4)}
    (tmp_path / "official.tar").write_bytes(tar(classes))
    (tmp_path / "imagenet" / "train_cls.txt").write_text("".join(f"{name} {row}\n" for row, name in enumerate(names, 1)))
    monkeypatch.setenv("HUMALIGN_IMAGENET", str(tmp_path / "imagenet"))
    monkeypatch.setattr(imagenet, "CLASSES", 4)
    monkeypatch.setattr(imagenet, "MD5", {})
    monkeypatch.setitem(imagenet.PICTURES, "imagenet-2012-training", 20)
    entry = registry.source("imagenet-2012-training")
    whole = Source(**vars(entry) | {"size": (tmp_path / "official.tar").stat().st_size})
    monkeypatch.setitem(registry.everything(), entry.name, whole)
    return tmp_path / "imagenet"


def test_imagenet_is_counted_in_folders_and_in_the_archive(small):
    assert fetching.fetch("imagenet-2012-training") == small / "train"
    (small / "train").rename(small / "elsewhere")
    (small.parent / "official.tar").rename(small / "ILSVRC2012_img_train.tar")
    assert fetching.fetch("imagenet-2012-training") == small / "ILSVRC2012_img_train.tar"
    (small / "ILSVRC2012_img_train.tar").write_bytes((small / "ILSVRC2012_img_train.tar").read_bytes()[:5000])
    refused("imagenet-2012-training", "has 5,000 bytes instead of .*: it is cut short")


def test_imagenet_with_three_files_missing_names_them(small):
    gone = ["n00000000/n00000000_3", "n00000002/n00000002_0", "n00000002/n00000002_4"]
    for name in gone:
        (small / "train" / f"{name}.JPEG").unlink()
    said = refused("imagenet-2012-training", "holds 17 pictures in 4 classes instead of 20 in 4: 3 are missing")
    assert f"({', '.join(gone)})" in said
    (small / "train_cls.txt").unlink()
    refused("imagenet-2012-training", "3 are missing; unpack the archive again")


def test_imagenet_that_is_not_there_says_where_the_terms_are(monkeypatch):
    monkeypatch.delenv("HUMALIGN_IMAGENET", raising=False)
    refused("imagenet-2012-training", "are missing: accept the terms on https://image-net.org/download-images, and set HUMALIGN_IMAGENET")


# ---- the registry ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("entry", registry.everything().values(), ids=lambda entry: entry.name)
def test_every_entry_is_whole(entry):
    assert entry.home.startswith("https://") and entry.licence and entry.attribution and entry.used_in
    assert entry.url.startswith("https://") or not entry.url
    assert entry.package or entry.url or entry.hub or entry.gate, "nobody could bring it"
    assert not entry.sha256 or entry.url or entry.package, "a checksum of a file without a public address"
    assert not any(part.get("sha256") for part in entry.parts.values()) or entry.url
    assert not ("githubusercontent" in entry.url and ("/master/" in entry.url or "/main/" in entry.url)), "a branch that moves"


def test_the_24_released_checkpoints_have_their_addresses():
    released = [entry for entry in registry.everything().values() if entry.path.startswith("alignet/models/")]
    assert len(released) == 24 and registry.source("alignet-DINOv2-B-alignet") in released
    assert all(entry.url == f"https://storage.googleapis.com/{entry.path}" for entry in released)


def test_models_of_the_hub_are_those_of_the_backbones():
    hub = {name: recipe for name, recipe in backbones.recipes().items() if recipe.weights == "hub"}
    assert {f"{name}-weights" for name in hub} == {entry.name for entry in registry.everything().values() if entry.kind == "hub"}
    for name, recipe in hub.items():
        entry = registry.source(f"{name}-weights")
        assert entry.licence == recipe.licence
        # The hub keeps CLIP once; timm gives the two activations different names.
        assert entry.hub == f"timm/{recipe.model}".replace("_quickgelu", "")


def test_a_model_of_the_hub_may_lie_in_the_folder_of_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("HUMALIGN_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(HumalignError, match="are missing: humalign fetch siglip-b16-weights; or put the weights into the folder that"):
        registry.locate("siglip-b16-weights")
    (tmp_path / "siglip-b16.safetensors").touch()
    assert fetching.fetch("siglip-b16-weights") == tmp_path / "siglip-b16.safetensors"


def needed(profile):
    return set(pipeline.sources(stages.STEPS, profile))


def test_what_a_profile_needs_is_what_its_stages_read():
    paper = profiles.load("paper")
    some = profiles.changed(paper, evaluation={"names": ["labels"]}, students=[{"backbone": "siglip-b16"}])
    assert {"things-answers", "cifar10h", "siglip-b16-weights", "imagenet-2012-training"} <= needed(some)
    assert not needed(some) & {"levels-answers", "clip-b16-weights", "alignet-triplets", "openmoji-font"}
    assert needed(paper) > needed(some) and "levels-answers" in needed(paper)
    assert "alignet-triplets" in needed(profiles.changed(some, triplets={"source": "official"}))
    assert {"things-48", "breeds-hierarchy", "efficientnet-lite1-weights"} <= needed(profiles.load("things"))
    assert {"alignet-SigLIP-B-alignet"} <= needed(profiles.load("released"))
    assert all(name.endswith("-weights") or registry.source(name).package for name in needed(profiles.load("demo")))


# ---- commands --------------------------------------------------------------------------------------------------------

def run(capsys, *arguments):
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out, captured.err


def test_fetch_goes_on_after_a_fault_and_says_one_line_each(server, data, made, register, capsys):
    register("other", url=f"{server.address}/nowhere.npz", path="o.npz")
    register("gated", path="gated", gate="accept the terms on https://example.org/terms")
    code, out, error = run(capsys, "fetch", "other", "gated", "made")
    assert code == 2 and out == f"made: {data / 'made' / 't.npz'} (made triplets: the public file)\n"
    first, second, last = error.splitlines()
    assert "answers 404" in first and last == "1 of 3 sources are here, 2 lacking: other, gated"
    assert f"accept the terms on https://example.org/terms, and put them at {data / 'gated'}" in second
    assert run(capsys, "fetch", "maed")[2] == "humalign: unknown source 'maed': did you mean 'made'?\n"


def test_fetch_lists_every_source(capsys):
    code, out, _ = run(capsys, "fetch", "--list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(registry.everything())


def of_made(monkeypatch, *names):
    """Let the demo need these sources only."""
    monkeypatch.setattr(doctor, "wanted", lambda profile: [registry.source(name) for name in names])


def test_the_doctor_says_what_is_missing_and_a_run_stops_with_its_answer(data, register, capsys, tmp_path, monkeypatch):
    register("gated", path="gated", gate="accept the terms on https://example.org/terms")
    register("broken", path="things/unique_id.txt")
    (data / "things").mkdir(parents=True)
    of_made(monkeypatch, "gated", "openmoji-font")
    code, out, _ = run(capsys, "doctor")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 1 and "accept the terms on https://example.org/terms" in lines["GATED"] and "present" in lines
    assert "\ntime: " in out
    code, out, error = run(capsys, "run", "all", "--profile", "demo", "--build", tmp_path / "build")
    assert code == 2 and out == "" and error.count("\n") == 1
    assert error.startswith("humalign: 1 of the 2 inputs of the profile demo are missing or refused (gated)")
    assert not (tmp_path / "build").exists()
    assert lines["verdict:"].removeprefix("verdict: ") == error.removeprefix("humalign: ").strip()


def test_the_doctor_reads_what_is_there(data, capsys, monkeypatch):
    path = data / "things" / "unique_id.txt"
    path.parent.mkdir(parents=True)
    of_made(monkeypatch, "things-ids")
    path.write_text("ant\nbat\n")
    code, out, _ = run(capsys, "doctor")
    assert code == 0 and "ids of the THINGS objects: 2 of 1,854 ids, another edition" in out
    path.write_text("ant\nant\n")
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and "REFUSED" in out and "line 2: 'ant' again" in out


def test_an_empty_folder_is_no_input(data, capsys, monkeypatch):
    (data / "torchvision" / "dtd").mkdir(parents=True)
    of_made(monkeypatch, "dtd")
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and "MISSING" in out
    (data / "torchvision" / "dtd" / "dtd" / "images").mkdir(parents=True)
    code, out, _ = run(capsys, "doctor")
    assert code == 1 and "REFUSED" in out and "holds no class folders" in out


def test_a_run_fetches_what_has_no_gate_first(server, data, made, register, capsys, tmp_path, monkeypatch):
    register("gone", url="http://127.0.0.1:9/g.npz", path="g.npz")
    register("same-host", url="http://127.0.0.1:9/h.npz", path="h.npz")
    of_made(monkeypatch, "gone", "same-host", "made")
    code, out, error = run(capsys, "run", "all", "--profile", "demo", "--build", tmp_path / "build")
    assert code == 2 and out == "" and (data / "made" / "t.npz").is_file(), "one host that is silent does not stop the others"
    first, *rest = error.splitlines()
    assert first == f"fetching 3 sources, {len(CONTENT) / 1e6:,.0f} MB and 2 of unknown size for the profile demo"
    assert sum("cannot reach 127.0.0.1" in line for line in rest) == 1 and sum("gave no answer" in line for line in rest) == 1
    assert rest[-1].startswith("humalign: 2 of the 3 inputs of the profile demo are missing or refused (gone, same-host)")


def test_fetch_goes_on_after_a_host_that_is_silent_and_sums_up_last(server, data, made, register, capsys, monkeypatch):
    register("gone", url="http://127.0.0.1:9/g.npz", path="g.npz")
    register("same-host", url="http://127.0.0.1:9/h.npz", path="h.npz")
    of_made(monkeypatch, "gone", "made", "same-host")
    code, out, error = run(capsys, "fetch")
    assert code == 2 and "made: " in out and (data / "made" / "t.npz").is_file()
    assert error.splitlines()[-1] == "1 of 3 sources are here, 2 lacking: gone, same-host"


def test_the_doctor_gives_the_time_of_the_recorded_run_where_every_stage_was_timed(monkeypatch, tmp_path, capsys):
    told = json.loads((origins.RECORDED / "demo" / origins.FILE).read_text())
    minutes = round(sum(stage["seconds"] for stage in told["stages"].values()) / 60)
    _, out, _ = run(capsys, "doctor")
    assert f"time: the recorded run took {minutes} minutes to its scores" in out and told["date"] in out
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / origins.TABLE).write_bytes((origins.RECORDED / "demo" / origins.TABLE).read_bytes())
    next(iter(told["stages"].values()))["seconds"] = None
    (tmp_path / "demo" / origins.FILE).write_text(json.dumps(told))
    monkeypatch.setattr(origins, "RECORDED", tmp_path)
    assert "time: no whole run was timed yet" in run(capsys, "doctor")[1]
