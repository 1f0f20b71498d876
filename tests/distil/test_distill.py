"""The student and its training: learns what it is told, keeps near its start, and survives being stopped."""

import copy
import dataclasses
import itertools
import os
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from torch import nn

from humalign.data import pixels
from humalign.data.emoji import EmojiImages
from humalign.data.judgments import PAIRS, random_triplets
from humalign.distil import checkpoint
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, Engine, distill
from humalign.distil.optimiser import AdamTowardsInit
from humalign.errors import HumalignError
from humalign.models import weights
from humalign.models.backbones import Backbone, build
from humalign.models.embeddings import embed
from humalign.models.student import Centre, Student
from humalign.triplets import LabelledTriplets, label

IMAGES, SEEN = 160, 110
NAMES = np.array([f"{i}.png" for i in range(IMAGES)])
SETTINGS = Distillation(
    temperature=1.0, steps=120, warmup=5, learning_rate=3e-3, decay_to_init=0.1, batch_triplets=256, checkpoint_every=25
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on several threads, most of all where another program uses the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Stop(Exception):
    """What a test raises to stop a run in its middle."""


@pytest.fixture(scope="module")
def world():
    """Inputs, and two teachers: each sees a few directions of the inputs only."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((IMAGES, 16)).astype(np.float32)
    teachers = {name: (1.2 * inputs @ np.linalg.qr(rng.standard_normal((16, 3)))[0]).astype(np.float32) for name in ("one", "other")}
    rows = random_triplets(np.arange(SEEN), 4000, rng)
    return torch.from_numpy(inputs), teachers, {name: label(space, rows, NAMES) for name, space in teachers.items()}


def student():
    torch.manual_seed(0)
    return Student(nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 24)), 24, head_dim=32, seed=0)


def agreement(features, teacher):
    """How often features keep the teacher's pair, on triplets of images that no training saw."""
    rows = random_triplets(np.arange(SEEN, IMAGES), 4000, np.random.default_rng(1))
    one, other = (np.stack([(f[rows[:, a]] * f[rows[:, b]]).sum(1) for a, b in PAIRS], axis=1) for f in (features, teacher))
    return (one.argmax(1) == other.argmax(1)).mean()


@pytest.fixture(scope="module")
def trained(world):
    inputs, _, labelled = world
    found = {}
    for name, rows in labelled.items():
        found[name] = student()
        found[name, "losses"] = distill(found[name], inputs, rows, SETTINGS).divergence
    return found


def outputs(model, inputs):
    with torch.no_grad():
        return model(inputs).numpy()


# ---- training --------------------------------------------------------------------------------------------------------

def test_a_trained_student_agrees_with_its_teacher_where_it_was_not_trained(world, trained):
    inputs, teachers, _ = world
    before, after = (agreement(outputs(model, inputs), teachers["one"]) for model in (student(), trained["one"]))
    assert before < 0.65
    assert after > 0.8 and after > before + 0.15


def test_the_features_before_the_head_carry_the_change(world, trained):
    inputs, teachers, _ = world
    before, after = (agreement(model.features(inputs).numpy(), teachers["one"]) for model in (student(), trained["one"]))
    assert after > before + 0.1


def test_the_control_learns_the_labels_it_was_given(world, trained):
    inputs, teachers, _ = world
    for own, foreign in (("one", "other"), ("other", "one")):
        features = outputs(trained[own], inputs)
        assert agreement(features, teachers[own]) > agreement(features, teachers[foreign]) + 0.2


@pytest.mark.parametrize(
    ("objective", "temperature", "part"), [("jsd", 1.0, 0.5), ("kl", 1.0, 0.5), ("contrastive", 1.0, 0.8), ("jsd-normalised", 0.2, 0.8)]
)
def test_the_divergence_falls(world, objective, temperature, part):
    inputs, _, labelled = world
    settings = dataclasses.replace(SETTINGS, objective=objective, temperature=temperature)
    losses = distill(student(), inputs, labelled["one"], settings).divergence
    assert len(losses) == SETTINGS.steps and all(loss >= 0 for loss in losses)
    assert np.mean(losses[-10:]) < part * np.mean(losses[:10])


def test_all_triplets_among_few_images_teach_as_rows_of_a_file_do(world):
    inputs, teachers, _ = world
    model = student()
    seen = inputs[:SEEN]
    distill(model, seen, DenseTriplets(teachers["one"][:SEEN], 24), dataclasses.replace(SETTINGS, steps=60))
    assert agreement(outputs(model, inputs), teachers["one"]) > agreement(outputs(student(), inputs), teachers["one"]) + 0.15


def test_the_dense_divergence_is_the_mean_over_all_triplets_of_the_batch(world):
    inputs, teachers, _ = world
    plan = DenseTriplets(teachers["one"], 20)
    with torch.no_grad():
        found = student()(inputs[plan.images_of_step(0)]).double().numpy()
    rows = np.array(list(itertools.combinations(range(20), 3)))
    p, q = (softmax(np.stack([(x[rows[:, a]] * x[rows[:, b]]).sum(1) for a, b in PAIRS], axis=1), axis=1)
            for x in (teachers["one"][plan.images_of_step(0)], found))
    wanted = np.mean(jensenshannon(p, q, axis=1) ** 2)
    (first,) = distill(student(), inputs, plan, dataclasses.replace(SETTINGS, steps=1, warmup=0)).divergence
    assert first == pytest.approx(wanted, rel=1e-4)


def test_training_again_gives_the_same_student(world, trained):
    inputs, _, labelled = world
    again = student()
    assert distill(again, inputs, labelled["one"], SETTINGS).divergence == trained["one", "losses"]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), trained["one"].parameters(), strict=True))


