"""The paper's chain in small, from files in the official layouts to scores and their chapter; and what happens when it is stopped."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import golden
import nbformat
import numpy as np
import pytest
import rehearsal_inputs
import test_released
import torch
from safetensors.numpy import load_file

from humalign import profiles, triplets
from humalign.artefacts import PACKAGE, Provenance, sha256
from humalign.chain import distil, doctor, features, judged, label, pipeline, registered
from humalign.chain import sets as pictures
from humalign.chain import steps as stages
from humalign.data import imagenet
from humalign.errors import HumalignError
from humalign.evaluation import baselines, scores
from humalign.models import backbones, embeddings
from humalign.show import notebooks, scale

ROOT = Path(__file__).parents[2]
PROFILE = profiles.load("rehearsal")
CHAIN = stages.STEPS
KEY = "0123456789abcdef"
PAPER_CHAPTER = "paper_scale.ipynb"
# Task and metric of everything that the page on the paper's scale shows of every model.
MEASURES = (
    ("odd-one-out", "accuracy"), ("similarity-judgments", "rsa-spearman"), ("uncertainty", "response-time-entropy-spearman"),
    ("uncertainty", "entropy-spearman"), ("soft-labels", "cross-entropy"), ("hierarchy", "standardised-distance"),
    ("hierarchy", "path-spearman"),
    ("few-shot", "accuracy"), ("subpopulation-shift", "accuracy"), ("natural-adversarial", "accuracy"),
    ("distillation", "agreement-with-labels"),
)
LEVELS = ("global-coarse", "local-fine", "class-boundary")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    rehearsal_inputs.main(folder)
    return folder


@pytest.fixture(autouse=True)
def found(inputs, monkeypatch):
    """Let every test find the made inputs, and nothing else."""
    for name, place in rehearsal_inputs.environment(inputs).items():
        monkeypatch.setenv(name, place)
    registered.training.cache_clear()
    judged.things.cache_clear()


def command(build, stage):
    return [sys.executable, "-m", "humalign.cli", "run", stage, "--profile", "rehearsal", "--build", str(build)]


def environment(inputs):
    return os.environ | rehearsal_inputs.environment(inputs) | {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def killed(inputs, tmp_path_factory):
    """A run that was killed while students were taught, and was then run again; with what it had finished when it was killed."""
    build = tmp_path_factory.mktemp("build")
    with subprocess.Popen(command(build, "scores"), env=environment(inputs), stderr=subprocess.PIPE, text=True) as process:
        folder, until = build / "rehearsal" / "students" / "timm-test_vit", time.monotonic() + 600
        while not any(folder.glob("all-unaligned.*.ckpt")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = subprocess.run(command(build, "scores"), env=environment(inputs), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    return build, before, again.stderr


@pytest.fixture
def run(killed):
    return pipeline.Run(PROFILE, killed[0])


def test_what_doctor_and_fetch_are_about_is_what_the_stages_read(run, killed):
    stamps = [json.loads(path.read_text()) for path in run.path("stamps").glob("*.json")]
    read, listed = {name for stamp in stamps for name in stamp["read"]}, set(pipeline.sources(CHAIN, PROFILE))
    # ImageNet is found by a folder of its own.
    assert read | {"imagenet-2012-training", "imagenet-2012-validation"} == listed
    assert "undeclared" not in killed[2]


# ---- the chain -------------------------------------------------------------------------------------------------------


def test_every_stage_leaves_its_files(run):
    for name in pipeline.chain(CHAIN, "scores"):
        missing = [file for file in CHAIN[name].outputs(PROFILE) if not run.path(file).is_file()]
        assert not missing, name
        assert json.loads(run.path(f"stamps/{name}.json").read_text())["profile"] == "rehearsal"


def test_a_run_that_was_killed_goes_on_where_it_was(run, killed):
    _, before, said = killed
    assert "all-aligned.safetensors" in before and "all-unaligned.safetensors" not in before
    assert run.path("students/timm-test_vit/all-aligned.safetensors").read_bytes() == before["all-aligned.safetensors"]
    assert "[5/8] triplets: reused, nothing changed" in said
    assert not list(run.path("students").rglob("*.ckpt"))


def test_a_run_that_was_killed_ends_as_one_that_was_not(run, inputs, tmp_path):
    # What came before the students is taken over; they are made again without a stop. What follows was made without one.
    shutil.copytree(run.build, tmp_path / "build")
    again = pipeline.Run(PROFILE, tmp_path / "build")
    shutil.rmtree(again.path("students"))
    shutil.rmtree(again.path("stamps/parts"))
    again.path("stamps/students.json").unlink()
    done = subprocess.run(command(again.build, "students"), env=environment(inputs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = CHAIN["students"].outputs(PROFILE)
    assert len([name for name in made if name.endswith(".safetensors")]) == 4
    for name in made:
        one, other = run.path(name), again.path(name)
        if name.endswith(".json"):
            assert one.read_bytes() == other.read_bytes(), name
        else:
            first, second = load_file(one), load_file(other)
            assert first.keys() == second.keys() and all(np.array_equal(first[each], second[each]) for each in first), name


def test_every_evaluation_has_rows_and_none_is_said_to_be_of_people(run):
    table = scores.read(run.path("scores.csv"))
    assert set(table["evidence"]) == {"simulated"}
    assert not table[["value", "low", "high"]].isna().any().any()
    everyone = {(PROFILE.labeller.backbones[0], stage) for stage in ("teacher-base", "teacher")}
    everyone |= {(name, stage) for name in PROFILE.backbones for stage in features.STAGES}
    for task, metric in MEASURES:
        rows = scores.pick(table, task=task, metric=metric)
        if task == "distillation":
            assert set(zip(rows["model"], rows["stage"], strict=True)) == {m for m in everyone if m[1] in ("aligned", "unaligned")}
        else:
            assert everyone <= set(zip(rows["model"], rows["stage"], strict=True)), task
    for task in ("odd-one-out", "similarity-judgments", "uncertainty", "soft-labels"):  # what costs no judgment stands beside the judgments
        for kind in baselines.KINDS:
            having = set(scores.pick(table, task=task, stage=[f"base-{kind}", f"teacher-{kind}"])["model"])
            assert having == {PROFILE.labeller.backbones[0], *PROFILE.backbones}, (task, kind)
    things = {"THINGS", "THINGS, photographs judged", "unseen objects"}
    assert {*things, *LEVELS} <= set(scores.pick(table, task="odd-one-out")["split"])
    assert len(scores.pick(table, task="between-models", metric="cka"))
    related = set(scores.pick(table, task="hierarchy", metric="standardised-distance")["split"])
    assert {"THINGS/same-category", "ImageNet/other-superclass", "THINGS/path 0-5", "ImageNet/path 14+"} <= related
    tested = scores.pick(table, task="hierarchy", metric="permutation-p")
    assert set(tested["split"]) == related and set(tested["stage"]) == {"teacher", "unaligned", "aligned"}
    similar = set(scores.pick(table, task="similarity-judgments", metric="rsa-spearman")["split"])
    here = {f"peterson-{category}" for category in rehearsal_inputs.PETERSON}
    assert similar == {"92 photographs", *here, *registered.CICHY, "king", "48 THINGS objects"}
    assert {f"{task}/2-shot, {domain}" for task in ("living-17", "nonliving-26", "entity-13", "entity-30")
            for domain in ("source", "target", "drop")} <= set(table["split"])


def test_a_centred_stage_is_the_one_before_less_the_mean_of_pictures_that_nobody_judged(run):
    for model, stage in {(PROFILE.labeller.backbones[0], "teacher-centred"), *((name, "base-centred") for name in PROFILE.backbones)}:
        before = {"teacher-centred": "teacher-base", "base-centred": "base"}[stage]
        unjudged = PROFILE.data.pool if stage == "teacher-centred" else "imagenet-val"
        mean = features.read(run, model, before, unjudged).mean(0, dtype=float)
        for which in ("things", "kriegeskorte-92"):
            found, wanted = (features.read(run, model, each, which) for each in (stage, before))
            np.testing.assert_allclose(found, wanted - mean, atol=1e-5)


def test_a_whitened_stage_has_the_identity_as_covariance_on_pictures_that_nobody_judged(run):
    students = [(name, "base-whitened", "imagenet-val") for name in PROFILE.backbones]
    for model, stage, unjudged in ((PROFILE.labeller.backbones[0], "teacher-whitened", PROFILE.data.pool), *students):
        found = features.read(run, model, stage, unjudged).astype(float)
        np.testing.assert_allclose(np.cov(found.T, ddof=0), np.eye(len(found.T)), atol=1e-3)
        assert features.read(run, model, stage, "things").shape[1] == len(found.T) >= 3


def test_a_random_stage_has_the_rank_of_the_teachers_map_and_is_another_for_each_part(run):
    model = PROFILE.labeller.backbones[0]
    rank = min(features.fitted(run, PROFILE.labeller).matrix_.shape)
    shown = features.read(run, model, "teacher-random", "things")
    assert shown.shape[1] == rank
    assert (shown == features.read(run, model, "teacher-random", "things")).all()
    assert np.abs(shown - features.read(run, model, "teacher-random", "things", "fold0")).max() > 1e-3


def test_the_scores_are_those_that_a_refactoring_must_keep(run):
    golden.check(run.path("scores.csv"), "rehearsal")


def test_the_teacher_knows_more_of_the_objects_than_the_backbone_says(run):
    table = scores.read(run.path("scores.csv"))
    gain = scores.one(table, stage="teacher", task="odd-one-out", split="THINGS", metric="accuracy-above-teacher-base")
    assert gain["value"] > 0


def test_training_moves_students_and_is_told(run):
    base = features.read(run, "timm:test_vit", "base", "things")
    for stage in ("aligned", "unaligned"):
        log = json.loads(run.path(f"students/timm-test_vit/all-{stage}.json").read_text())
        assert len(log["divergence"]) == PROFILE.distillation.steps
        assert {int(step) for step in log["evaluations"]} == {3, 6}
        assert np.abs(features.read(run, "timm:test_vit", stage, "things") - base).max() > 1e-4


def page_at_scale(given, folder):
    """Run the page on the paper's scale; return the text of everything that it shows."""
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / PAPER_CHAPTER, folder / "notebooks")
    (made,) = notebooks.run(folder / "notebooks", given, folder / "out")
    shown = [output.get("data", {}) for cell in nbformat.read(made, as_version=4).cells for output in cell.get("outputs", [])]
    return "\n".join(str(data.get("text/plain", "")) + str(data) for data in shown)


