"""The whole chain in small: real weights, real pictures, 90 concepts; and what happens when it is stopped, altered or run again.

``python tests/chain/test_chain.py BUILD`` runs the same chain in a process of its own, so that a test can kill it.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import golden
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

import humalign
from humalign import chain, profiles, triplets
from humalign.artefacts import Provenance, sha256
from humalign.chain import distil, judged, opened, origins, pipeline, processes, registered
from humalign.chain import keys as code
from humalign.chain import sets as pictures
from humalign.chain import steps as stages
from humalign.data import emoji, registry
from humalign.distil.distill import distill
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.models import backbones

SETTINGS = {
    "inherits": "demo",
    "threads": 1,
    "simulated": {
        "people": 30, "space_dim": 20, "group_share": 0.5, "subgroup_share": 0.45, "concept_share": 0.05, "answers": 80000,
        "test_triplets": 500,
    },
    "observer": {"dim": 25, "steps": 600, "batch": 1024},
    "teachers": [{
        "judged": "emoji", "backbones": ["efficientnet-lite2"], "parts": {"folds": 2, "whole_subgroups": 3}, "triplets": 10000,
        "border_share": 0.5, "border_clusters": 8, "pulls": [0.003, 0.001], "pull_folds": 2, "rank": 40, "iterations": 30,
    }],
    "triplets": {"clusters": 8, "number": 12000, "block_images": 40},
    "students": [{"backbone": "efficientnet-lite0", "frozen": 17, "parts": ["folds"]}],
    "distillation": {"steps": 30, "warmup": 3, "learning_rate": 0.001, "batch_triplets": 600, "checkpoint_every": 5},
    "evaluation": {"shots": [1], "few_shot_draws": 1, "bootstrap_draws": 50},
}  # fmt: skip
# Of the pictures that the backbones see: a quarter to a third of the work of their own sizes, 260 and 224.
SIDE = 128
MODULES = [importlib.import_module(found.name) for found in pkgutil.walk_packages(humalign.__path__, "humalign.")]
ALL_CONCEPTS = emoji.concepts
CHAIN = pipeline.chain(stages.STEPS, "scores")


def few_concepts() -> pd.DataFrame:
    """Six concepts of each of three subgroups of each group."""
    table = ALL_CONCEPTS()
    large = table[table.groupby("subgroup")["concept"].transform("size") >= 7]
    kept = {name for _, group in large.groupby("group") for name in group["subgroup"].drop_duplicates().iloc[:3]}
    return large[large["subgroup"].isin(kept)].groupby("subgroup", sort=False).head(6).reset_index(drop=True)


@contextlib.contextmanager
def in_small():
    """Have every module see few concepts, whoever imported the name, and every backbone small pictures of them."""
    changed = [module for module in (*MODULES, emoji) if getattr(module, "concepts", None) is ALL_CONCEPTS]
    small = {name: dataclasses.replace(recipe, size=SIDE) for name, recipe in backbones.recipes().items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(SETTINGS["threads"])
    pictures.size_of.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in changed:
                patch.setattr(module, "concepts", few_concepts)
            patch.setattr(backbones, "recipes", lambda: small)
            yield
    finally:  # also after a step that has failed: other tests see pictures of their own sizes
        torch.set_num_threads(threads)
        pictures.size_of.cache_clear()


def profile(**sections):
    return profiles.changed(profiles.parse("small", SETTINGS), **sections)


def run_chain(build, last="scores", **settings):
    """Run the chain, and return what was said."""
    said = []
    run = pipeline.Run(profile(**settings), Path(build))
    with in_small():
        pipeline.execute(stages.STEPS, last, run, said.append)
    return run, said


def made(said):
    """Which stages were made, and which reused."""
    return {line.split("] ")[1].split(":")[0] for line in said if line.endswith(" s")}


def whole(run):
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in sorted(run.folder.rglob("*")) if path.is_file()}


def same(one, other):
    """Compare two artefacts: bytes, but of safetensors the arrays, for their metadata stands in no fixed order."""
    if one.suffix != ".safetensors":
        return one.read_bytes() == other.read_bytes()
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The chain, run once; tests that change something work on a copy."""
    ALL_CONCEPTS.cache_clear()  # what is read is noted by the run
    run, said = run_chain(tmp_path_factory.mktemp("chain"))
    return run, said, scores.read(run.path("scores.csv"))


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done[0].build, tmp_path / "build")
    return pipeline.Run(done[0].profile, tmp_path / "build")