def test_the_pull_keeps_weights_nearer_to_their_start(world):
    inputs, _, labelled = world

    def moved(pull):
        model = student()
        start = [p.detach().clone() for p in model.parameters()]
        distill(model, inputs, labelled["one"], dataclasses.replace(SETTINGS, decay_to_init=pull))
        return sum((p - s).square().sum().item() for p, s in zip(model.parameters(), start, strict=True))

    free, pulled, fast = moved(0.0), moved(30.0), moved(300.0)
    assert fast < 0.5 * pulled < 0.25 * free


def test_frozen_parameters_stay_where_they_were(world):
    inputs, _, labelled = world
    model = student()
    model.tail[0].requires_grad_(False)
    kept = copy.deepcopy(model.tail[0].state_dict())
    distill(model, inputs, labelled["one"], dataclasses.replace(SETTINGS, steps=10, warmup=2))
    assert all(torch.equal(model.tail[0].state_dict()[name], value) for name, value in kept.items())
    assert not torch.equal(model.tail[2].weight, student().tail[2].weight)


# ---- stopped and resumed ---------------------------------------------------------------------------------------------

def counted(monkeypatch, run):
    """Return what a training gives, and how many updates it made."""
    made, step = [], AdamTowardsInit.step
    with monkeypatch.context() as patched:
        patched.setattr(AdamTowardsInit, "step", lambda self, rate: (made.append(rate), step(self, rate)))
        return run(), len(made)


@pytest.mark.parametrize("stop_at", [3, 24, 25, 60, 119])
def test_a_stopped_run_ends_as_an_unbroken_one(world, trained, tmp_path, monkeypatch, stop_at):
    inputs, _, labelled = world

    def stop(step):
        if step == stop_at:
            raise Stop

    checkpoint = tmp_path / "s.ckpt"
    with pytest.raises(Stop):
        distill(student(), inputs, labelled["one"], SETTINGS, checkpoint, stop)
    assert checkpoint.is_file() is (stop_at >= 24)
    seen, resumed = [], student()
    losses, made = counted(monkeypatch, lambda: distill(resumed, inputs, labelled["one"], SETTINGS, checkpoint, seen.append).divergence)
    assert seen == list(range(SETTINGS.steps)), "a bar starts where it was"
    assert made == SETTINGS.steps - (stop_at + 1) // 25 * 25, "finished steps are not made again"
    assert losses == trained["one", "losses"]
    for name, value in trained["one"].state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_run_resumed_when_it_was_finished_trains_no_more(world, trained, tmp_path, monkeypatch):
    inputs, _, labelled = world
    settings = dataclasses.replace(SETTINGS, checkpoint_every=SETTINGS.steps)
    distill(student(), inputs, labelled["one"], settings, tmp_path / "s.ckpt")
    again = student()
    losses, made = counted(monkeypatch, lambda: distill(again, inputs, labelled["one"], settings, tmp_path / "s.ckpt").divergence)
    assert losses == trained["one", "losses"]
    assert made == 0 and torch.equal(again.head.weight, trained["one"].head.weight)


@pytest.mark.parametrize("content", ["cut", "empty", "head", "flipped"])
def test_from_a_damaged_checkpoint_training_starts_again_and_says_so(world, tmp_path, content):
    inputs, _, labelled = world
    path = tmp_path / "s.ckpt"
    wanted = distill(student(), inputs, labelled["one"], SHORT, path)
    whole = path.read_bytes()
    flipped = whole[:-999] + bytes([whole[-999] ^ 1]) + whole[-998:]
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "head": whole[:30], "flipped": flipped}[content])
    again = student()
    with pytest.warns(UserWarning, match=r"checkpoint .*s\.ckpt is damaged, .* starting again from the beginning$") as said:
        assert distill(again, inputs, labelled["one"], SHORT, path) == wanted
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert distill(student(), inputs, labelled["one"], SHORT, path) == wanted, "and its file is whole again"