def test_the_page_shows_every_measure_of_the_run_and_says_that_it_is_no_result(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    said = page_at_scale({"profile": "rehearsal", "build": run.build}, tmp_path)
    assert "imulated observers, not people; run rehearsal" in said and "eople's judgments" not in said
    for measure in scale.MEASURES:
        assert said.count(f"{measure.caption}. ") >= 1 + measure.compared, measure.caption
    assert said.count("<svg") >= sum(measure.drawn for measure in scale.MEASURES)
    assert "There is no run" not in said


def test_without_a_run_the_page_says_so_and_shows_nothing(tmp_path):
    said = page_at_scale({}, tmp_path)
    assert "There is no run at the paper's scale yet." in said.replace("\\", "")
    assert "<svg" not in said and "<table" not in said


# ---- inputs ----------------------------------------------------------------------------------------------------------


def test_imagenet_is_the_same_from_folders_as_from_the_tar_file(inputs, tmp_path, monkeypatch):
    packed = imagenet.training(PROFILE.data.imagenet_pictures)
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
    with tarfile.open(inputs / "imagenet" / imagenet.TAR) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                inner.extractall(tmp_path / "train" / member.name.removesuffix(".tar"), filter="data")
    monkeypatch.setenv(imagenet.FOLDER, str(tmp_path))
    unpacked = imagenet.training(PROFILE.data.imagenet_pictures)
    assert isinstance(packed, imagenet.InTar) and isinstance(unpacked, imagenet.ClassFolders)
    assert packed.labels.equals(unpacked.labels)
    for index in (0, 299, 599):
        assert np.array_equal(np.array(packed[index]), np.array(unpacked[index]))
    for lost in list((tmp_path / "train").rglob("*_2.JPEG"))[:3]:
        lost.unlink()
    with pytest.raises(HumalignError, match=r"597 training pictures of ImageNet .* instead of 600: 3 are missing; unpack it again"):
        imagenet.training(PROFILE.data.imagenet_pictures)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / imagenet.FLAT_TAR).unlink(), f"no validation pictures of ImageNet in .* or {imagenet.FLAT_TAR}"),
        (lambda root: os.truncate(root / imagenet.TAR, 700_000), "cannot read .*fetch it again|cut short"),
        (lambda root: (root / imagenet.TAR).unlink(), f"no training pictures of ImageNet in .*: it should hold .* or {imagenet.TAR}"),
        (lambda root: (root / "train" / "n10000000").mkdir(parents=True), "no pictures in the class folders of"),
    ],
)
def test_an_imagenet_that_cannot_be_used_is_one_line(inputs, tmp_path, monkeypatch, change, said):
    shutil.copytree(inputs / "imagenet", tmp_path / "imagenet")
    monkeypatch.setenv(imagenet.FOLDER, str(tmp_path / "imagenet"))
    change(tmp_path / "imagenet")
    with pytest.raises(HumalignError, match=said) as caught:
        imagenet.training(PROFILE.data.imagenet_pictures)
        imagenet.validation(PROFILE.data.imagenet_validation)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "/no/such/folder"])
