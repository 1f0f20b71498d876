"""What a user may hand over by mistake, as a program of its own: without the checks of types that the tests run under.

    python tests/probes.py        prints every probe with what came of it, and fails where one is silent or a traceback

A probe is a call and what has to come of it: part of the one line that refuses it, or a value that it must give.
"""

import dataclasses
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from humalign import profiles, triplets
from humalign.data import decoding
from humalign.data.images import Files, FolderImages, squash
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, Engine, distill
from humalign.errors import HumalignError
from humalign.evaluation import odd_one_out, rsa
from humalign.evaluation.scores import resamples
from humalign.models import backbones, embeddings, weights
from humalign.models.backbones import Backbone
from humalign.models.export import Card, save_pretrained
from humalign.models.student import Centre, Student
from humalign.teach import vice
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, regressed, try_pulls

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
N = 30
X = RNG.standard_normal((N, 8)).astype(np.float32)
ROWS = random_triplets(np.arange(N), 400, RNG)
CHOICES = Choices(ROWS, np.eye(3, dtype=int)[RNG.integers(3, size=400)])
NAMES = [f"{i}.png" for i in range(N)]
LABELLED = triplets.label(X, ROWS, NAMES)
INPUTS = torch.from_numpy(X)
SHORT = Distillation(steps=2, warmup=1, temperature=1.0, batch_triplets=20)
NAN, INF = float("nan"), float("inf")
PLACE = Path(tempfile.mkdtemp())
GROUPS = np.arange(N) % 3


def student(width=8):
    torch.manual_seed(0)
    return Student(nn.Linear(width, 4), 4, head_dim=3)


def own():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def backbone():
    return Backbone.of(own(), 16, (0.5,) * 3, (0.5,) * 3, name="mine")


def fitted(x=X, choices=CHOICES, **settings):
    return AffineTeacher(**{"iterations": 3} | settings).fit(x, choices)


def observed(**settings):
    known = {"dim": 4, "steps": 3, "batch": 8, "seed": 0}
    return vice.fit(CHOICES, N, **known | settings)


def run(labelled=LABELLED, inputs=INPUTS, settings=SHORT, model=None, **rest):
    return distill(model or student(), inputs, labelled, settings, **{"engine": Engine(device="cpu")} | rest)


def changed(**fields):
    return dataclasses.replace(LABELLED, **fields)


class Same:
    """A call whose value must be another's, to a tolerance."""

    def __init__(self, wanted, tolerance=2e-3):
        self.wanted, self.tolerance = wanted, tolerance

    def __call__(self, found):
        return np.allclose(np.asarray(found, float), np.asarray(self.wanted(), float), atol=self.tolerance)


def forms(x):
    """The same numbers as they may come from files, other libraries and views."""
    padded = np.zeros((2 * len(x), 2 * x.shape[1]), x.dtype)
    padded[::2, ::2] = x
    np.save(PLACE / "x.npy", x)
    return {
        "float64": x.astype(float), "longdouble": x.astype(np.longdouble), "float16": x.astype(np.float16),
        "big-endian": x.astype(">f4"), "Fortran": np.asfortranarray(x), "strided": padded[::2, ::2],
        "reversed": x[::-1][::-1], "memory map": np.load(PLACE / "x.npy", mmap_mode="r"),
        "read-only": readonly(x),
        "masked, nothing": np.ma.array(x, mask=False),
    }  # fmt: skip


def readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


PROBES = {}


def probe(kind, **cases):
    PROBES.update({f"{kind}: {name}": case for name, case in cases.items()})


# ---- teachers --------------------------------------------------------------------------------------------------------

for form, x in forms(X).items():
    PROBES[f"teacher: features {form}"] = (lambda x=x: fitted(x).transform(x),
        Same(lambda: fitted().transform(X), 0.02))
    PROBES[f"labels: embeddings {form}"] = (lambda x=x: triplets.similarities(x, ROWS),
        Same(lambda: triplets.similarities(X, ROWS), 0.02))
    PROBES[f"clusters: embeddings {form}"] = (lambda x=x: triplets.clusters(x, 3, 0),
        Same(lambda: triplets.clusters(X, 3, 0)))
for form, bad, said in (
    ("complex", X.astype(complex), "of type complex"), ("text", X.astype(str), "of type <U"), ("objects",
    X.astype(object), "of type object"),
    ("ragged", [[1.0], [1.0, 2.0]], "no array of numbers"), ("masked", np.ma.array(X, mask=X > 0), "masked"),
    ("one axis", X[0], "one row"),
    ("no rows", X[:0], "outside|shape"), ("three axes", X[None], "one row|shape|index"), ("none", None,
    "of type object|no array"),
    ("NaN", np.where(X > 2, NAN, X), "NaN or infinity"), ("infinity", np.where(X > 2, INF, X),
    "NaN or infinity"),
    ("one point", np.ones_like(X), "all embeddings are equal"),
):  # fmt: skip
    PROBES[f"teacher: features {form}"] = (lambda bad=bad: fitted(bad), said)
    PROBES[f"mixed effects: features {form}"] = (lambda bad=bad: MixedEffectsTeacher(dim=3,
        iterations=2).fit(bad, CHOICES), said)