def pytorch_file(path):
    torch.save({"settings": dataclasses.asdict(SHORT)}, path)


NO_CHECKPOINT = {
    "a page": (lambda path: path.write_text("<html>"), "is no checkpoint, or one of an earlier version: delete it, or"),
    "an earlier version": (pytorch_file, "is no checkpoint, or one of an earlier version: delete it, or"),
    "a table": (lambda path: np.save(path.open("wb"), np.zeros(3)), "is no checkpoint, or one of an earlier version"),
    "a folder": (lambda path: path.mkdir(), "is a folder: name a file"),
    "another kind": (lambda path: weights.write_checkpoint(path, {"settings": "of VICE", "steps": 3}), "is no student's: delete it, or"),
    "below a file": (lambda path: path.parent.write_text("a file"), "cannot write .*s.ckpt"),
}


@pytest.mark.parametrize("kind", NO_CHECKPOINT)
def test_a_file_that_is_no_checkpoint_is_kept_and_one_line(world, tmp_path, kind):
    path = tmp_path / "place" / "s.ckpt"
    make, said = NO_CHECKPOINT[kind]
    path.parent.mkdir() if kind != "below a file" else None
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(HumalignError, match=said) as caught:
        distill(student(), world[0], world[2]["one"], SHORT, path)
    assert "\n" not in str(caught.value) and (path.read_bytes() if path.is_file() else None) == before


def test_a_half_trained_student_that_is_resumed_is_still_pulled_to_its_true_start(world, trained, tmp_path):
    inputs, _, labelled = world
    model = student()

    def stop(step):
        if step == 60:
            raise Stop

    with pytest.raises(Stop):
        distill(model, inputs, labelled["one"], SETTINGS, tmp_path / "s.ckpt", stop)
    assert distill(model, inputs, labelled["one"], SETTINGS, tmp_path / "s.ckpt").divergence == trained["one", "losses"]
    assert torch.equal(model.head.weight, trained["one"].head.weight)


def test_a_checkpoint_of_other_settings_is_refused_and_kept(world, tmp_path):
    inputs, _, labelled = world
    settings = dataclasses.replace(SETTINGS, steps=10, warmup=2, checkpoint_every=5)
    distill(student(), inputs, labelled["one"], settings, tmp_path / "s.ckpt")
    with pytest.raises(HumalignError, match="is of a run with another `learning_rate`: delete it, or give this run its own"):
        distill(student(), inputs, labelled["one"], dataclasses.replace(settings, learning_rate=1.0), tmp_path / "s.ckpt")
    assert (tmp_path / "s.ckpt").is_file()


SHORT = dataclasses.replace(SETTINGS, steps=10, warmup=2, checkpoint_every=5)


def changed_row(labelled, row):
    similarities = labelled.similarities.copy()
    similarities[row, 0] += 0.5
    return dataclasses.replace(labelled, similarities=similarities)


def picked(labelled, rows):
    return LabelledTriplets(labelled.indices[rows], labelled.similarities[rows], labelled.filenames[rows])


def nudged(model, name):
    with torch.no_grad():
        dict([*model.named_parameters(), *model.named_buffers()])[name].view(-1)[-1] += 1e-3
    return model


def of_kind(kind):
    """The same weights behind another activation."""
    model = student()
    model.tail[1] = kind
    return model


