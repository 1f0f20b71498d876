"""A stranger's way to the data of the profile `things`: one command, against a server of the test that has the public addresses."""

import dataclasses
import hashlib
import io
import os
import pickle
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from humalign import cli, profiles
from humalign.chain import pipeline
from humalign.chain import steps as stages
from humalign.chain.judged import things
from humalign.data import registry
from humalign.data.registered_sets import CIFAR10, pictures
from humalign.data.registry import fetching

pytestmark = pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")


def zipped(folder, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{name}/{path.relative_to(folder)}")
    return buffer.getvalue()


def tarred(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def batches():
    """CIFAR-10's own archive, its test pictures those at hand and its training pictures none."""
    images = pictures("cifar10")
    order = np.argsort(images.labels["index"].to_numpy()).tolist()
    test = {
        "data": np.stack([np.asarray(images[place]).transpose(2, 0, 1).ravel() for place in order]),
        "labels": [CIFAR10.index(images.labels["class"].iloc[place]) for place in order],
    }
    none = {"data": np.zeros((0, 3072), np.uint8), "labels": []}
    held = {f"data_batch_{number}": none for number in range(1, 6)} | {"test_batch": test, "batches.meta": {"label_names": list(CIFAR10)}}
    return {f"cifar-10-batches-py/{name}": pickle.dumps(content) for name, content in held.items()}


def textures(folder):
    return tarred({f"dtd/{path.relative_to(folder / 'dtd')}": path.read_bytes() for path in (folder / "dtd").rglob("*") if path.is_file()})


def caltech(folder):
    inside = {f"101_ObjectCategories/{path.relative_to(folder / '101_ObjectCategories')}": path.read_bytes()
              for path in (folder / "101_ObjectCategories").rglob("*.jpg")}
    inside |= {"101_ObjectCategories/BACKGROUND_Google/image_0001.jpg": next(iter(inside.values()))}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", tarred(inside))
    return buffer.getvalue()


@pytest.fixture
def public(monkeypatch, tmp_path):
    """Serve every source of the profile under its registered address, and name an empty folder for the data; returns what was asked."""
    profile = profiles.load("things")
    names = [name for name in pipeline.sources(stages.STEPS, profile) if not registry.source(name).package]
    archives = {"things-photographs": lambda: zipped(registry.locate("things-photographs"), "object_images_CC0")}
    made = batches()
    archives |= {"cifar10": lambda: tarred(made), "dtd": lambda: textures(registry.locate("dtd")),
                 "caltech101": lambda: caltech(registry.locate("caltech101"))}
    content, asked = {}, []
    for name in names:
        entry = registry.source(name)
        for file in entry.files:
            path = urlsplit(file.url).path
            content[path] = archives[name]() if entry.archive else (registry.find(file.path) or registry.locate(name)).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content[self.path])))
            self.end_headers()
            self.wfile.write(content[self.path])

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    for name in names:
        entry = registry.source(name)
        here = entry.url.replace(f"https://{urlsplit(entry.url).netloc}", f"http://127.0.0.1:{http.server_port}")
        # The archives are made of what is at hand, so that theirs are other checksums.
        changed = {"url": here} | ({"size": None, "sha256": None} if entry.archive else {})
        monkeypatch.setitem(registry.everything(), name, dataclasses.replace(entry, **changed))
    monkeypatch.setattr("torchvision.datasets.utils.check_integrity", lambda path, md5=None: Path(path).is_file())
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))
    yield asked
    http.shutdown()
    http.server_close()


def test_one_command_brings_everything_and_the_first_step_reads_it(public, tmp_path, capsys):
    assert cli.main(["fetch", "--profile", "things"]) == 0
    captured = capsys.readouterr()
    said = {line.partition(":")[0]: line for line in captured.out.splitlines()}
    assert "humalign:" not in captured.err, "no source was refused"
    assert "20,000 answers, the public file" in said["things-repeated-answers"] and "278 of 1,854 photographs" in said["things-photographs"]
    assert cli.main(["doctor", "--profile", "things"]) == 0
    assert "verdict: ready for the profile things" in capsys.readouterr().out
    pins = (tmp_path / "data" / "pins.txt").read_text()
    trainset = tmp_path / "data" / "things" / "trainset.txt"
    assert f"{hashlib.sha256(trainset.read_bytes()).hexdigest()}  things/trainset.txt" in pins
    left = [path.name for path in (tmp_path / "data").rglob("*") if path.name.endswith((".part", ".zip", ".gz"))]
    assert left == [], "archives and parts of downloads are gone"
    number = len(public)
    assert cli.main(["fetch", "--profile", "things"]) == 0 and len(public) == number, "nothing is asked for twice"
    things.cache_clear()
    assert len(things().training) > 200_000 and len(pictures("cifar10")) == 10_000
    things.cache_clear()
