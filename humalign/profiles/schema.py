"""The settings of a run, in sections: one schema for every profile; profiles name the sources of values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Within:
    """A condition on a number, and how a line says it."""

    holds: Callable[[float], bool]
    said: str


Count = Annotated[int, Within(lambda n: n >= 1, "a whole number from 1 on")]
Number = Annotated[int, Within(lambda n: n >= 0, "a whole number from 0 on")]
FOLDS = "0, or a whole number from 2 on: one fold leaves nothing to learn from"
Folds = Annotated[int, Within(lambda n: n != 1 and n >= 0, FOLDS)]
Share = Annotated[float, Within(lambda x: 0 <= x <= 1, "a share between 0 and 1")]
Positive = Annotated[float, Within(lambda x: 0 < x < math.inf, "a finite number above 0")]
NotNegative = Annotated[float, Within(lambda x: 0 <= x < math.inf, "a finite number from 0 on")]


@dataclasses.dataclass(frozen=True)
class Own:
    """Judged pictures of one's own, the set ``own``; paths are relative to where the command runs."""

    pictures: str = ""  #: a folder of them, one a thing.
    #: odd-one-out answers about them: a table with a header, or three numbers a line, the odd one last.
    answers: str = ""
    #: the columns of the three pictures, or the one column that lists them.
    shown: tuple[str, ...] = ("image1", "image2", "image3")
    odd: str = "choice"  #: the column of the odd one out.
    first: int = -1  #: the number of the first of the three places in it, 0 or 1; -1: the answers tell.
    #: the number of the first picture, 0 or 1, where pictures are numbers; -1: the answers tell.
    numbered_from: int = -1


@dataclasses.dataclass(frozen=True)
class Data:
    """Pictures and judgments."""

    judged: tuple[str, ...]  #: sets of things that people, or simulated observers, judged.
    #: pictures that nobody judged, of which triplets are made: a registered set, ``torchvision:NAME/SPLIT``,
    #: ``hf:OWNER/NAME/SPLIT`` or ``folder:PATH``.
    pool: str
    #: whether judged photographs are also shown mirrored; the features of both are averaged.
    mirrored: bool = False
    #: sets of pictures with classes that every model is run on, named as the pool is.
    labelled: tuple[str, ...] = ()
    labelled_images: Count = 1000  #: of each labelled set, at most.
    #: other photographs of CIFAR-10, of each of eight corruptions at five severities.
    corrupted_images: Number = 0
    imagenet_pictures: Count = 1281167  #: for training; a run on fewer is refused.
    imagenet_validation: Count = 50000  #: pictures.
    #: the source of one photograph of each THINGS object: ``things-reference-photographs``, those that people
    #: judged, whose archive has a password, or ``things-photographs``, CC0, one other photograph of each.
    things_photographs: str = "things-reference-photographs"
    own: Own = Own()  #: judged pictures of one's own.


@dataclasses.dataclass(frozen=True)
class Parts:
    """Splits of the judged things into those that a teacher is fitted to, and those that it is scored on."""

    all: bool = False  #: whether one is fitted to all things; it is scored on none of them.
    folds: Folds = 0  #: over the things; 0 for none.
    halves: bool = False  #: whether one is fitted to each half of them.
    whole_subgroups: Number = 0  #: subgroups a fold that are held out whole.
    #: a share of the things that one teacher is scored on, and fitted to all others; 0 for none.
    held: Share = 0.0


@dataclasses.dataclass(frozen=True)
class Teacher:
    """An affine map of a backbone's embeddings, fitted to judgments of one set."""

    judged: str  #: the set.
    #: whose embeddings it maps, side by side; none where the embeddings come with the judgments.
    backbones: tuple[str, ...] = ()
    further: tuple[str, ...] = ()  #: backbones that are scored as these are, but are no part of it.
    #: ``affine``, on the observers' choice distributions; ``answers``, several recipes side by side on one
    #: set of answers, the mixed-effects teacher among them; ``photographs``, on what the published VICE says
    #: of them; ``direct``, on the answers themselves, however few.
    learner: str = "affine"
    parts: Parts = Parts()  #: what it is fitted to, and scored on.
    triplets: Count = 1  #: with the observers' choice distributions, that it learns from.
    #: of these drawn across the borders of clusters of the VICE embedding, the others uniform.
    border_share: Share = 0.0
    border_clusters: Number = 0  #: of the VICE embedding.
    #: strengths of the regularisation λ of the affine map, of which one is chosen on hidden things.
    pulls: tuple[NotNegative, ...] = ()
    pull_folds: Folds = 3  #: over the training things, to choose among them.
    rank: Number = 0  #: directions of the backbone that the affine map may turn.
    iterations: Count = 300  #: of the affine map's solver.
    #: standard deviations of a thing's own part in the mixed-effects teacher, of which one is chosen.
    residuals: tuple[Positive, ...] = ()
    ridges: tuple[Positive, ...] = ()  #: of the mixed-effects teacher.
    keeps: tuple[Share, ...] = ()  #: how much of the backbone's own space stays.


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Simulated observers: a tree space over the taxonomy; sharpness and lapses are calibrated to THINGS."""

    people: Count = 60  #: of them.
    individuality: NotNegative = 0.3  #: s.d. of log dimension weights between persons.
    space_dim: Count = 40  #: dimensions of the space.
    group_share: Share = 0.45  #: of a concept's squared length, as are the next two.
    subgroup_share: Share = 0.45  #: see above.
    concept_share: Share = 0.1  #: see above.
    answers: Count = 200_000  #: one answer each, over random triplets of all concepts.
    people_per_triplet: Count = 20  #: on repeated triplets.
    test_triplets: Count = 6000  #: repeated triplets a level, subset and fold.


@dataclasses.dataclass(frozen=True)
class Observer:
    """The model of the answers, VICE."""

    dim: Count = 100  #: dimensions that it starts from, and prunes.
    steps: Count = 20_000  #: of training.
    batch: Count = 16_384  #: answers a step.
    seeds: Number = 0  #: fits to all training answers, from as many seeds, for its own scores.
    shares: tuple[Share, ...] = ()  #: of the answers, for its learning curve.


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Pseudo-labelled triplets of the pool."""

    source: str = "own"  #: ``own``, or ``official`` for the released files, after their audit.
    sampling: str = "cluster-border"  #: how three pictures are drawn.
    clusters: Count = 500  #: of the pool.
    space: str = "backbone"  #: ``backbone`` or ``teacher``, in whose space they are found.
    number: Count = 10_000_000  #: for training.
    validation: Number = 10_000  #: that a student's progress is measured on.
    #: pictures that the rows of one training step share; 0 where rows are drawn one by one.
    block_images: Number = 0