OTHERS = {
    "the control's triplets": ("triplets", lambda w: (student(), w[0], w[2]["other"])),
    "one similarity of one row": ("triplets", lambda w: (student(), w[0], changed_row(w[2]["one"], 1777))),
    "the rows in another order": ("triplets", lambda w: (student(), w[0], picked(w[2]["one"], slice(None, None, -1)))),
    "fewer rows": ("triplets", lambda w: (student(), w[0], picked(w[2]["one"], slice(None, -1)))),
    "dense triplets": ("triplets", lambda w: (student(), w[0], DenseTriplets(w[1]["one"], 10))),
    "one value of an input": ("inputs", lambda w: (student(), torch.cat([w[0][:-1], w[0][-1:] + 1e-3]), w[2]["one"])),
    "inputs in another order": ("inputs", lambda w: (student(), w[0].flip(0), w[2]["one"])),
    "more inputs": ("inputs", lambda w: (student(), torch.cat([w[0], w[0][:1]]), w[2]["one"])),
    "half precision": ("inputs", lambda w: (student(), w[0].half(), w[2]["one"])),
    "one weight": ("initial weights", lambda w: (nudged(student(), "tail.2.weight"), w[0], w[2]["one"])),
    "the head's seed": ("initial weights", lambda w: (Student(student().tail, 24, head_dim=32, seed=1), w[0], w[2]["one"])),
    "an activation": ("initial weights", lambda w: (of_kind(nn.GELU()), w[0], w[2]["one"])),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_checkpoint_of_another_training_is_refused_and_kept(world, tmp_path, case):
    inputs, _, labelled = world
    distill(student(), inputs, labelled["one"], SHORT, tmp_path / "s.ckpt")
    what, made = OTHERS[case]
    model, *others = made(world)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(HumalignError, match=f"s.ckpt is of a run with other {what}: delete it, or give this run its own") as caught:
        distill(model, *others, SHORT, tmp_path / "s.ckpt")
    assert "\n" not in str(caught.value) and (tmp_path / "s.ckpt").is_file()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "no weight of the other is taken"


@pytest.mark.parametrize("change", [{"seed": 6}, {"batch_images": 11}, {"embeddings": 0}])
def test_a_checkpoint_of_other_dense_triplets_is_refused(world, tmp_path, change):
    inputs, teachers, _ = world
    plan = DenseTriplets(teachers["one"], 10, seed=5)
    distill(student(), inputs, plan, SHORT, tmp_path / "s.ckpt")
    change = {"embeddings": teachers["other"]} if "embeddings" in change else change
    with pytest.raises(HumalignError, match="is of a run with other triplets"):
        distill(student(), inputs, dataclasses.replace(plan, **change), SHORT, tmp_path / "s.ckpt")
    distill(student(), inputs, DenseTriplets(teachers["one"].copy(), 10, seed=5), SHORT, tmp_path / "s.ckpt")


def test_a_buffer_and_a_centre_belong_to_the_initial_student(world, tmp_path):
    inputs, _, labelled = world

    def centred():
        return Student(student().tail, 24, head=Centre(torch.zeros(24)))

    distill(centred(), inputs, labelled["one"], SHORT, tmp_path / "s.ckpt")
    with pytest.raises(HumalignError, match="other initial weights"):
        distill(nudged(centred(), "head.mean"), inputs, labelled["one"], SHORT, tmp_path / "s.ckpt")


def test_a_student_that_was_changed_after_a_stop_does_not_go_on(world, tmp_path):
    """Only the very student that the call left half trained does."""
    inputs, _, labelled = world
    model = student()

    def stop(step):
        if step == 7:
            raise Stop

    with pytest.raises(Stop):
        distill(model, inputs, labelled["one"], SHORT, tmp_path / "s.ckpt", stop)
    with pytest.raises(HumalignError, match="other initial weights"):
        distill(nudged(copy.deepcopy(model), "head.bias"), inputs, labelled["one"], SHORT, tmp_path / "s.ckpt")
    whole = distill(student(), inputs, labelled["one"], SHORT)
    assert distill(model, inputs, labelled["one"], SHORT, tmp_path / "s.ckpt") == whole


def test_a_store_is_known_by_its_names_and_checksums(world, tmp_path):
    """A store is too large to be read whole: its checksums stand for what no sample sees."""
    inputs, _, labelled = world

    class Store:
        def __init__(self, names, checksums):
            self.names, self.checksums = names, checksums

        def __len__(self):
            return len(inputs)

        def __getitem__(self, index):
            return inputs[index]

    distill(student(), Store(list(NAMES), ["a", "b"]), labelled["one"], SHORT, tmp_path / "s.ckpt")
    distill(student(), Store(list(NAMES), ["a", "b"]), labelled["one"], SHORT, tmp_path / "s.ckpt")
    with pytest.raises(HumalignError, match="other inputs"):
        distill(student(), Store(list(NAMES), ["a", "c"]), labelled["one"], SHORT, tmp_path / "s.ckpt")


def test_a_large_array_is_looked_at_in_rows_over_its_whole_length(monkeypatch):
    values = np.zeros((1000, 10), np.float32)
    monkeypatch.setattr(checkpoint, "MOST", 200 * 40)
    looked = np.unique(np.linspace(0, 999, 200).astype(int))
    known = checkpoint.of_arrays({"a": values})
    for row, seen in ((0, True), (999, True), (int(looked[77]), True), (int(looked[77]) + 1, False)):
        other = values.copy()
        other[row, 3] = 1
        assert (checkpoint.of_arrays({"a": other}) != known) == seen
    assert checkpoint.of_arrays({"b": values}) != known != checkpoint.of_arrays({"a": values[:-1]})
    one, none = (checkpoint.of_arrays({"a": torch.tensor(value, dtype=torch.bfloat16)}) for value in (1.0, 0.0))
    assert one != none


def test_no_flipped_byte_of_a_checkpoint_is_loaded(tmp_path):
    """Behind the head each flip is seen by the checksum; in it, it is a wrong checksum or no checkpoint."""
    path = tmp_path / "s.ckpt"
    weights.write_checkpoint(path, {"parameters": torch.arange(100.0), "name": "x"})
    whole = path.read_bytes()
    assert weights.read_checkpoint(path)["parameters"][99] == 99
    for place in [*range(weights.START), *range(weights.START, len(whole), 7)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        if place < len(weights.HEAD):
            with pytest.raises(HumalignError, match="is no checkpoint"):
                weights.read_checkpoint(path)
        elif place != weights.START - 1:  # the line's end
            with pytest.warns(UserWarning, match="is damaged"):
                assert weights.read_checkpoint(path) is None, place


def test_a_checkpoint_whose_path_is_text_and_whose_settings_are_numpys_is_resumed(world, tmp_path, monkeypatch):
    inputs, _, labelled = world
    settings = dataclasses.replace(SHORT, learning_rate=np.float64(3e-3), decay_to_init={"": np.float64(0.5)})
    wanted = distill(student(), inputs, labelled["one"], settings, str(tmp_path / "deep" / "s.ckpt"))
    seen, made = counted(monkeypatch, lambda: distill(student(), inputs, labelled["one"], settings, str(tmp_path / "deep" / "s.ckpt")))
    assert made == 0 and seen == wanted


def test_evaluations_are_kept_through_a_stop(world, tmp_path):
    inputs, _, labelled = world
    settings = dataclasses.replace(SETTINGS, steps=30, checkpoint_every=10)

    def evaluate(model):
        return {"norm": model.features(inputs).norm()}

    def stop(step):
        if step == 22:
            raise Stop

    whole = distill(student(), inputs, labelled["one"], settings, evaluate=evaluate, evaluate_every=6)
    assert list(whole.evaluations) == [6, 12, 18, 24, 30] and len({seen["norm"] for seen in whole.evaluations.values()}) == 5
    with pytest.raises(Stop):
        distill(student(), inputs, labelled["one"], settings, tmp_path / "s.ckpt", stop, evaluate=evaluate, evaluate_every=6)
    assert distill(student(), inputs, labelled["one"], settings, tmp_path / "s.ckpt", evaluate=evaluate, evaluate_every=6) == whole


# ---- how it is computed ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("engine", "tolerance"),
    [({"prefetch": 0}, 0), ({"recompute": True}, 1e-6), ({"passes": 3}, 1e-5),
     ({"compile": "aot_eager"}, 1e-5), ({"bfloat16": True}, 3e-2)],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_engine_changes_no_more_than_rounding(world, trained, engine, tolerance):
    inputs, _, labelled = world
    losses = distill(student(), inputs, labelled["one"], SETTINGS, engine=Engine(device="cpu", **engine)).divergence
    np.testing.assert_allclose(losses, trained["one", "losses"], rtol=tolerance, atol=tolerance / 10)
    if "bfloat16" in engine:
        assert losses != trained["one", "losses"], "autocast was at work"


def test_dense_triplets_are_not_taken_in_parts(world):
    inputs, *_ = world
    with pytest.raises(HumalignError, match="2 passes: only rows of a file can be taken in parts"):
        distill(student(), inputs, DenseTriplets(inputs.numpy(), 10), SETTINGS, engine=Engine(device="cpu", passes=2))


@pytest.mark.parametrize(("device", "message"), [("gpu", "unknown device 'gpu'"), ("mps", "unknown device"), ("cuda:99", "no GPU 99")])
def test_a_device_that_is_not_there_is_one_line(world, device, message):
    inputs, _, labelled = world
    with pytest.raises(HumalignError, match=message):
        distill(student(), inputs, labelled["one"], SETTINGS, engine=Engine(device=device))


# ---- bad input -------------------------------------------------------------------------------------------------------

def test_an_objective_that_is_not_a_number_stops_the_run_at_its_step(world):
    inputs, _, labelled = world
    broken = dataclasses.replace(labelled["one"], similarities=labelled["one"].similarities.copy())
    broken.similarities[256 * 2 + 3] = np.nan
    with pytest.raises(HumalignError, match="the objective is nan at step 2: the teacher's similarities hold NaN") as caught:
        distill(student(), inputs, broken, SETTINGS, unsound=True)
    assert "\n" not in str(caught.value)


def test_a_student_that_no_gradient_reaches_is_one_line_and_trains_as_the_line_says(world):
    inputs, _, labelled = world
    certain, same = student(), student()
    with torch.no_grad():
        certain.tail[2].weight.mul_(1e4)
        for parameter in same.tail[2].parameters():
            parameter.zero_()
    said = r"no gradient .* at `temperature` 1 its choices are certain; raise .* to about [\d.e+]+, or"
    with pytest.raises(HumalignError, match=said) as caught:
        distill(certain, inputs, labelled["one"], SETTINGS)
    raised = float(re.search(r"to about ([\d.e+]+),", str(caught.value))[1])
    for mend in ({"temperature": raised}, {"objective": "jsd-normalised"}):
        log = distill(copy.deepcopy(certain), inputs, labelled["one"], dataclasses.replace(SETTINGS, steps=6, **mend))
        assert len(set(log.divergence)) > 1
    with pytest.raises(HumalignError, match="outputs are alike for all images") as caught:
        distill(same, inputs, labelled["one"], SETTINGS)
    assert "\n" not in str(caught.value)


def test_a_student_that_agrees_with_its_teacher_need_not_move(world):
    inputs, _, _ = world
    found = student()
    rows = label(outputs(found, inputs), random_triplets(np.arange(SEEN), 400, np.random.default_rng(2)), NAMES)
    log = distill(found, inputs, rows, dataclasses.replace(SETTINGS, steps=6, batch_triplets=100))
    assert max(log.divergence) < 1e-3


def test_a_file_that_fails_its_audit_is_refused_unless_told_otherwise(world):
    inputs, teachers, labelled = world
    settings = dataclasses.replace(SETTINGS, steps=2, warmup=1)
    other = dataclasses.replace(labelled["one"], similarities=labelled["one"].similarities[:, ::-1])
    with pytest.raises(HumalignError, match=r"the triplet file fails its audit \(s01 is the largest"):
        distill(student(), inputs, other, settings)
    assert len(distill(student(), inputs, other, settings, unsound=True).divergence) == 2
    # Only pictures can tell that two columns which look alike were exchanged.
    swapped = dataclasses.replace(labelled["one"], similarities=labelled["one"].similarities[:, [0, 2, 1]])
    distill(student(), inputs, swapped, settings)
    with pytest.raises(HumalignError, match=r"fails its audit \(columns agree with the images"):
        distill(student(), inputs, swapped, settings, embeddings=teachers["one"])


def test_an_image_beyond_the_list_is_one_line(world):
    inputs, _, labelled = world
    with pytest.raises(HumalignError, match="triplets name image 109, but there are 100"):
        distill(student(), inputs[:100], labelled["one"], SETTINGS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 100}, "`warmup` is 5,000 of 100 `steps`: it must be less"),
        ({"steps": 100, "warmup": 100}, "`warmup` is 100 of 100 `steps`"),
        ({"steps": 0, "warmup": 0}, "steps = 0: expected a whole number, 1 or more"),
        ({"steps": -5}, "steps = -5"),
        ({"steps": True}, "steps = True"),
        ({"warmup": -1}, "warmup = -1: expected a whole number, 0 or more"),
        ({"batch_triplets": 0}, "batch_triplets = 0: expected a whole number, 1 or more"),
        ({"checkpoint_every": 0}, "checkpoint_every = 0"),
        ({"temperature": 0.0}, "temperature = 0.0: expected a number above 0"),
        ({"temperature": -1.0}, "temperature = -1.0"),
        ({"temperature": float("inf")}, "temperature = inf"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"decay_to_init": -1.0}, "decay_to_init = -1.0: expected a number, 0 or more"),
        ({"decay_to_init": {"tail": 1.0, "head": float("nan")}}, "decay_to_init of head = nan"),
    ],
    ids=str,
)
def test_a_setting_out_of_its_range_is_one_line(given, said):
    with pytest.raises(HumalignError, match=said) as caught:
        Distillation(**given)
    assert "\n" not in str(caught.value)


