"""`benchmarks/gpu.py` at toy size: every part gives a figure, and the cost table follows from the figures."""

import importlib
import json
import math
import sys
import time
from pathlib import Path

import pytest

from humalign import profiles

# The checks of shapes, which run in tests alone, are nothing that the compiler knows.
pytestmark = pytest.mark.filterwarnings("ignore:Dynamo does not know:UserWarning")
FOLDER = Path(__file__).parents[2] / "benchmarks"
SIBLINGS = ("gpu", "compare", "distillation", "paper", "triplets")
PICTURES = "pictures/s"
RATES = {"peak": "TFLOP/s", "embed": PICTURES, "distil": "steps/s", "clusters": PICTURES, "labels": "rows/s"}


@pytest.fixture(scope="module")
def gpu():
    # The files of a folder of scripts import each other by their short names, which others may want too.
    hidden = {name: sys.modules.pop(name) for name in SIBLINGS if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("gpu")
    sys.path.remove(str(FOLDER))
    for name in SIBLINGS:
        sys.modules.pop(name, None)
    sys.modules.update(hidden)


@pytest.fixture(scope="module")
def left(gpu, tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    gpu.main(["--tiny", "--workers", "1", "--out", str(path)])
    return json.loads(path.read_text())


def test_every_part_gives_finite_positive_figures(gpu, left):
    assert left["failed"] == {}
    assert left["seconds"].keys() == gpu.PARTS.keys()
    for name, figure in left["figures"].items():
        assert math.isfinite(figure["value"]), name
        # The same seeds on the same processor: nothing may differ.
        assert figure["value"] == 0 if figure["unit"] == "difference" else figure["value"] > 0, name
    for part in gpu.PARTS:
        start = {"embedding": "embed, ", "loader": "squash"}.get(part, part)
        assert any(name.startswith(start) for name in left["figures"]), part
    for start, unit in RATES.items():
        found = {figure["unit"] for name, figure in left["figures"].items() if name.startswith(start)}
        assert unit in found, start


def test_the_file_says_where_the_figures_are_from_and_that_they_are_no_gpu_s(left):
    assert left["tiny"] and left["gpu"] == "none"
    assert {"python", "torch", "timm"} <= left["versions"].keys()
    assert left["machine"] and left["commit"] and len(left["date"]) == len("2026-01-31")


def test_shares_and_ratios_follow_from_the_rates(left):
    figures = {name: figure["value"] for name, figure in left["figures"].items()}
    ratio = figures["distil-compiled"] / figures["distil-fp32"]
    assert figures["distil-compiled, times plain fp32"] == pytest.approx(ratio)
    one, other = (figures[f"distil-{kind}, share of the peak"] for kind in ("bf16", "fp32"))
    assert one / other == pytest.approx(figures["distil-bf16"] / figures["distil-fp32"])
    assert figures["distil-fp32, pictures"] == pytest.approx(3 * 4 * figures["distil-fp32"])
    for name, met in left["goals"].items():
        assert met is (figures[name] >= {"of the peak": 0.5}.get(name.split("share ")[-1], 3.0))


def test_the_cost_table_follows_from_figures_and_profiles(left):
    figures = {name: figure["value"] for name, figure in left["figures"].items()}
    found = {}
    for row in left["costs"]:
        found.setdefault(row["profile"], {})[row["step"]] = row
    assert {"paper", "released"} < found.keys() and any(name.startswith("open") for name in found)
    for steps in found.values():
        whole = steps.pop("all")["hours"]
        for row in steps.values():
            slowest = min(figures[name] for name in row["rates"])
            assert row["hours"] == pytest.approx(row["count"] / slowest / 3600)
        assert whole == pytest.approx(sum(row["hours"] for row in steps.values())) and whole > 0
    paper, steps = profiles.load("paper"), found["paper"]
    students = 2 * len(paper.students)
    assert steps["train students and controls"]["count"] == students * paper.distillation.steps
    assert steps["train students and controls"]["models"] == students
    assert steps["label triplets, twice"]["count"] == 2 * paper.triplets.number
    assert steps["cluster the pool"]["count"] == paper.data.imagenet_pictures
    assert not any("train" in step for step in found["released"])


def test_the_full_size_is_the_paper_s_and_its_limits_add_up_to_less_than_eight_minutes(gpu):
    paper, size = profiles.load("paper"), gpu.full()
    assert 3 * size.triplets == 1536 and size.images[-1] == paper.data.imagenet_pictures
    assert size.rows[-1] == paper.triplets.number and size.clusters == paper.triplets.clusters
    assert (size.teacher,) == paper.labeller.backbones and size.batch == paper.compute.batch_images
    assert 50 * sum(share for share, _ in gpu.PARTS.values()) < 450


def test_a_part_that_fails_or_takes_too_long_is_one_line(gpu, tmp_path, monkeypatch, capsys):
    def fails(bench, left):
        raise RuntimeError("no such\nkernel")

    broken = {"embedding": (1.0, fails), "labels": (0.002, lambda bench, left: time.sleep(100))}
    monkeypatch.setattr(gpu, "PARTS", gpu.PARTS | broken)
    began, path = time.monotonic(), tmp_path / "gpu.json"
    gpu.main(["--tiny", "--out", str(path), "--only", "embedding", "labels", "clusters"])
    left, lines = json.loads(path.read_text()), capsys.readouterr().out.splitlines()
    assert len(left["seconds"]) == 3 and time.monotonic() - began < 60  # the sleep was cut short
    assert "embedding: failed: RuntimeError: no such kernel" in lines
    assert any(line.startswith("labels: failed: TimeoutError: the limit of 0 s is over") for line in lines)
    assert left["failed"].keys() == {"embedding", "labels"} and left["figures"].keys() == {"clusters"}
    assert {row["hours"] for row in left["costs"] if row["step"] == "all"} == {None}
    assert left["goals"] == dict.fromkeys(gpu.GOALS)
    assert any(line.startswith("toy sizes") and "no figures of a GPU" in line for line in lines)


def test_a_size_is_left_out_where_it_would_not_fit_in_the_time(gpu):
    rates = gpu.Rates(None, 2, 1, lambda: 0.5)
    done, rate = rates._grown((1, 2, 1000), lambda size: time.sleep(0.01 * size))
    assert done == 2 and 50 < rate < 101


def test_memory_that_is_too_small_for_a_step_makes_passes_of_it(gpu, tmp_path, monkeypatch):
    asked = []

    def seconds(student, side, rows, engine, steps, left):
        asked.append(engine.passes)
        if engine.passes < 4:
            raise gpu.torch.OutOfMemoryError
        return 0.5

    monkeypatch.setattr(gpu, "step_seconds", seconds)
    bench = gpu.Bench(gpu.tiny(), gpu.torch.device("cpu"), 1, tmp_path)
    gpu.distillation("distil-bf16", True, False, bench, lambda: 1.0)
    gpu.distillation("distil-compiled", True, True, bench, lambda: 1.0)
    assert asked == [1, 2, 4, 4] and bench.figures["distil-bf16"]["value"] == 2


def test_a_missing_package_is_named_in_one_line(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "humalign.models.backbones", None)
    with pytest.raises(SystemExit, match=r"the package humalign\.models\.backbones is not installed"):
        importlib.reload(gpu)