def value(frame, stage, task, split, metric):
    return scores.one(frame, stage=stage, task=task, split=split, metric=metric)["value"]


# ---- what it leaves --------------------------------------------------------------------------------------------------

def test_the_small_world_has_what_the_evaluations_need():
    table = few_concepts()
    assert len(table) == 90 and table["group"].nunique() == 5 and set(table["subgroup"].value_counts()) == {6}


def test_after_a_failure_in_the_small_world_pictures_have_their_own_sizes():
    with pytest.raises(HumalignError), in_small():
        assert pictures.size_of("efficientnet-lite0") == SIDE
        raise HumalignError("stopped")
    assert pictures.size_of("efficientnet-lite0") == 224 and len(emoji.concepts()) > 90


def test_every_stage_is_made_and_leaves_its_files_and_nothing_else(done):
    run, said, _ = done
    assert made(said) == set(CHAIN)
    wanted = {name for stage in CHAIN for name in stages.STEPS[stage].outputs(run.profile)} | {f"stamps/{stage}.json" for stage in CHAIN}
    notes = {name for name in whole(run) if name.startswith(("stamps/parts/", "scores/"))}
    assert set(whole(run)) == wanted | {"provenance.json", "steps.json"} | notes
    assert {f"triplets/fold{f}/clusters-emoji.npy" for f in range(2)} < wanted, "a damaged one is noticed"
    # What is noted as finished is there, part by part.
    noted = {name.removeprefix("stamps/parts/").removesuffix(".json") for name in notes if name.startswith("stamps/parts/")}
    assert noted <= set(whole(run)) and {"embeddings/efficientnet-lite2/emoji.npy", "scores/simulated.json"} <= noted


def test_the_scores_are_those_that_a_refactoring_must_keep(done):
    golden.check(done[0].path("scores.csv"), "small")


def test_the_run_says_where_its_scores_come_from(done):
    run, _, _ = done
    origin = origins.read(run.path("scores.csv"))
    assert list(origin.stages) == CHAIN and origin.machine == origins.Machine.here()
    for name, stage in origin.stages.items():
        stamp = json.loads(run.path(f"stamps/{name}.json").read_text())
        assert stage["seconds"] == stamp["seconds"] >= 0 and stage["date"] == stamp["date"] and stage["commit"] == stamp["commit"]
    registered = [registry.source(name) for name in ("efficientnet-lite0-weights", "efficientnet-lite2-weights")]
    assert {entry.sha256 for entry in registered} < {source["sha256"] for source in origin.sources}


def test_what_doctor_and_fetch_are_about_is_what_the_stages_read(done):
    run, _, _ = done
    read = {stage: set(json.loads(run.path(f"stamps/{stage}.json").read_text())["read"]) for stage in CHAIN}
    assert set().union(*read.values()) == set(pipeline.sources(stages.STEPS, run.profile))
    assert all(each <= set(stages.STEPS[stage].sources(run.profile)) for stage, each in read.items())


def test_a_stage_that_reads_what_it_does_not_declare_says_so(tmp_path):
    def make(run, provenance):
        registry.locate("emoji-names")

    said, steps = [], {"only": pipeline.Step((), (), lambda profile: [], make)}
    pipeline.execute(steps, "only", pipeline.Run(profiles.load("demo"), tmp_path), said.append)
    assert "[1/1] only reads emoji-names undeclared: a change of that will not be noticed" in said