def test_the_smallest_settings_are_taken(world):
    inputs, _, labelled = world
    least = Distillation(steps=1, warmup=0, temperature=1.0, learning_rate=1e-9, decay_to_init=0.0, batch_triplets=1, checkpoint_every=1)
    assert len(distill(student(), inputs, labelled["one"], least).divergence) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [({"passes": 0}, "passes = 0: expected a whole number, 1"), ({"prefetch": -1}, "prefetch = -1"),
     ({"compile": "inducter"}, "unknown `compile` backend 'inducter': did you mean 'inductor'")],
)
def test_an_engine_out_of_its_range_is_one_line(given, said):
    with pytest.raises(HumalignError, match=said):
        Engine(**given)


def test_evaluations_at_no_step_are_one_line(world):
    inputs, _, labelled = world
    with pytest.raises(HumalignError, match="evaluate_every = 0: expected a whole number, 1 or more"):
        distill(student(), inputs, labelled["one"], SHORT, evaluate=lambda model: {}, evaluate_every=0)
    assert len(distill(student(), inputs, labelled["one"], SHORT, evaluate_every=0).divergence) == 10


@pytest.mark.parametrize("other", [(8,), (16, 2), (3, 8, 8)])
def test_inputs_that_the_student_does_not_take_are_one_line(world, other):
    labelled = world[2]["one"]
    with pytest.raises(HumalignError, match=r"the student takes no inputs of .*: give pictures of its size, or activations") as caught:
        distill(student(), torch.zeros(IMAGES, *other), labelled, SHORT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_inputs_that_are_no_numbers_are_blamed_on_the_inputs(world, broken):
    inputs, _, labelled = world
    inputs = inputs.clone()
    inputs[labelled["one"].indices[256, 0]] = broken
    with pytest.raises(HumalignError, match=r"the objective is nan at step [01]: its inputs hold NaN or infinity, embed"):
        distill(student(), inputs, labelled["one"], SETTINGS)


@pytest.mark.parametrize("compiled", [None, "aot_eager"])
@pytest.mark.parametrize("broken", [lambda p: 255 * p, lambda p: 2 * p - 1, lambda p: (255 * p).half()])
def test_pictures_that_are_not_in_0_to_1_are_not_trained_on(world, broken, compiled):
    pixels = torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(HumalignError, match=r"pictures have values from .*, and must be in \[0, 1\]"):
        distill(Student.of(small_backbone(), 0), broken(pixels), world[2]["one"], SHORT, engine=Engine("cpu", compile=compiled))


def stored(folder, names):
    pictures = [Image.fromarray(np.full((8, 8, 3), i % 256, np.uint8)) for i in range(len(names))]
    labels = pd.DataFrame({"file": names})
    return pixels.write(type("Set", (list,), {"labels": labels})(pictures), folder, 8, list(names))


def test_a_store_in_another_order_than_the_files_names_is_one_line(world, tmp_path):
    labelled = world[2]["one"]
    model = Student.of(small_backbone(), 0)
    assert len(distill(model, stored(tmp_path / "same", NAMES), labelled, SHORT).divergence) == 10
    swapped = NAMES.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    orders = {"reversed": NAMES[::-1], "text": np.sort(NAMES), "two": swapped, "other": np.char.add("x", NAMES)}
    for name, order in orders.items():
        store = stored(tmp_path / name, [str(each) for each in order])
        with pytest.raises(HumalignError, match=r"fails its audit \(file names against the image list: .*index \d+ is '") as caught:
            distill(Student.of(small_backbone(), 0), store, labelled, SHORT)
        assert "\n" not in str(caught.value)
        assert len(distill(Student.of(small_backbone(), 0), store, labelled, SHORT, unsound=True).divergence) == 10


def test_an_unknown_objective_names_the_nearest():
    with pytest.raises(HumalignError, match="unknown objective 'jds': did you mean 'jsd'"):
        Distillation(objective="jds")


# ---- the schedule ----------------------------------------------------------------------------------------------------

def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [SETTINGS.learning_rate_at(step) for step in range(SETTINGS.steps)]
    assert rates[0] == 0 and rates[5] == SETTINGS.learning_rate == max(rates)
    assert (np.diff(rates[5:]) < 0).all() and 0 < rates[-1] < 0.01 * SETTINGS.learning_rate


# ---- the student -----------------------------------------------------------------------------------------------------

class Listed(list):
    """A list of pictures as an image set."""

    labels = pd.DataFrame({"name": ["a", "b", "c"]})


def small_backbone():
    """Three stages on 8 x 8 pictures."""
    torch.manual_seed(0)
    stages = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6)), nn.Conv2d(6, 6, 1), nn.Sequential(nn.ReLU(), nn.Flatten())
    )
    return Backbone.of(stages, 8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), name="small")