for name, value, said in (
    ("pull", -1, "pull = -1"), ("pull", NAN, "pull"), ("pull", "1", "pull"), ("pull", None, "pull"), ("pull",
    -INF, "pull"),
    ("rank", 0, "rank = 0"), ("rank", 1.5, "rank"), ("rank", "all", "rank"), ("rank", None, "rank"), ("rank",
    True, "rank"),
    ("iterations", 0, "iterations"), ("iterations", NAN, "iterations"), ("device", "gpu", "gpu"), ("device",
    "cuda:99", "cuda"),
    ("device", None, "device"),
):  # fmt: skip
    PROBES[f"teacher: {name} {value!r}"] = (lambda name=name, value=value: fitted(**{name: value}), said)
for name, value in (
    ("dim", 0), ("dim", 2.5), ("dim", "8"), ("residual", 0), ("residual", NAN), ("residual", "0.3"),
    ("residual", None), ("ridge", -1),
    ("ridge", INF), ("ridge", "x"), ("keep", -1), ("keep", NAN), ("keep", None), ("iterations", 0),
):  # fmt: skip
    PROBES[f"mixed effects: {name} {value!r}"] = (
        lambda name=name, value=value: MixedEffectsTeacher(**{"dim": 3,
            "iterations": 2} | {name: value}).fit(X, CHOICES), name)
probe(
    "teacher",
    **{
        "torch tensor": (lambda: fitted(INPUTS).transform(INPUTS), Same(lambda: fitted().transform(X))),
        "data frame": (lambda: fitted(pd.DataFrame(X)).transform(pd.DataFrame(X)),
        Same(lambda: fitted().transform(X))),
        "lists": (lambda: fitted(X.tolist()).transform(X.tolist()), Same(lambda: fitted().transform(X))),
        "other width": (lambda: fitted().transform(X[:, :5]),
        "embeddings have 5 features, the teacher was fitted to 8"),
        "one row to transform": (lambda: fitted().transform(X[0]), "one row|shape"),
        "triplets of another set": (lambda: fitted(X[:20]), "index outside 0..19"),
        "no choices": (lambda: fitted(choices=None), "choices"),
        "choices as a list": (lambda: fitted(choices=[ROWS, CHOICES.shares]), "choices"),
        "choices of one array": (lambda: fitted(choices=ROWS), "choices"),
        "places of others": (lambda: regressed(X, X[:9]), "places of 9 objects for 30"),
        "places with NaN": (lambda: regressed(X, np.full((N, 2), NAN)), "not finite"),
        "places of one axis": (lambda: regressed(X, X[:, 0]), "places"),
        "no ridges": (lambda: regressed(X, X, ridges=()), "ridges"),
        "ridges as text": (lambda: regressed(X, X, ridges=("a",)), "ridges"),
        "not there": (lambda: AffineTeacher.load(PLACE / "nothing.safetensors"), "holds no teacher"),
        "a student's file": (lambda: (student().save(PLACE / "s.safetensors"),
        AffineTeacher.load(PLACE / "s.safetensors")), "holds no"),
        "a folder": (lambda: AffineTeacher.load(PLACE), "holds no teacher"),
        "saved over a folder": (lambda: fitted().save(PLACE), "cannot write"),
        "saved unfitted": (lambda: AffineTeacher().save(PLACE / "t.safetensors"), "NotFittedError"),
    },
)
for name, settings, said in (
    ("groups too few", {"groups": GROUPS[:9]}, "groups of shape"), ("one group", {"groups": np.zeros(N)},
    "two different"),
    ("no pull", {"pulls": ()}, "no pull"), ("a negative pull", {"pulls": (1e-3, -1)}, "pull = -1"),
    ("a pull as text", {"pulls": ("a",)}, "pull"),
    ("a class for a teacher", {"teacher": AffineTeacher}, "teacher"), ("no teacher", {"teacher": None},
    "teacher"),
):  # fmt: skip
    known = {"groups": GROUPS, "pulls": (1e-2,), "teacher": AffineTeacher(iterations=2)}
    PROBES[f"pulls: {name}"] = (lambda known=known, settings=settings: try_pulls(X, CHOICES,
        **known | settings), said)
words = np.array(["a", "b", "c"])[GROUPS]
PROBES["pulls: groups as text"] = (
    lambda: try_pulls(X, CHOICES, groups=words, pulls=(1e-2,), teacher=AffineTeacher(iterations=2))[1e-2],
    Same(lambda: try_pulls(X, CHOICES, groups=GROUPS, pulls=(1e-2,),
        teacher=AffineTeacher(iterations=2))[1e-2], 1e-9))