def test_provenance_that_is_lost_comes_back_without_a_stage_made_again(copy, done):
    copy.path("provenance.json").unlink()
    _, said = run_chain(copy.build)
    assert made(said) == set()
    assert copy.path("provenance.json").read_bytes() == done[0].path("provenance.json").read_bytes()


def test_every_artefact_carries_its_provenance(done):
    run, _, _ = done
    fields = {"profile", "seed", "key", "commit", "python", "versions"}
    from safetensors import safe_open

    for stage in CHAIN:
        stamp = json.loads(run.path(f"stamps/{stage}.json").read_text())
        assert fields <= stamp.keys() and stamp["profile"] == "small" and "torch" in json.loads(stamp["versions"])
        assert stamp["files"] == {name: sha256(run.path(name)) for name in stages.STEPS[stage].outputs(run.profile)}
        for name in stamp["files"]:
            if name.endswith(".nc"):
                with xr.open_dataset(run.path(name), engine="h5netcdf") as file:
                    carried = dict(file.attrs)
            elif name.endswith(".safetensors"):
                with safe_open(run.path(name), "np") as file:
                    carried = file.metadata()
            elif name == "teachers/fit.json":
                carried = json.loads(run.path(name).read_text())
            else:  # the layouts of others, and plain tables: their stamp speaks for them
                continue
            assert fields <= carried.keys() and carried["key"] == stamp["key"], name


def test_triplet_files_are_sound_by_the_pictures(done):
    run, _, _ = done
    features = np.load(run.path("embeddings/efficientnet-lite2/emoji.npy"))
    with xr.open_dataset(run.path("judgments.nc"), engine="h5netcdf") as file:
        fold = file["fold"].values
    for f in range(2):
        for path in sorted(run.path(f"triplets/fold{f}").rglob("*.npz")):
            rows = triplets.read(path)
            assert [finding.seen for finding in triplets.audit(rows, embeddings=features) if not finding.ok] == []
            assert len(rows) == 12000 and (fold[rows.indices % 90] != f).all(), "no held-out concept is among them"


def test_intervals_hold_their_values_and_every_row_says_on_whose_evidence(done):
    _, _, frame = done
    given = frame.dropna(subset="value")
    assert (given["low"] <= given["value"] + 1e-6).mean() > 0.97 and (given["value"] <= given["high"] + 1e-6).mean() > 0.97
    assert set(frame["profile"]) == {"small"} and set(frame["seed"]) == {0}
    assert set(frame["evidence"]) == {"simulated", "taxonomy", "labels"}, "nothing here is human"
    assert (frame[frame["task"].isin(["odd-one-out", "uncertainty", "similarity-judgments"])]["evidence"] == "simulated").all()
    empty = scores.pick(frame, task="odd-one-out", split="local-fine", metric="accuracy")
    assert empty[empty["stage"] != "ceiling"]["value"].isna().all()


# ---- what it shows ---------------------------------------------------------------------------------------------------

def test_the_teacher_learns_what_the_judgments_say_of_concepts_it_never_saw(done):
    frame = done[2]
    rsa = {stage: value(frame, stage, "similarity-judgments", "held-out", "rsa-spearman") for stage in ("teacher-base", "teacher")}
    assert rsa["teacher"] > rsa["teacher-base"] + 0.05
    for level in ("global-coarse", "class-boundary"):
        found = {stage: value(frame, stage, "odd-one-out", level, "accuracy") for stage in ("teacher-base", "teacher", "ceiling")}
        assert 1 / 3 < found["teacher-base"] < found["teacher"] < found["ceiling"]


def test_the_aligned_student_agrees_with_the_teacher_more_than_base_and_control(done):
    frame = done[2]
    found = {s: value(frame, s, "distillation", "held-out", "agreement-with-teacher") for s in ("base", "unaligned", "aligned")}
    assert found["aligned"] > max(found["base"], found["unaligned"]) + 0.01