@pytest.fixture
def small():
    return lambda stages, seed=0: Student.of(small_backbone(), stages, seed)


def test_a_student_starts_as_its_backbone_from_pictures_or_cached_activations(small):
    backbone = small_backbone()
    pixels = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for cut in range(3):
        model = small(cut)
        # Where nothing is frozen, the student takes pictures in [0, 1] and normalises them itself.
        hidden = backbone.stages[:cut](backbone.normalise(pixels)) if cut else pixels
        torch.testing.assert_close(model.features(hidden, batch=2), backbone(pixels))
        assert all(p.requires_grad for p in model.parameters()) and not model.training
        assert model(hidden).shape == (5, 1024)
    assert not any(p.requires_grad for p in backbone.parameters()), "the backbone itself stays frozen"
    grey = (255 * pixels).byte()
    torch.testing.assert_close(small(0).features(grey), backbone(grey / 255))


def test_activations_after_no_stage_are_what_a_student_without_frozen_stages_takes(small):
    backbone = small_backbone()
    pictures = EmojiImages("twemoji", 24)
    pictures = [pictures[i] for i in range(3)]
    found = embed([Listed(pictures)], backbone, frozen_stages=0)
    model = small(0)
    # Kept in half precision: 256 levels of grey survive it, up to a three-hundredth of their spread.
    np.testing.assert_allclose(model.features(torch.from_numpy(found["activations"].values)), found["features"], atol=5e-3)


