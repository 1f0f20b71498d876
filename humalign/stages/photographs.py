"""Photographs: through every backbone, then students on real people.

The teacher of photographs is fitted to the 278 THINGS photographs and what VICE says of them. A student sees none of these, nor the
92 photographs that it is scored on, nor any human answer: it is distilled on unlabelled photographs of another set, the pool.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float, Int
from PIL import Image
from tqdm import tqdm

from humalign import backbones, embeddings, readers, registry, triplets
from humalign.artefacts import Provenance, replacing
from humalign.batches import DenseTriplets
from humalign.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from humalign.distill import Distillation, distill
from humalign.errors import HumalignError
from humalign.evaluation import people
from humalign.images import ImageSet, Subset, ZipImages, open_image
from humalign.judgments import ByObject, agreement, cosine_similarities, random_triplets
from humalign.pipeline import Run
from humalign.profiles import Things
from humalign.stages.inputs import progress_bar, stream
from humalign.student import Centre, Student
from humalign.teacher import AffineTeacher

JUDGED = ("things-278", "kriegeskorte-92")
# Labelled photographs that classifiers are taught on, by the name of their source; none of them is in the pool.
LABELLED = {"cifar10": "cifar10-test", "textures": "dtd"}
HALVES = (0, 1)
FURTHER = ("aligned", *(f"aligned-half{half}" for half in HALVES), "unaligned")
STUDENTS = (*FURTHER, "aligned-head")
KINDS = ("dense", "sparse")
# Dimensions of the teacher's space for a few hundred photographs.
DIM = 40


class Mirrored:
    """Pictures in memory, each followed by its mirror image."""

    def __init__(self, pictures: list[Image.Image], name: str) -> None:
        self.pictures = [turned for picture in pictures for turned in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
        self.labels = _labels(name, ["as it is", "mirrored"] * len(pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        return self.pictures[index]


def _labels(name: str, shown: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"set": [name] * len(shown), "shown": shown})


def embedding_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    return [f"embeddings/{name}.nc" for name in (*profile.backbones, *profile.further_backbones)]


def embed(run: Run, provenance: Provenance) -> None:
    """Run all photographs through every backbone, those that people judged also mirrored.

    A student's backbone comes last to the stage where its trunk ends, and sees the labelled sets too, the first one also the
    corrupted photographs; a backbone that neither teaches nor learns sees only what people judged. A backbone that was finished
    under the same key is kept, so that an interrupted run continues.
    """
    profile, sets = run.profile, _judged_sets()
    pool: list[ImageSet] = [_named(ZipImages(registry.verify("caltech101")), "pool")]
    labelled: list[ImageSet] = [_named(images, name) for name, images in labelled_sets(profile).items()]
    further: list[ImageSet] = [_named(corrupted(profile), "corrupted")]
    for name in (*profile.backbones, *profile.further_backbones):
        if embeddings.made_with(run.path(f"embeddings/{name}.nc"), provenance.key):
            continue
        backbone, learns = backbones.build(name), name in profile.students
        shown = [*sets, *(pool if learns or name in profile.backbones else ()), *(labelled if learns else ())]
        shown += further if name == profile.students[0] else []
        with progress_bar(sum(map(len, shown)), f"{name}, pictures") as bar:
            found = embeddings.embed(shown, backbone, frozen_stages(profile, backbone) if learns else None, progress=bar.update)
        embeddings.write(run.path(f"embeddings/{name}.nc"), found, provenance.attrs())


def frozen_stages(profile: Things, backbone: backbones.Backbone) -> int:
    """Return how many stages of a student's backbone are not trained."""
    return max(len(backbone.stages) - profile.trained_stages, 0)


def _judged_sets() -> list[ImageSet]:
    paths, _ = readers.things_photographs(registry.locate("things-photographs"))
    registry.verify("kriegeskorte92-judgments")
    judged = readers.similarity_judgments_92(registry.verify("kriegeskorte92-images").parent)
    return [
        Mirrored([open_image(path) for path in paths], "things-278"),
        Mirrored([Image.fromarray(pixels) for pixels in judged.images], "kriegeskorte-92"),
    ]