def test_training_brings_both_students_nearer_to_their_labels(done):
    for stage in ("aligned", "unaligned"):
        ends = (0, SETTINGS["distillation"]["steps"] - 1)
        course = [value(done[2], stage, "distillation", f"step {step}", "divergence") for step in ends]
        assert course[1] < 0.8 * course[0]


# ---- run again -------------------------------------------------------------------------------------------------------

def test_a_second_run_reuses_every_stage_and_leaves_the_same_bytes(done):
    run, _, _ = done
    before = whole(run)
    _, said = run_chain(run.build)
    assert said == [f"[{n}/{len(CHAIN)}] {stage}: reused, nothing changed" for n, stage in enumerate(CHAIN, 1)]
    assert whole(run) == before


@pytest.mark.parametrize(
    ("name", "stage", "how"),
    [
        ("embeddings/efficientnet-lite2/emoji.npy", "embeddings", "altered"),
        ("activations/efficientnet-lite0/emoji.npy", "embeddings", "deleted"),
        ("judgments.nc", "observers", "altered"),
        ("observers/emoji/fold1.safetensors", "observers", "altered"),
        ("teachers/emoji/efficientnet-lite2/fold0-teacher.safetensors", "teachers", "deleted"),
        ("triplets/fold1/untransformed/train_cluster_border_8.npz", "triplets", "altered"),
        ("triplets/fold1/clusters-emoji.npy", "triplets", "altered"),
        ("students/efficientnet-lite0/fold0-aligned.json", "students", "deleted"),
        ("students/efficientnet-lite0/fold1-unaligned.safetensors", "students", "deleted"),
        ("students/efficientnet-lite0/fold1-unaligned.safetensors", "students", "altered"),
        ("features/efficientnet-lite0/fold1-aligned.safetensors", "features", "altered"),
        ("scores.csv", "scores", "altered"),
    ],
)
def test_an_artefact_deleted_or_altered_is_made_again_as_it_was(copy, done, name, stage, how):
    path = copy.path(name)
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    else:
        content[-9] ^= 0xFF
        path.write_bytes(content)
    _, said = run_chain(copy.build)
    assert made(said) == {stage}
    for other in (name, "scores.csv"):
        assert same(copy.path(other), done[0].path(other)), other


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "0"}'])
def test_a_spoilt_stamp_costs_only_its_stage(copy, content):
    copy.path("stamps/observers.json").write_text(content)
    _, said = run_chain(copy.build, "observers")
    assert made(said) == {"observers"}


def test_a_changed_setting_remakes_what_depends_on_it_only(copy):
    _, said = run_chain(copy.build, evaluation={"bootstrap_draws": 120})
    assert made(said) == {"scores"}


def keys(**settings):
    whole = profiles._laid(profiles.as_settings(profile()), settings) | {"name": "small", "source": "small"}
    # Any value will do, also one that no run may have.
    return pipeline.keys_of(stages.STEPS, CHAIN[-1], profiles.section(profiles.Profile, whole, ""))


def leaves(settings, place=()):
    """Yield the place of every single value of some settings."""
    inside = settings.items() if isinstance(settings, dict) else enumerate(settings) if isinstance(settings, list) else None
    if inside is None:
        yield place
        return
    for key, each in inside:
        yield from leaves(each, (*place, key))


# What names a set or a part is looked up where keys are taken.
NAMED = {("inherits",), ("students", 0, "parts", 0), ("teachers", 0, "judged")}


@pytest.mark.parametrize("place", sorted(set(leaves(SETTINGS)) - NAMED, key=str), ids=str)
def test_every_setting_is_part_of_some_stage_and_of_all_after_it(place):
    settings = profiles.as_settings(profile())
    *above, last = place
    inner = settings
    for name in above:
        inner = inner[name]
    inner[last] = {str: f"{inner[last]}x", float: 0.77, int: 7}[type(inner[last])]
    old, new = keys(), keys(**settings)
    changed = {stage for stage in CHAIN if old[stage] != new[stage]}
    assert changed, "a setting that no key knows would leave stale artefacts"
    for stage in CHAIN:
        if changed & set(stages.STEPS[stage].needs):
            assert stage in changed
    assert "scores" in changed