@pytest.mark.parametrize("name", ["stages", "timm:test_vit", "timm:test_convnext"])
def test_recomputing_changes_no_gradient(name):
    """Of a network's own stages, of a ViT cut into its blocks, and of a network of timm that is one stage and knows its blocks."""
    backbone = small_backbone() if name == "stages" else build(name, pretrained=False)
    model = Student.of(backbone, 0)
    pixels = torch.rand(2, 3, backbone.size, backbone.size, generator=torch.Generator().manual_seed(0))
    gradients = []
    for on in (False, True):
        model.recompute(on)
        model.zero_grad()
        model(pixels).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.parametrize("stages", [-1, 3, 4])
def test_more_frozen_stages_than_there_are_is_one_line(small, stages):
    with pytest.raises(HumalignError, match=f"small has 3 stages: `frozen_stages` must be 0..2, not {stages}"):
        small(stages)


def test_training_a_student_leaves_the_backbone_and_batch_statistics_alone(small, world):
    pixels = torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    model = small(0)
    statistics = model.tail[0][1].running_mean.clone()
    distill(model, pixels, world[2]["one"], dataclasses.replace(SETTINGS, steps=5, warmup=1))
    assert torch.equal(model.tail[0][1].running_mean, statistics)
    assert not torch.equal(model.tail[1].weight, small_backbone().stages[1].weight)
    alone, together = model.features(pixels[:1]), model.features(pixels)[:1]
    torch.testing.assert_close(alone, together)