@dataclasses.dataclass(frozen=True)
class Student:
    """A network that is distilled, an aligned one and its control."""

    backbone: str  #: by its name.
    frozen: Number = 0  #: blocks that are run once and kept.
    trained: Number = 0  #: instead of that, how many of the last blocks are trained; 0 for all.
    #: of the teacher, a student each: ``all``, ``folds``, ``halves``. The control of halves is that of all.
    parts: tuple[str, ...] = ("all",)
    #: ``official``, or ``centre``: the objective sees the features themselves, less their mean over the pool.
    head: str = "official"
    scored: str = "everything"  #: on ``everything``, or on ``judgments`` and few-shot alone.


@dataclasses.dataclass(frozen=True)
class Distillation:
    """The objective and the schedule of students."""

    objective: str
    temperature: Positive
    steps: Count
    warmup: Number
    learning_rate: Positive
    decay_to_init: NotNegative
    batch_triplets: Count  #: a step.
    checkpoint_every: Count
    batch_images: Number = 0  #: a step, where it learns from all triplets among them; 0 otherwise.
    evaluate_every: Number = 0  #: steps; 0 for never.


@dataclasses.dataclass(frozen=True)
class Curves:
    """Dense against sparse triplets: agreement with the teacher on held-back pictures, by images seen."""

    seeds: Number = 0  #: training runs of each kind; 0 for no curves.
    steps: Count = 72  #: with dense triplets.
    sparse_steps: Count = 216  #: with sparse ones.
    every: Count = 24  #: steps between two points.
    #: a step; the fewer, the more steps for as many images.
    images: Annotated[int, Within(lambda n: n >= 3, "3 or more: a triplet has three")] = 21
    held_out: Count = 400  #: pictures.
    triplets: Count = 20_000  #: that agreement is measured on.
    clusters: Count = 50  #: of the pool, for the sparse cluster-border triplets.


@dataclasses.dataclass(frozen=True)
class Compute:
    """How it is computed: speed and memory, no number beyond rounding."""

    device: str = "cpu"  #: ``auto``, ``cuda`` or ``cpu``.
    precision: str = "float32"  #: ``bfloat16`` or ``float32``.
    compile: str = "none"  #: of students in training; ``none`` on a machine without a compiler.
    workers: Count = 1  #: processes that decode pictures.
    batch_images: Count = 64  #: a forward pass without gradient; halved where a GPU has too little memory.
    processes: Number = 1  #: that train together; 0: one a GPU.


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is scored, and how."""

    names: tuple[str, ...]  #: of the evaluations (`humalign.chain.steps`).
    shots: tuple[Count, ...]  #: pictures of each class to learn from.
    few_shot_draws: Count  #: how often they are drawn.
    bootstrap_draws: Count  #: of every interval.
    #: pictures of each class on which least squares chooses its penalty; with none it is left out.
    few_shot_validation: Number = 0
    #: over the judged photographs, for scores on those that a teacher of the others did not see.
    image_folds: Folds = 5
    compared_images: Number = 0  #: between which models and stages are compared; objects along WordNet.
    curve_shares: tuple[Share, ...] = ()  #: of answers and of objects, for the teacher's learning curves.
    recovery_answers: tuple[Count, ...] = ()  #: simulated answers by a known map.
    recovery_dim: Number = 0  #: dimensions of that map.


@dataclasses.dataclass(frozen=True)
class Profile:
    """All settings of a run; ``source`` is how it was loaded: a name, or the path of a file of one's own."""

    name: str
    source: str
    about: str
    seed: Number
    threads: Count
    data: Data
    distillation: Distillation
    evaluation: Evaluation
    evidence: str = "human"
    simulated: Simulated = Simulated()
    observer: Observer = Observer()
    teachers: tuple[Teacher, ...] = ()
    triplets: Triplets = Triplets()
    students: tuple[Student, ...] = ()
    curves: Curves = Curves()
    compute: Compute = Compute()

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the students' backbones."""
        return tuple(student.backbone for student in self.students)

    @property
    def labeller(self) -> Teacher:
        """The teacher that labels the triplets of the pool: the last one."""
        return self.teachers[-1]