for folds in (1, 0, 31, "3", 2.5, None):
    PROBES[f"folds: {folds!r}"] = (lambda folds=folds: list(ObjectFolds(folds).split(X)), "folds|n_splits")

# ---- VICE ------------------------------------------------------------------------------------------------------------

for name, value in (
    ("dim", 0), ("dim", "4"), ("dim", 2.5), ("steps", 0), ("steps", NAN), ("batch", 0), ("batch", None),
    ("batch", -8), ("seed", -1),
    ("seed", "a"), ("learning_rate", 0), ("learning_rate", NAN), ("learning_rate", INF), ("learning_rate",
    "fast"), ("sure_objects", -1),
    ("sure_objects", "all"), ("checkpoint_every", 0), ("device", "gpu"), ("prior", 0.5),
):  # fmt: skip
    PROBES[f"VICE: {name} {value!r}"] = (lambda name=name, value=value: observed(**{name: value}), name)
probe(
    "VICE",
    **{
        "whole numbers as floats": (lambda: observed(dim=4.0, steps=np.int64(3), batch=8.0, seed=0.0,
        sure_objects=0).mean.shape, Same(
            lambda: observed(sure_objects=0).mean.shape)),
        "fewer objects": (lambda: vice.fit(CHOICES, 9, dim=4, steps=3, batch=8, seed=0),
        "index outside 0..8"),
        "pairs for choices": (lambda: vice.fit((ROWS, CHOICES.shares), N, dim=4, steps=3, batch=8, seed=0),
        "choices"),
        "a folder for a checkpoint": (lambda: observed(checkpoint=PLACE), "is a folder"),
        "samples 0": (lambda: vice.ViceEmbedding(INPUTS, INPUTS.abs()).predict(ROWS, samples=0), "samples"),
        "predict other objects": (lambda: vice.ViceEmbedding(INPUTS[:9], INPUTS[:9].abs()).predict(ROWS),
        "index outside 0..8"),
        "a prior without width": (lambda: vice.Prior(spike=0.0), "spike"),
        "a prior of text": (lambda: vice.Prior(slab="wide"), "slab|Prior"),
    },
)

# ---- triplets --------------------------------------------------------------------------------------------------------

for form, rows in {
    "int8": ROWS.astype(np.int8), "uint64": ROWS.astype(np.uint64), "float": ROWS.astype(float),
    "lists": ROWS.tolist(),
    "odd first": ROWS[:, ::-1][:, ::-1], "data frame": pd.DataFrame(ROWS), "torch": torch.from_numpy(ROWS),
    "tuple": tuple(map(tuple, ROWS)),
}.items():  # fmt: skip
    PROBES[f"labels: triplets {form}"] = (
        lambda rows=rows: triplets.label(X, rows, NAMES).similarities, Same(lambda: LABELLED.similarities,
            1e-6))
for form, rows, said in (
    ("halves", ROWS + 0.5, "expected whole numbers"), ("text", ROWS.astype(str), "of type <U"), ("pairs",
    ROWS[:, :2], "shape"),
    ("from one", ROWS + 1, "1-based"), ("negative", ROWS - 1, "-1"), ("twice one", np.zeros((4, 3), int),
    "same object twice"),
    ("none", ROWS[:0], "at least one"), ("flat", ROWS.ravel(), "shape"), ("NaN", np.where(ROWS == 3, NAN,
    ROWS), "whole numbers"),
    ("booleans", ROWS > 3, "twice|type"), ("objects", ROWS.astype(object), "type object"),
):  # fmt: skip
    PROBES[f"labels: triplets {form}"] = (lambda rows=rows: triplets.label(X, rows, NAMES), said)
    PROBES[f"choices: triplets {form}"] = (lambda rows=rows: Choices(rows, np.ones((len(rows), 3), int)),
        said if form != "from one" else None)
for form, names, said in (
    ("too few", NAMES[:3], "names of shape"), ("numbers", list(range(N)), "no text"), ("a missing one",
    [None, *NAMES[1:]], "missing or no"),
    ("NaN", [NAN, *NAMES[1:]], "missing or no"), ("one text", "abc", "names of shape"), ("nothing", None,
    "names"),
    ("a table", np.array(NAMES).reshape(5, 6), "names of shape"),
):  # fmt: skip
    PROBES[f"labels: names {form}"] = (lambda names=names: triplets.label(X, ROWS, names), said)
for form, names in {"series": pd.Series(NAMES), "index": pd.Index(NAMES), "paths": [Path(n) for n in NAMES],
    "generator": (n for n in NAMES)}.items():
    PROBES[f"labels: names {form}"] = (lambda names=names: (triplets.label(X, ROWS,
        names).filenames == LABELLED.filenames).all(), Same(lambda: 1))