def test_the_checksum_of_a_file_is_part_of_the_key_of_what_reads_it_and_its_licence_is_not(monkeypatch):
    before, entry = keys(), registry.source("emoji-names")
    for change, wanted in (({"licence": "another", "note": "a note"}, set()), ({"sha256": "0" * 64}, set(CHAIN) - {"pixels"})):
        monkeypatch.setitem(registry.everything(), "emoji-names", dataclasses.replace(entry, **change))
        after = keys()
        changed = {stage for stage in CHAIN if before[stage] != after[stage]}
        assert changed == wanted


@pytest.mark.parametrize(
    ("module", "name", "reach"),
    [
        ("data.emoji", "EmojiImages", {"pixels", "embeddings", "triplets"}),
        ("data.simulate", "calibrated", {"observers"}),
        ("data.judgments", "random_triplets", {"observers", "teachers", "triplets", "students", "scores"}),
        ("teach.vice", "fit", {"observers"}),
        ("teach.teacher", "try_pulls", {"teachers"}),
        ("triplets.sampling", "cluster_border_blocks", {"triplets"}),
        ("distil.optimiser", "AdamTowardsInit", {"students"}),
        ("evaluation.hierarchy", "distances_by_relation", {"scores"}),
        ("models.embeddings", "to_files", {"embeddings"}),
        ("chain.registered", "_levels", set()),
        ("data.readers_answers", "training", set()),
        ("data.wordnet", "hypernyms", set()),
        ("models.export", "save_pretrained", set()),
        ("data.registry.fetching", "fetch", set()),
    ],
)
def test_an_edit_makes_stale_the_steps_whose_results_it_can_change_and_no_other(monkeypatch, module, name, reach):
    """Change one definition; steps that do not reach it, and were so named by nobody, keep their code's digest."""
    before = {stage: code.code(stages.STEPS[stage].make, (), stages.STEPS[stage].tables(profile())) for stage in CHAIN}
    real = code._text
    monkeypatch.setattr(code, "_text", lambda place, used: real(place, used) + "edited" * (place == (f"humalign.{module}", name)))
    changed = {stage for stage in CHAIN if code.code(stages.STEPS[stage].make, (), stages.STEPS[stage].tables(profile())) != before[stage]}
    assert changed == reach


def test_comments_and_docstrings_are_no_part_of_a_key():
    def dumped(source):
        return [code.ast.dump(code._bare(statement)) for statement in code.ast.parse(source).body]

    one = 'def f(x):\n    """Say one thing."""\n    return x + 1  # because\n'
    assert dumped(one) == dumped('def f(x):\n    """Say another."""\n    return x + 1\n') != dumped("def f(x):\n    return x + 2\n")


def test_code_is_followed_through_modules_classes_tables_and_local_imports(tmp_path, monkeypatch):
    package = tmp_path / "humalign"
    (package / "inner").mkdir(parents=True)
    for file, text in {
        "__init__.py": "", "inner/__init__.py": "from humalign.inner.deep import moved\n",
        "inner/deep.py": "def moved():\n    return CONSTANT\nCONSTANT = 1\nOTHER = 2\n",
        "top.py": "from humalign import inner, tables, unread\nclass Base:\n    unread: int = 0\n"
                  "    def run(self):\n        return inner.moved()\n"
                  "class Step(Base):\n    pass\ndef make():\n    from humalign.late import late\n"
                  "    return Step(), tables.TABLE['x'], late\ndef unused():\n    return 1\n",
        "tables.py": "def one():\n    return 1\nTABLE = {'x': one}\nRIGHT = 3\n",
        "unread.py": "print('not because a field has its name')\n",
        "late.py": "late = 1\nlater = 2\nprint('imported')\n",
    }.items():  # fmt: skip
        (package / file).write_text(text)
    monkeypatch.setitem(code.FOLDERS, "humalign", package)
    found = {f"{module.removeprefix('humalign.')}.{name}" for module, name in code.reached([("humalign.top", "make")]) if name}
    wanted = {"top.make", "top.Step", "top.Base", "inner.moved", "inner.deep.moved", "inner.deep.CONSTANT", "tables.TABLE", "tables.one"}
    assert found == wanted | {"late.late"}
    assert ("humalign.late", "") in code.reached([("humalign.top", "make")]), "what a module does when it is imported counts too"