def test_imagenet_that_is_nowhere_is_one_line(monkeypatch, value):
    monkeypatch.delenv(imagenet.FOLDER) if value is None else monkeypatch.setenv(imagenet.FOLDER, value)
    with pytest.raises(HumalignError, match="HUMALIGN_IMAGENET"):
        imagenet.training()


def test_made_up_inputs_are_refused_as_peoples():
    with pytest.raises(HumalignError, match=r"holds other ids than those of THINGS: .* or say `evidence: simulated`"):
        judged.things()


def test_answers_that_are_scored_are_not_trained_on():
    known = judged.things(PROFILE.evidence)
    trained = {tuple(sorted(row)) for row in known.training.triplets.tolist()}
    asked = {tuple(sorted(row)) for row in (*known.validation.triplets.tolist(), *known.repeated.triplets.tolist())}
    assert trained and not trained & asked


def test_the_three_files_of_answers_refer_to_the_same_objects():
    """The table, the text and the older order of the repeated triplets: in each, the objects of one group are kept together."""
    known = judged.things(PROFILE.evidence)
    group = np.arange(rehearsal_inputs.OBJECTS) % 6
    last = rehearsal_inputs.OBJECTS - 3
    assert known.names[last:] == ("thing99", "thing99_c", "thing99-a_b")
    for choices in (known.training, known.validation, known.repeated):
        i, j, k = group[choices.triplets].T
        alone = (i == j) & (i != k)
        assert choices.shares[alone, 0].mean() > 0.7, "two of one group, and one of another"
        moved = alone & (choices.triplets[:, :2] >= last).any(1)
        assert not moved.any() or choices.shares[moved, 0].mean() > 0.6