for name, call, said in (
    ("k 0", lambda: triplets.clusters(X, 0, 0), "number of clusters"), ("k text",
    lambda: triplets.clusters(X, "3", 0), "number of clusters"),
    ("k too many", lambda: triplets.clusters(X, 16, 0), "lower"), ("seed -1", lambda: triplets.clusters(X, 3,
    -1), "seed"),
    ("seed None", lambda: triplets.clusters(X, 3, None), "seed"), ("NaN",
    lambda: triplets.clusters(np.where(X > 2, NAN, X), 3, 0), "NaN"),
    ("lists", lambda: triplets.clusters(X.tolist(), 3, 0), Same(lambda: triplets.clusters(X, 3, 0))),
    ("torch", lambda: triplets.clusters(INPUTS, 3, 0), Same(lambda: triplets.clusters(X, 3, 0))),
):  # fmt: skip
    PROBES[f"clusters: {name}"] = (call, said)
for name, call, said in (
    ("sampling", lambda: triplets.draw("borders", GROUPS, 5, 0), "unknown sampling"), ("n -1",
    lambda: triplets.draw("uniform", GROUPS, -1, 0), "n = -1"),
    ("n half", lambda: triplets.draw("uniform", GROUPS, 2.5, 0), "n = 2.5"), ("workers 0",
    lambda: triplets.draw("uniform", GROUPS, 5, 0, 0), "workers"),
    ("labels text", lambda: triplets.draw("uniform", words, 5, 0), "labels"), ("labels negative",
    lambda: triplets.draw("uniform", -GROUPS, 5, 0), "labels"),
    ("labels of half", lambda: triplets.draw("uniform", GROUPS + 0.5, 5, 0), "labels"), ("no labels",
    lambda: triplets.draw("uniform", [], 5, 0), "labels"),
    ("block of 2", lambda: triplets.cluster_border_blocks(GROUPS, 9, 2, 3, RNG), "block_images"),
    ("a seed for a generator", lambda: triplets.cluster_border(GROUPS, 9, 0), "rng|generator"),
    ("no generator", lambda: triplets.cluster_border_blocks(GROUPS, 9, 9, 3, None), "rng|generator"),
    ("seed text", lambda: triplets.draw("uniform", GROUPS, 5, "a"), "seed"),
):  # fmt: skip
    PROBES[f"drawing: {name}"] = (call, said)
for name, content in {"empty": b"", "page": b"<html>", "cut zip": b"PK\x03\x04abc", "npy": None,
    "other npz": None, "folder": None}.items():

    def read(name=name, content=content):
        path = PLACE / f"{name}.npz"
        if content is not None:
            path.write_bytes(content)
        elif name == "npy":
            np.save(path.open("wb"), ROWS)
        elif name == "other npz":
            np.savez(path, a=ROWS)
        else:
            path.mkdir(exist_ok=True)
        return triplets.read(path)

    PROBES[f"triplet file: {name}"] = (read, "triplet file|lacks an array")

# ---- distillation ----------------------------------------------------------------------------------------------------

for name, value in (
    ("steps", 0), ("steps", 2.0), ("steps", "9"), ("steps", True), ("steps", NAN), ("warmup", -1), ("warmup",
    100_000), ("warmup", None),
    ("temperature", 0), ("temperature", -1.0), ("temperature", INF), ("temperature", "1"), ("learning_rate",
    0), ("learning_rate", NAN),
    ("learning_rate", "3e-4"), ("decay_to_init", -1), ("decay_to_init", NAN), ("decay_to_init", "1"),
    ("decay_to_init", {"tail": -1}),
    ("decay_to_init", {"tail": None}), ("batch_triplets", 0), ("batch_triplets", 1.5), ("checkpoint_every",
    0), ("objective", "JSD"),
    ("objective", None), ("objective", 3), ("decay_to_init", None), ("decay_to_init", [1.0]),
):  # fmt: skip
    PROBES[f"distillation: {name} {value!r}"] = (lambda name=name,
        value=value: Distillation(**{name: value}), name)
for name, value in (("passes", 0), ("passes", "2"), ("prefetch", -1), ("compile", "fast"), ("device", "gpu"),
    ("device", "cuda:7"), ("device", None), ("device", 0)):
    PROBES[f"engine: {name} {value!r}"] = (lambda name=name,
        value=value: run(engine=Engine(**{"device": "cpu"} | {name: value})), f"{name}|GPU")
for form, inputs in {
    "float64": INPUTS.double(), "half": INPUTS.half(), "bfloat16": INPUTS.bfloat16(),
    "strided": torch.cat([INPUTS, INPUTS], 1)[:, :8],
    "with gradient": INPUTS.clone().requires_grad_(), "parameter": nn.Parameter(INPUTS.clone()),
}.items():  # fmt: skip
    PROBES[f"distillation: inputs {form}"] = (lambda inputs=inputs: run(inputs=inputs).divergence,
        Same(lambda: run().divergence, 0.02))