def test_the_recipe_of_a_backbone_is_part_of_its_key():
    root = Path(humalign.__file__).parent
    watched = {path for pattern in stages.STEPS["embeddings"].files for path in root.parent.glob(pattern)}
    assert root / "data" / "registry" / "backbones.yaml" in watched


# ---- an open run -----------------------------------------------------------------------------------------------------

METHODS = ("prepare", "observe", "teach", "triplets", "distil", "features")


@pytest.fixture
def small(tmp_path):
    """The settings as a file of one's own, whose run is the same."""
    (tmp_path / "small.yaml").write_text(json.dumps(SETTINGS))
    return str(tmp_path / "small.yaml")


def test_an_open_run_says_the_same_where_it_computes_reuses_or_is_recorded(copy, small, tmp_path, monkeypatch):
    without(copy, "features")
    said = []
    monkeypatch.setattr(opened, "_say", lambda line: said.append(line))
    run = chain.open(small, copy.build)
    with in_small():
        computed = run.features()
        assert made(said) == {"features"}
        told = {name: getattr(run, name)() for name in METHODS}
        table = run.scores()
    assert made(said) == {"features", "scores", "illustrations"}, "what was good is reused"
    monkeypatch.setattr(origins, "RECORDED", tmp_path / "recorded")
    shutil.copytree(copy.folder, tmp_path / "recorded" / "small", ignore=lambda folder, names: {n for n in names if "." not in n})
    recorded = opened._Recorded(profile())
    for name, summary in told.items():
        for shown in (repr, opened.Summary._repr_html_):
            assert shown(getattr(recorded, name)()) == shown(summary)
        assert len(summary.rows) and not re.search(r"20\d\d-|seconds|/", repr(summary)), "no day, no time, no path"
    assert repr(computed) == repr(told["features"])
    assert recorded.scores().equals(table) and recorded.evaluate("simulated").equals(table)
    assert run.path("scores.csv") == copy.path("scores.csv")
    with pytest.raises(HumalignError, match="the arrays of a recorded run are not kept: open small with a build folder"):
        recorded.path("embeddings/efficientnet-lite2/emoji.npy")


def test_what_a_summary_says_is_what_the_files_hold(done):
    run = done[0]
    kept = pipeline.summary("observers", run)
    means = {f: load_file(run.path(f"observers/emoji/fold{f}.safetensors"))["mean"].shape for f in range(2)}
    assert [(row["fit"], row["things"], row["dimensions"]) for row in kept] == [(f"fold{f}", *means[f]) for f in range(2)]
    with xr.open_dataset(run.path("judgments.nc"), engine="h5netcdf") as file:
        inside = [(file["fold"].values[file["triplets"].values] != f).all(1) for f in range(2)]
        assert [row["answers"] for row in kept] == [file["counts"].values[rows].sum() for rows in inside]
    (first, _), (second, _) = (pipeline.summary(name, run) for name in ("teachers", "triplets"))
    note = json.loads(run.path("teachers/emoji/efficientnet-lite2/fold0.json").read_text())
    assert first["regularisation"] == f"{note['pull']:g}"
    assert first["accuracy on hidden things"] == float(f"{max(note['pulls'].values()):.3g}")
    clusters = np.load(run.path("triplets/fold0/clusters-emoji.npy"))
    assert (second["triplets"], second["pictures"], second["clusters"]) == (12000, len(clusters), len(set(clusters)))
    log = json.loads(run.path("students/efficientnet-lite0/fold0-aligned.json").read_text())["divergence"]
    assert pipeline.summary("students", run)[0]["last steps"] == float(f"{np.mean(log[-10:]):.3g}")