def test_a_photograph_that_is_missing_is_one_line(inputs, tmp_path, monkeypatch):
    shutil.copytree(inputs / "data" / "things", tmp_path / "things")
    shutil.rmtree(tmp_path / "things" / "object_images" / "thing03")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    with pytest.raises(HumalignError, match=r"no photograph of thing03, neither thing03/thing03_01b\.jpg nor another"):
        registered.SETS["things"](PROFILE)


def test_withheld_photographs_are_replaced_and_counted(capsys):
    files = registered.SETS["things"](PROFILE).labels["file"].tolist()
    assert len(files) == rehearsal_inputs.OBJECTS and files[3:5] == ["thing03_01b.jpg", "thing04_02s.jpg"]
    assert "7 of 36 THINGS objects are shown by another photograph of theirs" in capsys.readouterr().err


def test_sets_that_are_not_here_are_left_out(inputs, tmp_path, monkeypatch):
    def shown():
        return {*pictures.asked(PROFILE), *pictures.judged_pictures(PROFILE)}

    gated = set(registered.GATED)
    assert pictures.left_out(PROFILE) == ["peterson-various"]
    assert shown() & gated == gated - {"peterson-various"}
    without = shutil.ignore_patterns("king", "cichy", "animals.zip", "turkResults*2016.mat")
    shutil.copytree(inputs / "data", tmp_path / "data", ignore=without)
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    assert pictures.left_out(PROFILE) == ["peterson-animals", "peterson-various", *registered.CICHY, "king"]
    shutil.rmtree(tmp_path / "data" / "peterson")
    assert not shown() & gated
    # The others are needed: that one is not there is said where it is read.
    assert shown() > {"things", "kriegeskorte-92", "levels"}