def labelled_sets(profile: Things) -> dict[str, Subset]:
    """Return the photographs with class labels, at most ``labelled_images`` of each set, spread evenly over its classes."""
    found = {}
    for name, source in LABELLED.items():
        whole = ZipImages(registry.verify(source))
        found[name] = Subset(whole, np.linspace(0, len(whole) - 1, min(profile.labelled_images, len(whole))).astype(int))
    return found


def corrupted(profile: Things) -> Corrupted:
    """Return other photographs of CIFAR-10 than the labelled ones, each corrupted in one way, ``corrupted_images`` in each."""
    whole = ZipImages(registry.verify(LABELLED["cifar10"]))
    ways = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES for _ in range(profile.corrupted_images)]
    others = np.setdiff1d(np.arange(len(whole)), labelled_sets(profile)["cifar10"].rows)
    rows = stream(profile, 13).permutation(others)[: len(ways)]
    return Corrupted(Subset(whole, rows), ways[: len(rows)], profile.seed)


def _named(images: ImageSet, name: str) -> Subset:
    """Return the same pictures under the labels that an embedding carries."""
    return Subset(images, np.arange(len(images)), _labels(name, ["as it is"] * len(images)))


def features(run: Run) -> dict[str, dict[str, Float[np.ndarray, "images dim"]]]:
    """Return features by model and set, a judged picture's and its mirror image's averaged; last, of ``backbones`` side by side."""
    profile = run.profile
    every = [*profile.backbones, *profile.further_backbones]
    read = {name: _by_set(embeddings.read(run.path(f"embeddings/{name}.nc"))) for name in every}
    found = {name: read[name] for name in profile.backbones}
    beside = {}
    if len(found) > 1:
        # Each backbone with the same weight: its root mean square distance from the mean of the THINGS photographs is one.
        scale = {name: float(np.sqrt(((f["things-278"] - f["things-278"].mean(0)) ** 2).sum(1).mean())) for name, f in found.items()}
        beside["+".join(found)] = {
            which: np.concatenate([f[which] / scale[name] for name, f in found.items()], axis=1) for which in (*JUDGED, "pool")
        }
    return read | beside


def _by_set(file: xr.Dataset) -> dict[str, Float[np.ndarray, "images dim"]]:
    values, sets = file["features"].values, file["set"].values
    found = {str(name): values[sets == name] for name in pd.unique(sets)}
    return found | {name: found[name].reshape(-1, 2, values.shape[1]).mean(1) for name in JUDGED}


# ---- teachers of photographs ---------------------------------------------------------------------------------------------------------


def vice_says(profile: Things, published: Float[np.ndarray, "images dims"]) -> ByObject:
    """Return the pair that VICE finds most likely to be kept, for random triplets of photographs with known dimensions."""
    asked = random_triplets(np.arange(len(published)), profile.image_triplets, stream(profile, 5))
    similar = people.pair_values(people.dot_similarity(published), asked)
    return ByObject(asked, np.eye(3)[similar.argmax(1)], len(published))


def fit(profile: Things, shown: Float[np.ndarray, "images dim"], answers: ByObject) -> AffineTeacher:
    """Fit a teacher whose settings are cross-validated over the given photographs alone."""
    grids = [{"residual": profile.image_residuals, "ridge": profile.image_ridges}, {"keep": profile.image_keeps}]
    return people.tuned(shown, answers, grids, profile.seed, dim=DIM)


def halves(profile: Things, images: int) -> Int[np.ndarray, " images"]:
    """Return in which half each photograph is: the student that is scored on one half has a teacher of the other."""
    return stream(profile, 8).permutation(images) % len(HALVES)


def _pool_labels(run: Run, published: Float[np.ndarray, "images dims"]) -> Iterator[tuple[str, Float[np.ndarray, "pool dim"]]]:
    """Yield each student's teacher embeddings of the pool: the labels of its triplets are their dot products."""
    profile = run.profile
    shown = features(run)["+".join(profile.backbones)]
    far, pool, answers = shown["things-278"], shown["pool"], vice_says(profile, published)
    half = halves(profile, len(far))
    for name in STUDENTS:
        if name == "unaligned":
            yield name, AffineTeacher(pull=np.inf).fit(far, (answers.triplets, answers.shares)).transform(pool)
            continue
        kept = np.flatnonzero(half != int(name[-1])) if "half" in name else np.arange(len(far))
        yield name, fit(profile, far[kept], answers[kept]).transform(pool)