def test_single_evaluations_are_kept_for_the_table_of_all(copy, small, monkeypatch):
    without(copy, "scores")
    shutil.rmtree(copy.path("scores"))
    run = chain.open(small, copy.build)
    with in_small():
        assert len(run.evaluate("objects")) == 0, "of another profile"
        found = run.evaluate("simulated", "training")
        assert copy.path("scores.csv").is_file(), "it was the last"
        assert json.loads(copy.path("stamps/scores.json").read_text())["seconds"] > 0.5, "the time of evaluating is that of the step"
        monkeypatch.setitem(stages.EVALUATIONS, "simulated", None)
        pd.testing.assert_frame_equal(found, run.scores(), check_dtype=False)
    with pytest.raises(HumalignError, match="unknown evaluation 'simulate': did you mean 'simulated'"):
        run.evaluate("simulate")


def test_within_one_run_an_artefact_is_hashed_once_and_again_when_it_changed(copy, monkeypatch):
    hashed = []
    monkeypatch.setattr(processes, "sha256", lambda path: hashed.append(path) or sha256(path))
    run_chain(copy.build)
    outputs = {copy.path(name) for stage in CHAIN for name in stages.STEPS[stage].outputs(copy.profile)}
    assert set(hashed) == outputs and len(hashed) == len(outputs)
    run_chain(copy.build)
    assert len(hashed) == 2 * len(outputs), "another run takes nobody's word"
    hashed.clear()
    with processes.held(copy.folder):
        run_chain(copy.build)
        run_chain(copy.build)
        assert len(hashed) == len(outputs)
        copy.path("scores.csv").write_bytes(copy.path("scores.csv").read_bytes().replace(b"base", b"bose"))
        _, said = run_chain(copy.build)
        assert made(said) == {"scores"}
    assert not copy.path(processes.NAME).exists()


# ---- stopped ---------------------------------------------------------------------------------------------------------

def without(run, stage):
    """Forget a stage and what follows it."""
    for name in CHAIN[CHAIN.index(stage) :]:
        for output in stages.STEPS[name].outputs(run.profile):
            run.path(output).unlink()
            run.path(f"stamps/parts/{output}.json").unlink(missing_ok=True)
        run.path(f"stamps/{name}.json").unlink()