def test_judged_photographs_are_those_of_their_rows(inputs):
    """Every category lies in another layout; of each, the photographs are numbered in the order of their rows."""
    for category in rehearsal_inputs.PETERSON:
        images, known = registered.SETS[f"peterson-{category}"](PROFILE), registered.judged(PROFILE, f"peterson-{category}")
        assert images.labels["file"].tolist() == [f"{number:04}.jpg" for number in range(1, 9)]
        assert known.matrices.shape == (1, 8, 8) and images[7].size == (48, 40)
    assert registered.judged(PROFILE, "peterson-animals").archive == inputs / "data" / "peterson" / "animals.zip"


def test_an_unknown_evaluation_is_one_line():
    with pytest.raises(HumalignError, match=r"profile rehearsal: evaluation.names = 'level': did you mean 'levels'"):
        pictures.asked(profiles.changed(PROFILE, evaluation={"names": ["level"]}))


def test_weights_are_read_from_the_folder_of_weights(inputs):
    wanted = load_file(inputs / "weights" / "test_vit.safetensors")
    assert all(np.array_equal(value.numpy(), wanted[name]) for name, value in backbones.build("timm:test_vit").net.state_dict().items())
    clip = load_file(inputs / "weights" / "tiny-clip" / "open_clip_model.safetensors")
    built = backbones.build("open_clip:local-dir:tiny-clip").net.state_dict()
    assert np.array_equal(built["visual.proj"].numpy(), clip["visual.proj"])


# ---- embeddings, triplets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "pause"), [(10, 600), (8192, 0)], ids=["pictures", "seconds"])
def test_embeddings_that_were_stopped_are_gone_on_with(tmp_path, monkeypatch, block, pause):
    backbone, images = backbones.build("timm:test_vit"), registered.SETS["things"](PROFILE)
    compute = profiles.changed(PROFILE, compute={"batch_images": 5}).compute
    monkeypatch.setattr(embeddings, "BLOCK", block)
    monkeypatch.setattr(embeddings, "PAUSE", pause)

    def embed(name, key=KEY, progress=lambda pictures: None):
        embeddings.to_files(images, backbone, None, [tmp_path / name], key, torch.device("cpu"), compute, progress)

    embed("whole.npy")

    done = []

    def stop(pictures_done):
        done.append(pictures_done)
        if sum(done) > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed("parts.npy", progress=stop)
    seen = []
    embed("parts.npy", progress=seen.append)
    assert seen[0] == (20 if pause else 25), "two blocks were finished, or every batch is noted"
    assert sha256(tmp_path / "parts.npy") == sha256(tmp_path / "whole.npy")
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        embed("other.npy", progress=stop)
    again = []
    embed("other.npy", "another key", again.append)
    assert again[0] == 0, "what was begun under another key is begun anew"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.npy", "parts.npy", "whole.npy"]