# ---- students ------------------------------------------------------------------------------------------------------------------------


def _everyone(profile: Things) -> list[tuple[str, str]]:
    """Return backbone and stage of every student; of the first backbone there is one more, with the official head."""
    return [(model, stage) for model in profile.students for stage in (STUDENTS if model == profile.students[0] else FURTHER)]


def student_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    students = [f"students/{model}/{stage}.{end}" for model, stage in _everyone(profile) for end in ("safetensors", "nc")]
    return [*students, *(f"students/curves/{kind}-seed{seed}.json" for kind in KINDS for seed in range(profile.curve_seeds))]


@dataclasses.dataclass(frozen=True)
class _School:
    """What all students of a backbone share: the backbone, and the activations of its frozen trunk."""

    run: Run
    backbone: backbones.Backbone
    activations: dict[str, torch.Tensor]
    mean: Float[torch.Tensor, " dim"]

    @classmethod
    def of(cls, run: Run, model: str) -> _School:
        if model not in (*run.profile.backbones, *run.profile.further_backbones):
            raise HumalignError(f"the student {model!r} is none of `backbones` and `further_backbones`: name it there too")
        file = embeddings.read(run.path(f"embeddings/{model}.nc"))
        sets, kept = file["set"].values, torch.from_numpy(file["activations"].values)
        inputs = {str(name): kept[torch.from_numpy(sets == name)] for name in pd.unique(sets)}
        mean = torch.from_numpy(file["features"].values[sets == "pool"].mean(0))
        return cls(run, backbones.build(model), inputs, mean)

    def student(self, seed: int, head: bool = False) -> Student:
        """Return a student at its start: the objective sees its centred features themselves, or the official head's outputs."""
        frozen = frozen_stages(self.run.profile, self.backbone)
        return Student.of(self.backbone, frozen, seed=seed, head=None if head else Centre(self.mean))

    @property
    def settings(self) -> Distillation:
        named = {field.name for field in dataclasses.fields(Distillation)} - {"batch_triplets"}
        return Distillation(**{name: getattr(self.run.profile, name) for name in named}, batch_triplets=self.run.profile.curve_images // 3)

    @functools.cached_property
    def untaught(self) -> tuple[Int[np.ndarray, " taught"], Int[np.ndarray, " held"]]:
        """Photographs of the pool to learn from, and those held back to ask whether student and teacher agree."""
        order = stream(self.run.profile, 9).permutation(len(self.activations["pool"]))
        held = self.run.profile.curve_held_out
        return np.sort(order[held:]), np.sort(order[:held])


def train(run: Run, provenance: Provenance) -> None:
    """Distil every student, and compare dense with sparse triplets; whatever was finished under the same key is kept."""
    profile = run.profile
    schools = {model: _School.of(run, model) for model in profile.students}
    everyone, known = _everyone(profile), readers.embedding(registry.verify("things-vice"), None)
    _, objects = readers.things_photographs(registry.locate("things-photographs"))
    steps = len(everyone) * profile.steps + profile.curve_seeds * sum(_curve_steps(profile).values())
    with progress_bar(steps, "training steps") as bar:
        for name, labels in _pool_labels(run, known[objects]):
            for model in profile.students:
                if (model, name) in everyone:
                    _train_one(schools[model], name, labels, provenance, bar)
            if name == "aligned":
                for kind in KINDS:
                    for seed in range(profile.curve_seeds):
                        _curve(schools[profile.students[0]], kind, seed, labels, provenance, bar)
    for leftover in run.path("students").rglob("*.ckpt"):
        leftover.unlink()


def _train_one(school: _School, name: str, labels: np.ndarray, provenance: Provenance, bar: tqdm) -> None:
    run, profile = school.run, school.run.profile
    finished = run.path(f"students/{school.backbone.name}/{name}.nc")
    if embeddings.made_with(finished, provenance.key) and finished.with_suffix(".safetensors").is_file():
        bar.update(profile.steps)
        return
    student = school.student(profile.seed, head=name == "aligned-head")
    plan = DenseTriplets(labels, profile.batch_images, seed=profile.seed)
    checkpoint = finished.with_suffix(f".{provenance.key}.ckpt")
    log = distill(student, school.activations["pool"], plan, school.settings, checkpoint, lambda step: bar.update())
    student.save(finished.with_suffix(".safetensors"), provenance.attrs())
    made = [(which, student.features(inputs).numpy()) for which, inputs in school.activations.items() if which != "pool"]
    rows = np.concatenate([[which] * len(values) for which, values in made]).astype(object)
    found = {"features": (("image", "feature"), np.concatenate([values for _, values in made])), "divergence": ("step", log.divergence)}
    embeddings.write(finished, xr.Dataset(found, coords={"set": ("image", rows)}), provenance.attrs())


def student_features(run: Run, model: str, name: str) -> dict[str, Float[np.ndarray, "images dim"]]:
    """Return a student's penultimate features by set, a judged picture's and its mirror image's averaged."""
    return _by_set(embeddings.read(run.path(f"students/{model}/{name}.nc")))


# ---- dense against sparse ------------------------------------------------------------------------------------------------------------


def _curve_steps(profile: Things) -> dict[str, int]:
    return {"dense": profile.curve_steps, "sparse": profile.curve_sparse_steps}


def _curve(school: _School, kind: str, seed: int, labels: np.ndarray, provenance: Provenance, bar: tqdm) -> None:
    """Train on dense or on sparse triplets, and note by images seen how often student and teacher agree on photographs held back."""
    run, profile = school.run, school.run.profile
    path = run.path(f"students/curves/{kind}-seed{seed}.json")
    steps = _curve_steps(profile)[kind]
    if _noted(path, provenance.key):
        bar.update(steps)
        return
    taught, held = school.untaught
    asked = random_triplets(np.arange(len(held)), profile.curve_triplets, stream(profile, 10))
    chosen = np.eye(3)[people.pair_values(people.dot_similarity(labels[held]), asked).argmax(1)]
    held_back = school.activations["pool"][held]

    def agree(student: Student) -> dict[str, float]:
        return {"agreement": float(agreement(cosine_similarities(student.features(held_back).numpy(), asked), chosen).mean())}

    rows = school.settings.batch_triplets
    plan: DenseTriplets | triplets.LabelledTriplets = DenseTriplets(labels[taught], 3 * rows, seed=seed)
    if kind == "sparse":
        groups = triplets.clusters(labels[taught], profile.clusters, seed)
        drawn = triplets.cluster_border(groups, steps * rows, stream(profile, 11, seed))
        plan = triplets.label(labels[taught], drawn, np.array([f"{place}" for place in taught]))
    settings = dataclasses.replace(school.settings, steps=steps, warmup=min(profile.warmup, steps // 4))
    student = school.student(seed)
    noted = {0: agree(student)}
    log = distill(
        student, school.activations["pool"][taught], plan, settings, path.with_suffix(f".{provenance.key}.ckpt"),
        lambda step: bar.update(), evaluate=agree, evaluate_every=profile.curve_every,
    )
    noted |= log.evaluations
    curve = [[3 * rows * done, found["agreement"]] for done, found in sorted(noted.items())]
    with replacing(path) as part:
        part.write_text(json.dumps(provenance.attrs() | {"curve": curve}, indent=1))


def _noted(path: Any, key: str) -> bool:
    try:
        return bool(json.loads(path.read_text())["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def curves(run: Run) -> dict[str, list[list[tuple[int, float]]]]:
    """Return (images seen, agreement with the teacher) by kind and seed."""

    def noted(kind: str, seed: int) -> list[tuple[int, float]]:
        found = json.loads(run.path(f"students/curves/{kind}-seed{seed}.json").read_text())["curve"]
        return [(int(images), float(agreed)) for images, agreed in found]

    return {kind: [noted(kind, seed) for seed in range(run.profile.curve_seeds)] for kind in KINDS}