def test_the_head_starts_by_its_seed_and_leaves_the_global_one_alone(small):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    one, again, other = small(1, seed=1), small(1, seed=1), small(1, seed=2)
    assert torch.equal(one.head.weight, again.head.weight) and not torch.equal(one.head.weight, other.head.weight)
    assert Student(nn.Identity(), 3).head.weight.shape == (1024, 3)
    torch.manual_seed(5)
    Student(nn.Identity(), 3)
    assert torch.equal(torch.rand(3), wanted)


def test_a_saved_student_is_read_again(world, trained, tmp_path):
    inputs, _, _ = world
    trained["one"].save(tmp_path / "s.safetensors", {"key": "k", "seed": 3})
    again = student().load(tmp_path / "s.safetensors")
    assert torch.equal(again.features(inputs), trained["one"].features(inputs))
    from safetensors import safe_open

    with safe_open(tmp_path / "s.safetensors", "pt") as file:
        assert file.metadata().items() > {"key": "k", "seed": "3"}.items()
    assert weights.metadata(tmp_path / "s.safetensors") == {"key": "k", "seed": "3"}


def flip(path, place):
    """Change one bit of a value, or of what the file says of itself."""
    whole = path.read_bytes()
    place = whole.index(b'"seed":"3"') + 8 if place == "metadata" else place
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place:][1:])


@pytest.mark.parametrize("place", [-1, -2000, "metadata"])
def test_a_student_whose_file_was_altered_is_one_line(trained, tmp_path, place):
    path = tmp_path / "s.safetensors"
    trained["one"].save(path, {"seed": 3})
    flip(path, place)
    with pytest.raises(HumalignError, match=r"s\.safetensors is damaged, its values have another checksum than .*: delete it") as caught:
        student().load(path)
    assert "\n" not in str(caught.value)


def test_a_saved_student_may_be_read_by_whom_the_umask_lets(trained, tmp_path):
    for mask, wanted in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            trained["one"].save(str(tmp_path / f"{mask}.safetensors"))
        finally:
            os.umask(before)
        assert (tmp_path / f"{mask}.safetensors").stat().st_mode & 0o777 == wanted
    assert torch.equal(student().load(str(tmp_path / "18.safetensors")).head.weight, trained["one"].head.weight)


def test_a_file_without_such_a_student_is_one_line(trained, tmp_path):
    path = tmp_path / "s.safetensors"

    def refused():
        with pytest.raises(HumalignError, match=r"holds no such student .*delete it and run") as caught:
            student().load(path)
        assert "\n" not in str(caught.value)

    refused()
    trained["one"].save(path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"<html>not found</html>"):
        path.write_bytes(content)
        refused()
    Student(nn.Linear(16, 4), 4).save(path)
    refused()