def test_activations_are_kept_beside_the_features_and_give_them_again(tmp_path):
    backbone, images = backbones.build("efficientnet-lite0", pretrained=False), registered.SETS["things"](PROFILE)
    paths = [tmp_path / "features.npy", tmp_path / "activations.npy"]
    embeddings.to_files(images, backbone, 15, paths, KEY, torch.device("cpu"), PROFILE.compute)
    kept, found = torch.from_numpy(np.load(paths[1])), np.load(paths[0])
    assert kept.dtype == torch.float16 and len(kept) == len(found) == len(images)
    with torch.no_grad():
        again = backbone.stages[15:](kept.float().contiguous(memory_format=torch.channels_last)).numpy()
    assert np.corrcoef(again.ravel(), found.ravel())[0, 1] > 0.999


def test_activations_that_half_precision_cannot_hold_are_one_line(tmp_path):
    backbone = backbones.build("timm:test_vit")
    backbone.stages[0].register_forward_hook(lambda module, inputs, output: output * 1e9)
    paths = [tmp_path / "features.npy", tmp_path / "activations.npy"]
    with pytest.raises(HumalignError, match="activations beyond 65,504"):
        embeddings.to_files(registered.SETS["things"](PROFILE), backbone, 1, paths, KEY, torch.device("cpu"), PROFILE.compute)


def test_a_forward_pass_that_fills_a_gpu_is_made_smaller_and_said(capsys):
    asked = []

    def model(pixels):
        asked.append(len(pixels))
        if len(pixels) > 4:
            raise torch.OutOfMemoryError
        return pixels.mean((2, 3))

    store = torch.arange(12 * 3 * 4).reshape(12, 3, 2, 2).to(torch.uint8)
    compute = profiles.changed(PROFILE, compute={"batch_images": 12}).compute
    parts = embeddings.forward(lambda each: (model(each),), 2, Stored(store), range(12), torch.device("cpu"), compute)
    found = np.concatenate([each for (each,) in parts])
    assert np.allclose(found, (store.float() / 255).mean((2, 3)).numpy())
    assert asked == [12, 6, 3, 3, 3, 3]
    assert capsys.readouterr().out.split("\n")[1].strip() == "out of GPU memory: 3 pictures at a time from here on"