def test_a_run_killed_while_a_student_is_trained_ends_as_an_unbroken_one(copy, done):
    without(copy, "students")
    place = "students/efficientnet-lite0/"
    finished, halfway = copy.path(f"{place}fold0-aligned.safetensors"), f"{place}fold0-unaligned.*.ckpt"
    first = copy.path("students").rglob("*.ckpt")
    with subprocess.Popen(
        [sys.executable, __file__, str(copy.build)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        while process.poll() is None and not (first := list(copy.path("students").rglob("*.ckpt"))):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        said = process.stderr.read()
    assert process.returncode == -signal.SIGKILL, said
    assert first and not finished.exists() and not list(copy.folder.glob(halfway)), "it was killed in the middle of the first student"
    assert not copy.path("scores.csv").exists()
    _, said = run_chain(copy.build)
    assert made(said) == {"students", "features", "scores"}
    assert whole(copy).keys() == whole(done[0]).keys(), "nothing is left over"
    for name in whole(copy):
        assert name.startswith(("stamps/", "provenance")) or same(copy.path(name), done[0].path(name)), name
    assert copy.path("scores.csv").read_bytes() == done[0].path("scores.csv").read_bytes()


def test_a_finished_student_is_not_trained_again_after_a_stop(copy, done, monkeypatch):
    without(copy, "scores")
    copy.path("stamps/students.json").unlink()
    name = "students/efficientnet-lite0/fold1-unaligned.safetensors"
    copy.path(name).unlink()
    trained = []
    monkeypatch.setattr(distil, "distill", lambda *args, **more: trained.append(1) or distill(*args, **more))
    run_chain(copy.build, "students")
    assert trained == [1]
    assert same(copy.path(name), done[0].path(name))


def test_a_full_disk_in_the_middle_is_one_line_and_leaves_no_half_file(copy, monkeypatch):
    without(copy, "triplets")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("humalign.artefacts.os.replace", full)
    with pytest.raises(HumalignError, match=r"no space left for .*triplets/fold0/.*: .*run the same command again") as caught:
        run_chain(copy.build, "triplets")
    assert "\n" not in str(caught.value)
    assert not [name for name in whole(copy) if name.startswith("triplets/") and "clusters" not in name]


# Of the demo no picture is kept as pixels.
@pytest.mark.parametrize("stage", CHAIN[1:])
def test_a_disk_that_fills_up_in_a_stage_is_one_line_and_the_next_run_goes_on(done, disk, stage):
    place, leave = disk
    shutil.copytree(done[0].build, place / "build")
    run = pipeline.Run(done[0].profile, place / "build")
    without(run, stage)
    leave(16 * 1024)
    with pytest.raises(HumalignError, match=r"no space left for .*: free some, then run the same command again") as caught:
        run_chain(run.build, stage)
    assert "\n" not in str(caught.value)
    assert not list(run.folder.rglob(".*.part*")), "no half-written file stays"
    leave(2**30)
    run_chain(run.build, stage)
    for name in stages.STEPS[stage].outputs(run.profile):
        assert same(run.path(name), done[0].path(name)), name


# ---- broken on purpose -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1)], ids=str)
def test_permuted_similarity_columns_are_refused_before_training(copy, order):
    path = copy.path("triplets/fold0/uncertainty_distillation/train_cluster_border_8.npz")
    rows = triplets.read(path)
    triplets.write(path, dataclasses.replace(rows, similarities=rows.similarities[:, list(order)]))
    with in_small(), pytest.raises(HumalignError, match=r"the triplet file fails its audit .*see `humalign audit") as caught:
        stages.STEPS["students"].make(copy, Provenance("small", 0, "another"))
    assert "\n" not in str(caught.value)
    assert not list(copy.path("students").rglob("*.ckpt"))


def test_pictures_stand_style_by_style_in_the_order_of_the_concepts(done):
    with in_small():
        labels = registered.SETS["emoji"](done[0].profile).labels
    assert np.load(done[0].path("embeddings/efficientnet-lite0/emoji.npy")).shape == (180, 1280)
    assert labels["style"].tolist() == ["openmoji"] * 90 + ["twemoji"] * 90
    assert labels["concept"][:90].tolist() == labels["concept"][90:].tolist() == few_concepts()["concept"].tolist()


def test_every_student_of_a_profile_is_scored_by_simulated_observers(copy, monkeypatch):
    from humalign.chain.scoring import simulated

    student = {"frozen": 17, "parts": ["folds"]}
    several = [student | {"backbone": f"efficientnet-lite{number}"} for number in (0, 1)]
    run = dataclasses.replace(copy, profile=profile(students=several))
    monkeypatch.setattr(simulated.features, "read", lambda run, model, *which: np.zeros((2, 90, 3)))
    monkeypatch.setattr(simulated.features, "views", lambda which, x: x)
    found = simulated._features(run, judged.parts(run, run.profile.labeller)[0])
    assert {model for model, stage in found if stage == "aligned"} == {"efficientnet-lite0", "efficientnet-lite1"}


if __name__ == "__main__":
    run_chain(sys.argv[1])