for form, inputs, said in (
    ("numpy", X, Same(lambda: run().divergence)), ("lists", X.tolist(), "inputs"), ("nothing", None,
    "inputs"), ("none", INPUTS[:0], "image 29|no inputs|triplets name"),
    ("fewer", INPUTS[:20], "but there are 20"), ("one axis", INPUTS[:, 0], "takes no inputs"),
    ("other width", INPUTS[:, :5], "takes no inputs of"),
    ("NaN", torch.where(INPUTS > 1, NAN, INPUTS), "NaN or infinity"), ("infinity", torch.where(INPUTS > 1,
    INF, INPUTS), "NaN or infinity"),
    ("data frame", pd.DataFrame(X), "inputs"), ("complex", INPUTS.to(torch.complex64),
    "takes no inputs|complex"), ("an image set", NAMES, "inputs"),
):  # fmt: skip
    PROBES[f"distillation: inputs {form}"] = (lambda inputs=inputs: run(inputs=inputs).divergence, said)
for form, labelled, said in (
    ("odd column first", changed(similarities=LABELLED.similarities[:, ::-1]), "fails its audit"),
    ("no rows", triplets.LabelledTriplets(
        LABELLED.indices[:0], LABELLED.similarities[:0], LABELLED.filenames[:0]), "no triplets"),
    ("NaN", changed(similarities=np.full((400, 3), NAN)), "finite similarities"), ("indices of half",
    changed(indices=LABELLED.indices + 0.5), "types"),
    ("from one", changed(indices=LABELLED.indices + 1), "image 30, but there are 30"), ("negative",
    changed(indices=LABELLED.indices - 1), "image -1"),
    ("names mixed", changed(filenames=LABELLED.filenames[::-1]), "file names against indices"),
    ("whole similarities", changed(
        similarities=(LABELLED.similarities * 9).astype(int)), "types|s01"),
    ("a path", PLACE / "t.npz", "labelled"), ("nothing", None, "labelled"),
    ("rows alone", ROWS, "labelled"), ("dense of others", DenseTriplets(X[:9], 5), "9 teacher embeddings"),
    ("dense, 2 images", DenseTriplets(X, 2), "batch_images"),
    ("dense, half", DenseTriplets(X, 4.5), "batch_images"), ("dense, NaN", DenseTriplets(np.full_like(X,
    NAN), 5), "NaN or infinity"),
    ("dense, lists", DenseTriplets(X.tolist(), 5), Same(lambda: run(DenseTriplets(X, 5)).divergence)),
    ("dense, seed -1", DenseTriplets(X, 5, seed=-1), "seed"),
    ("dense, torch", DenseTriplets(INPUTS, 5), Same(lambda: run(DenseTriplets(X, 5)).divergence)),
    ("dense, float16", DenseTriplets(X.astype(np.float16), 5), Same(lambda: run(DenseTriplets(X,
    5)).divergence, 0.02)),
):  # fmt: skip
    PROBES[f"distillation: triplets {form}"] = (lambda labelled=labelled: run(labelled).divergence, said)
probe(
    "distillation",
    **{
        "a backbone for a student": (lambda: run(model=backbone()), "student"),
        "a module for a student": (lambda: run(model=nn.Linear(8, 4)), "student"),
        "a student's head of Centre": (lambda: run(model=Student(nn.Linear(8, 4), 4,
        head=Centre(torch.zeros(4)))).divergence, lambda found: len(found) == 2),
        "nothing to train": (lambda: run(model=frozen()), "nothing to train"),
        "settings as a dictionary": (lambda: run(settings={"steps": 2}), "settings"),
        "evaluate gives a number": (lambda: run(evaluate=lambda model: 1.0, evaluate_every=1), "evaluate"),
        "evaluate_every 0": (lambda: run(evaluate=lambda model: {}, evaluate_every=0), "evaluate_every"),
        "a checkpoint in a folder": (lambda: run(checkpoint=PLACE), "is a folder"),
        "a checkpoint as bytes": (lambda: len(run(checkpoint=os.fsencode(PLACE / "b.ckpt")).divergence),
        Same(lambda: 2)),
        "a checkpoint of nothing": (lambda: run(checkpoint=""), "checkpoint"),
        "a divergence that is not finite": (lambda: run(settings=dataclasses.replace(SHORT,
        learning_rate=1e30, steps=9)), "learning_rate"),
    },
)


def frozen():
    model = student()
    return model.requires_grad_(False)


# ---- models ----------------------------------------------------------------------------------------------------------