class Stored(distil.PixelStore):
    """Pixels in memory."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.pixels[index]


# As the released files are named.
OFFICIAL = profiles.changed(PROFILE, triplets={"source": "official", "clusters": 500})


@pytest.fixture
def official(run, inputs, tmp_path, monkeypatch):
    """A run on files that are ours under other indices and names, as those of another image list would be; and where they lie."""
    shutil.copytree(inputs / "data", tmp_path / "data")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    build = pipeline.Run(OFFICIAL, tmp_path / "build")
    shutil.copytree(run.folder, build.folder)
    rng, places = np.random.default_rng(0), {}
    for stage in label.LABELLINGS:
        # Both released splits are of training pictures.
        ours = triplets.read(label.triplet_path(run, "all", stage, "train"))
        for split in label.splits(PROFILE):
            other = rng.permutation(len(label.picture_names(run, registered.TRAIN)))[ours.indices]
            names = np.array([[f"elsewhere/{Path(file.decode()).stem}" for file in row] for row in ours.filenames])
            below = label.triplet_path(build, "all", stage, split).relative_to(build.path("triplets/all"))
            places[stage, split] = tmp_path / "data" / "alignet" / "release_1.1" / below
            triplets.write(places[stage, split], triplets.LabelledTriplets(other, ours.similarities, names))
    return build, places


def test_the_released_files_are_fitted_to_the_pictures_here(run, official):
    build, _ = official
    label.label(build, Provenance("rehearsal", 42, KEY))
    for stage in label.LABELLINGS:
        ours = triplets.read(label.triplet_path(run, "all", stage, "train"))
        for split in label.splits(PROFILE):
            theirs = triplets.read(label.triplet_path(build, "all", stage, split))
            assert np.array_equal(ours.indices, theirs.indices) and np.array_equal(ours.filenames, theirs.filenames)
            assert np.array_equal(ours.similarities, theirs.similarities)
    assert "same-choice" not in json.loads(build.path("triplets/all/summary.json").read_text())["aligned"]


def test_a_released_file_of_other_pictures_or_with_wrong_columns_is_refused(official):
    build, places = official
    theirs = triplets.read(places["aligned", "train"])
    for changed, said in (
        (dataclasses.replace(theirs, filenames=np.strings.replace(theirs.filenames, "_", "-")), "names .* pictures that are not here"),
        (dataclasses.replace(theirs, similarities=theirs.similarities[:, ::-1]), "fails its audit .s01 is the largest"),
    ):
        triplets.write(places["aligned", "train"], changed)
        with pytest.raises(HumalignError, match=said):
            label.label(build, Provenance("rehearsal", 42, KEY))


def test_an_unknown_origin_of_triplets_is_one_line():
    with pytest.raises(HumalignError, match=r"triplets\.source = 'offical': did you mean 'official'"):
        profiles.changed(PROFILE, triplets={"source": "offical"})


def test_a_disk_that_fills_up_with_pictures_is_one_line_and_the_next_run_goes_on(run, disk):
    """Of all other steps `test_chain` shows it, which keeps no pictures."""
    place, leave = disk
    shutil.copytree(run.build, place / "build")
    there, stage = pipeline.Run(PROFILE, place / "build"), "pixels"
    shutil.rmtree(there.path(stage))
    there.path(f"stamps/{stage}.json").unlink()
    leave(8 * 1024)
    with pytest.raises(HumalignError, match=r"no space left for .*: free some, then run the same command again") as caught:
        pipeline.execute(CHAIN, stage, there)
    assert "\n" not in str(caught.value)
    leave(2**30)
    pipeline.execute(CHAIN, stage, there)
    assert all(sha256(there.path(name)) == sha256(run.path(name)) for name in CHAIN[stage].outputs(PROFILE))


# ---- the authors' own models ----------------------------------------------------------------------------------------

SHOWN = ("things", "levels", "labels", "between-models", "taxonomies")
RELEASED = {"teachers": [], "students": [{"backbone": "SigLIP2-B"}], "evaluation": {"names": list(SHOWN)}}
AUTHORS = dataclasses.replace(profiles.changed(PROFILE, **RELEASED), name="released")


@pytest.fixture
def archives(inputs, tmp_path, monkeypatch):
    """The three archives of one released model, made in small beside the other data; and the chain's run on them."""
    test_released.shrink(monkeypatch)
    pictures.size_of.cache_clear()
    shutil.copytree(inputs / "data", tmp_path / "data")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "alignet" / "models"
    folder.mkdir(parents=True)
    for number, stage in enumerate(("base_model", "untransformed", "alignet")):
        values = {name: array * np.float32(1 + number / 4) for name, array in test_released.parameters().items()}
        test_released.archive(folder, test_released.numbered(values), f"SigLIP2-B-{stage}")
    yield folder, pipeline.Run(AUTHORS, tmp_path / "build")
    pictures.size_of.cache_clear()


def test_released_models_are_scored_by_the_same_evaluations_and_nothing_is_taught(archives):
    _, run = archives
    chain, said = CHAIN, []
    assert not [name for step in ("embeddings", "observers", "teachers", "triplets") for name in chain[step].outputs(run.profile)]
    pipeline.execute(chain, "scores", run)
    table = scores.read(run.path("scores.csv"))
    models = {model for model in zip(table["model"], table["stage"], strict=True) if model[1] not in ("ceiling", "taxonomy")}
    assert models == {("SigLIP2-B", stage) for stage in (*features.STAGES, "base-centred", "base-whitened")}
    assert set(table["evidence"]) == {"simulated"} and not {"distillation", "triplets", "fit"} & set(table["task"])
    for task, metric in MEASURES:
        if task in ("odd-one-out", "uncertainty", "soft-labels", "hierarchy", "few-shot"):
            assert {"base", "unaligned", "aligned"} <= set(scores.pick(table, task=task, metric=metric)["stage"]), (task, metric)
    shown = pictures.store(run, "things", test_released.SIDE)[:4]
    for stage in features.STAGES:
        converted = distil.released.backbone(run.path(distil.released_folder("SigLIP2-B", stage)))
        with torch.no_grad():
            wanted = converted(torch.as_tensor(shown).float() / 255).numpy()
        np.testing.assert_allclose(features.read(run, "SigLIP2-B", stage, "things")[:4], wanted, rtol=1e-4, atol=1e-5)
    pipeline.execute(chain, "scores", run, said.append)
    assert len(said) == 8 and all("reused" in line for line in said)
    # A file that is no longer as it was written is converted again, and what stands on it stays.
    before = run.path("scores.csv").read_bytes()
    run.path("students/SigLIP2-B-aligned/model.safetensors").write_bytes(b"cut")
    pipeline.execute(chain, "scores", run, said.append)
    assert run.path("scores.csv").read_bytes() == before


def test_a_released_model_that_is_missing_is_known_before_anything_is_taught(archives):
    folder, run = archives
    (folder / "SigLIP2-B-untransformed.tar.gz").unlink()
    mixed = profiles.changed(PROFILE, students=[{"backbone": "timm:test_vit"}, {"backbone": "SigLIP2-B"}])
    taught = [(student.backbone, *rest) for student, *rest in features.taught(mixed)]
    assert taught == [("timm:test_vit", "all", stage) for stage in label.LABELLINGS]
    with pytest.raises(HumalignError, match="released checkpoint SigLIP2-B-untransformed are missing: humalign fetch alignet-SigLIP2-B-"):
        distil.train(pipeline.Run(mixed, run.build), Provenance("rehearsal", 42, KEY))


def test_a_profile_of_released_models_needs_their_archives_and_no_weights():
    names = {entry.name for entry in doctor.wanted(profiles.load("released"))}
    assert {"alignet-SigLIP-B-alignet", "levels-answers", "things-answers", "imagenet-2012-training"} <= names
    assert not {name for name in names if name.endswith("-weights") or name.startswith("alignet-triplets") or "DINOv2" in name}
    assert not {entry.name for entry in doctor.wanted(profiles.load("paper")) if entry.name.startswith("alignet-")}


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_students_that_fill_a_gpu_are_taught_in_smaller_parts_and_it_is_said(monkeypatch, tmp_path, capsys):
    tried = []

    def teach_all(run, provenance, passes, recompute):
        tried.append((passes, recompute))
        if len(tried) < 4:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(distil, "teach_all", teach_all)
    settings = profiles.changed(PROFILE, compute={"processes": 1}, distillation={"batch_triplets": 64})
    distil.train(pipeline.Run(settings, tmp_path), Provenance("rehearsal", 42, KEY))
    assert tried == [(1, False), (2, False), (4, False), (4, True)]
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "out of GPU memory: a step is taken in 2 passes from here on",
        "out of GPU memory: a step is taken in 4 passes from here on",
        "out of GPU memory: activations are computed twice from here on, a third slower",
    ]
    tried.clear()
    monkeypatch.setattr(distil, "LEAST_ROWS", 64)
    with pytest.raises(HumalignError, match="too little memory for a student"):
        distil.train(pipeline.Run(settings, tmp_path), Provenance("rehearsal", 42, KEY))
    assert tried == [(1, False), (1, True)]