for name, said in (
    ("", "unknown backbone ''"), (":", "unknown library ''"), ("timm:", "timm knows no model"),
    ("open_clip:", "knows no model"), ("@x", "unknown backbone"),
    ("timm:resnet18@", "no weights|names no file|write"), ("timm:resnet18@/nowhere.pt",
    "no weights at /nowhere.pt"), ("timm:resnet18@/etc", "no weights in the folder"),
    ("timm:resnet18@/etc/hostname", "no file of weights"), ("timm:local-dir:", "local-dir"),
    ("open_clip:local-dir:/nowhere", "/nowhere"), ("Timm:resnet18", "did you mean 'timm'"),
    ("timm:ResNet18", "did you mean"), (" efficientnet-lite0", "did you mean"), ("timm:resnet18.no_such_tag",
    "no_such_tag"), (None, "name"), (5, "name"), (Path("x"), "name|unknown"),
):  # fmt: skip
    PROBES[f"build: {name!r}"] = (lambda name=name: backbones.build(name,
        pretrained=False if name == "timm:resnet18.no_such_tag" else True), said)


class Gives(nn.Module):
    """A module that gives whatever is asked of the mean of its pictures."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, pixels):
        return self.what(pixels.mean((2, 3)))


for form, what, said in (
    ("a tuple", lambda x: (x, x), "gives tuple"), ("a dictionary", lambda x: {"x": x}, "gives dict"),
    ("a number", lambda x: x.mean(), r"gives \(\)"),
    ("one axis", lambda x: x[:, 0], "gives"), ("fewer rows", lambda x: x[:1], "gives"), ("nothing",
    lambda x: None, "gives NoneType"),
    ("numpy", lambda x: x.numpy(), "gives ndarray"), ("an error", lambda x: 1 / 0, "takes no pictures"),
    ("no features", lambda x: x[:, :0], "gives"),
    ("NaN", lambda x: x * NAN, "NaN"), ("whole numbers", lambda x: x.long(), "gives|type"), ("complex",
    lambda x: x + 1j, "gives|type"),
):  # fmt: skip
    PROBES[f"own module: {form}"] = (lambda what=what: Backbone.of(Gives(what), 16, (0.5,) * 3, (0.5,) * 3),
        said)
for form, change in (("half precision", lambda m: m.half()), ("bfloat16", lambda m: m.bfloat16()), ("double",
    lambda m: m.double()), ("on meta", lambda m: m.to("meta"))):
    PROBES[f"own module: {form}"] = (lambda change=change: Backbone.of(change(own()), 16, (0.5,) * 3,
        (0.5,) * 3)(torch.rand(2, 3, 16, 16)).shape, "takes no|type|meta")
for cut in (-1, 4, 99, 1.0, "1", None, True):
    PROBES[f"cut: {cut!r}"] = (lambda cut=cut: Student.of(backbone(), cut), "frozen_stages")
probe(
    "models",
    **{
        "no module": (lambda: Backbone.of(None, 16, (0.5,) * 3, (0.5,) * 3), "module"),
        "a function": (lambda: Backbone.of(lambda x: x, 16, (0.5,) * 3, (0.5,) * 3), "module"),
        "a mean of one number": (lambda: Backbone.of(own(), 16, 0.5, 0.5), "mean"),
        "a mean of text": (lambda: Backbone.of(own(), 16, ("a",) * 3, (0.5,) * 3), "mean"),
        "a mean of numpy": (lambda: Backbone.of(own(), 16, np.full(3, 0.5), torch.full((3,),
        0.5)).normalise.mean.flatten(), Same(lambda: [0.5] * 3)),
        "saved over a folder": (lambda: student().save(PLACE), "cannot write"),
        "read from a folder": (lambda: student().load(PLACE), "holds no such student"),
        "read from nowhere": (lambda: student().load(PLACE / "nowhere"), "holds no such student"),
        "another student": (lambda: (student(5).save(PLACE / "o.safetensors"),
        student().load(PLACE / "o.safetensors")), "holds no such student"),
        "of double precision": (lambda: student().double().features(INPUTS),
        Same(lambda: student().features(INPUTS), 1e-5)),
        "no images": (lambda: student().features(INPUTS[:0]).shape, "no images|no inputs"),
        "exported over a file": (lambda: save_pretrained(PLACE / "s.safetensors", backbone(),
        Student.of(backbone(), 0), Card("", "")), "holds something"),
        "exported under a file": (lambda: save_pretrained(PLACE / "s.safetensors" / "x", backbone(),
        Student.of(backbone(), 0), Card("", "")), "cannot write"),
        "exported with another": (lambda: save_pretrained(PLACE / "e", backbone(), student(), Card("", "")),
        "not one of mine"),
        "exported twice": (lambda: [save_pretrained(PLACE / "e2", backbone(), Student.of(backbone(), 0),
        Card("", "")) for _ in "ab"], "holds something"),
        "no pictures": (lambda: embeddings.embed([], backbone()), "no pictures"),
        "one set, no list": (lambda: embeddings.embed(NAMES, backbone()), "image set|pictures"),
        "a checkpoint of a list": (lambda: (weights.write_checkpoint(PLACE / "l.ckpt", {"a": [1]}),
        weights.read_checkpoint(PLACE / "l.ckpt"))[1]["a"], Same(lambda: [1])),
        "embeddings of text": (lambda: embeddings.read(PLACE / "nothing.nc"), "cannot read embeddings"),
    },
)
for suffix in (".pt", ".pth", ".bin", ".safetensors", ".npz"):
    for content in (b"", b"<html>", b"PK\x03\x04", b"\x80\x04N."):

        def load(suffix=suffix, content=content):
            (PLACE / f"w{suffix}").write_bytes(content)
            return backbones.build(f"timm:test_resnet.r160_in1k@{PLACE}/w{suffix}")

        PROBES[f"weights: {suffix} {content[:4]!r}"] = (load, "holds no weights|reads no .npz")
for form, change in {
    "half": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "double": lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()},
    "under state_dict": lambda s: {"state_dict": s}, "under model": lambda s: {"model": s},
    "of DDP": lambda s: {f"module.{k}": v for k, v in s.items()},
    "with an epoch": lambda s: {"epoch": 3, "state_dict": s},
}.items():  # fmt: skip

    def whole(change=change):
        import timm

        net = timm.create_model("test_resnet").eval()
        torch.save(change(net.state_dict()), PLACE / "sound.pt")
        found = backbones.build(f"timm:test_resnet.r160_in1k@{PLACE}/sound.pt")
        pixels = torch.rand(1, 3, found.size, found.size)
        with torch.no_grad():
            wanted = net.forward_head(net.forward_features(found.normalise(pixels)), pre_logits=True)
            return ((found(pixels) - wanted).abs().max() / wanted.abs().max()).item()

    PROBES[f"weights: {form}"] = (whole, lambda found: found < 5e-3)


# ---- pictures --------------------------------------------------------------------------------------------------------

(PLACE / "pictures").mkdir()
Image.new("RGB", (8, 8), (200, 0, 0)).save(PLACE / "pictures" / "a.png")
for form, root, wanted in (
    ("bytes", os.fsencode(PLACE / "pictures"), Same(lambda: 1)), ("none", None, "`root` is None"),
    ("a number", 3, "`root` is 3"), ("a list", [PLACE], "`root` is a list"),
    ("missing", PLACE / "nowhere", "nowhere is not there"), ("a file", PLACE / "pictures" / "a.png", "a.png is a file"),
):  # fmt: skip
    PROBES[f"pictures: folder {form}"] = (lambda root=root: len(FolderImages(root)), wanted)
for form, image, wanted in (
    ("Pillow", Image.new("L", (8, 8)), Same(lambda: 8)), ("array", np.zeros((8, 8, 3), np.uint8), "`image` is a ndarray"),
    ("tensor", torch.zeros(3, 8, 8), "`image` is a Tensor"), ("path", "a.png", "`image` is 'a.png'"), ("none", None, "`image` is None"),
):  # fmt: skip
    PROBES[f"pictures: squash {form}"] = (lambda image=image: squash(image, 8).shape[1], wanted)
for size in (0, -1, "8", 2.5, None):
    PROBES[f"pictures: size {size!r}"] = (lambda size=size: squash(Image.new("L", (8, 8)), size), "size = ")
probe(
    "pictures",
    **{
        "several at once": (lambda: FolderImages(PLACE / "pictures")[0:1], "`source` is a list"),
        "transparent": (lambda: _transparent("white").getpixel((0, 0)), Same(lambda: (255, 255, 255))),
        "ground as numbers": (lambda: _transparent((255, 255, 255)), "no colour"),
        "files as text": (lambda: Files([str(PLACE / "pictures" / "a.png")])[0].size[0], Same(lambda: 8)),
    },
)


def _transparent(ground):
    Image.new("RGBA", (8, 8)).save(PLACE / "clear.png")
    return decoding.open_image(PLACE / "clear.png", ground=ground)


# ---- evaluations -----------------------------------------------------------------------------------------------------

APART, WEIGHTS = rsa.dissimilarities(X), resamples(N, 5, 0)
ABOVE = APART[np.triu_indices(N, 1)]
for form, judged, wanted in (
    ("lists", APART.tolist(), Same(lambda: 1)), ("torch", torch.from_numpy(APART), Same(lambda: 1)),
    ("data frame", pd.DataFrame(APART), Same(lambda: 1)), ("of pairs", ABOVE, "of 435|squareform|both must be"),
    ("of one thing", APART[:1, :1], "both must be"),
    ("text", APART.astype(str), "of type <U"), ("none", None, "both must be|of type object"),
    ("asymmetric", APART + np.triu(np.ones((N, N)), 1), "not symmetric"), ("similarities", 1 - APART, "largest values|the other of dis"),
):  # fmt: skip
    PROBES[f"RSA: judged matrix {form}"] = (lambda judged=judged: rsa.agreement(X[None], judged, WEIGHTS).value, wanted)
    PROBES[f"RSA: two matrices, one {form}"] = (lambda judged=judged: rsa.matrices(APART, judged, WEIGHTS)["pearson"].value, wanted)
probe(
    "evaluation",
    **{
        "weights of fewer": (lambda: rsa.matrices(APART, APART, WEIGHTS[:, :9]), "weights of 9 things for 30"),
        "weights of more": (lambda: rsa.agreement(X[None], APART, resamples(40, 5, 0)), "weights of 40 things for 30"),
        "matrices of pairs": (lambda: rsa.matrices(ABOVE, ABOVE, WEIGHTS), "squareform"),
        "matrices of one thing": (lambda: rsa.matrices(APART[:1, :1], APART[:1, :1], WEIGHTS[:, :1]), "three or more"),
        "choices as a tuple": (lambda: odd_one_out.accuracy(X[None], (ROWS, CHOICES.shares), WEIGHTS), "choices"),
        "no style": (lambda: odd_one_out.accuracy(X[None][:0], CHOICES, WEIGHTS), "no style"),
        "temperature as text": (lambda: odd_one_out.cross_entropy(X[None], CHOICES, "1", WEIGHTS), "temperature"),
        "slice beyond the objects": (lambda: ByObject.of(CHOICES, N)[np.arange(N + 1)], "no such objects"),
        "slice of another mask": (lambda: ByObject.of(CHOICES, N)[np.arange(9) < 5], "no such objects"),
        "slice by text": (lambda: ByObject.of(CHOICES, N)["a"], "no such objects"),
        "slice of one": (lambda: ByObject.of(CHOICES, N)[3], "list of objects"),
        "slice with an object twice": (lambda: ByObject.of(CHOICES, N)[np.array([0, 0, *range(1, 20)])], "each once"),
        "draws without a generator": (lambda: random_triplets(np.arange(5), 2, 0), "rng"),
        "draws from a number": (lambda: random_triplets(30, 2, RNG), "objects of shape"),
    },
)
for form, x in {
    "with a gradient": INPUTS.clone().requires_grad_(), "bfloat16 with a gradient": INPUTS.bfloat16().requires_grad_(),
    "negative view": torch._neg_view(-INPUTS),
}.items():  # fmt: skip
    PROBES[f"teacher: torch {form}"] = (lambda x=x: fitted(x).transform(X), Same(lambda: fitted().transform(X), 0.05))
for form, rows, wanted in (
    ("float16 beyond 2,048", np.array([[2049, 1, 3]], np.float16), "float16 holds exactly up to 2,048"),
    ("float32 beyond 2^24", np.array([[2**24 + 1, 1, 3]], np.float32), "float32 holds exactly up to 16,777,216"),
    ("float16 below", np.array([[2047, 1, 3]], np.float16), Same(lambda: [[2047, 1, 3]])),
):  # fmt: skip
    PROBES[f"choices: triplets {form}"] = (lambda rows=rows: Choices(rows, [[1, 0, 0]]).triplets, wanted)
probe(
    "profiles",
    **{
        "none": (lambda: profiles.load(None), "`profile` is None"),
        "a path": (lambda: _profile("about: a\ninherits: demo\nseed: 3\n", as_path=True).seed, Same(lambda: 3)),
        "an empty one inherited": (lambda: _profile(f"about: a\ninherits: {_written('', 'e')}\n"), "holds no settings"),
    },
)


def _written(text, name="p"):
    path = PLACE / f"{name}.yaml"
    path.write_text(text)
    return path


def _profile(text, as_path=False):
    path = _written(text)
    return profiles.load(path if as_path else str(path))


def outcome(call, wanted):
    """Return what came of a probe, and whether it is what has to come."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call()
    except HumalignError as error:
        import re

        line = str(error)
        ok = "\n" not in line and isinstance(wanted, str) and re.search(wanted, line) is not None
        return ok, f"refused: {line}"
    except Exception as error:
        return wanted == type(error).__name__, f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    if wanted is None:
        return True, "taken"
    if isinstance(wanted, str):
        return False, f"silent: {str(found)[:80]!r}"
    return bool(wanted(found)), "the right value" if wanted(found) else f"another value: {str(found)[:80]}"


def main():
    """Run every probe; say how many came out right."""
    wrong = 0
    for name, (call, wanted) in PROBES.items():
        ok, said = outcome(call, wanted)
        wrong += not ok
        print(f"{'ok   ' if ok else 'WRONG'} {name} -> {said}")
    print(f"{len(PROBES)} probes, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
