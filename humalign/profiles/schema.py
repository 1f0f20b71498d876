"""The settings that a run is made of, in sections: one schema for every profile, with the defaults that most share.

Sources of values stand in the profiles.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

from humalign.profiles.judging import Count, Data, Folds, NotNegative, Number, Parts, Positive, Share, Teacher, Within

__all__ = ["Data", "Observer", "Parts", "Profile", "Simulated", "Student", "Teacher", "Within"]


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Simulated observers: a tree space over the taxonomy; sharpness and lapses are calibrated to THINGS.

    Attributes:
        people: of them.
        individuality: s.d. of log dimension weights between persons.
        space_dim: dimensions of the space.
        group_share: of a concept's squared length, as are the next two.
        subgroup_share: see above.
        concept_share: see above.
        answers: one answer each, over random triplets of all concepts.
        people_per_triplet: on repeated triplets.
        test_triplets: repeated triplets a level, subset and fold.
    """

    people: Count = 60
    individuality: NotNegative = 0.3
    space_dim: Count = 40
    group_share: Share = 0.45
    subgroup_share: Share = 0.45
    concept_share: Share = 0.1
    answers: Count = 200_000
    people_per_triplet: Count = 20
    test_triplets: Count = 6000


@dataclasses.dataclass(frozen=True)
class Observer:
    """The model of the answers, VICE.

    Attributes:
        dim: dimensions that it starts from, and prunes.
        steps: of training.
        batch: answers a step.
        seeds: fits to all training answers, from as many seeds, for its own scores.
        shares: of the answers, for its learning curve.
    """

    dim: Count = 100
    steps: Count = 20_000
    batch: Count = 16_384
    seeds: Number = 0
    shares: tuple[Share, ...] = ()


@dataclasses.dataclass(frozen=True)
class Triplets:
    """Pseudo-labelled triplets of the pool.

    Attributes:
        source: ``own``, or ``official`` for the released files, after their audit.
        sampling: how three pictures are drawn.
        clusters: of the pool.
        space: ``backbone`` or ``teacher``, in whose space they are found.
        number: for training.
        validation: that a student's progress is measured on.
        block_images: pictures that the rows of one training step share; 0 where rows are drawn one by one.
    """

    source: str = "own"
    sampling: str = "cluster-border"
    clusters: Count = 500
    space: str = "backbone"
    number: Count = 10_000_000
    validation: Number = 10_000
    block_images: Number = 0


@dataclasses.dataclass(frozen=True)
class Student:
    """A network that is distilled, an aligned one and its control.

    Attributes:
        backbone: by its name.
        frozen: blocks that are run once and kept.
        trained: instead of that, how many of the last blocks are trained; 0 for all.
        parts: of the teacher, a student each: ``all``, ``folds``, ``halves``. The control of halves is that of all.
        head: ``official``, or ``centre``: the objective sees the features themselves, less their mean over the pool.
        scored: on ``everything``, or on ``judgments`` and few-shot alone.
    """

    backbone: str
    frozen: Number = 0
    trained: Number = 0
    parts: tuple[str, ...] = ("all",)
    head: str = "official"
    scored: str = "everything"


@dataclasses.dataclass(frozen=True)
class Distillation:
    """The objective and the schedule of students.

    Attributes:
        batch_triplets: a step.
        batch_images: a step, where it learns from all triplets among them; 0 otherwise.
        evaluate_every: steps; 0 for never.
    """

    objective: str
    temperature: Positive
    steps: Count
    warmup: Number
    learning_rate: Positive
    decay_to_init: NotNegative
    batch_triplets: Count
    checkpoint_every: Count
    batch_images: Number = 0
    evaluate_every: Number = 0


@dataclasses.dataclass(frozen=True)
class Curves:
    """Dense against sparse triplets: agreement with the teacher on held-back pictures of the pool, by images seen.

    Attributes:
        seeds: training runs of each kind; 0 for no curves.
        steps: with dense triplets.
        sparse_steps: with sparse ones.
        every: steps between two points.
        images: a step; the fewer, the more steps for as many images.
        held_out: pictures.
        triplets: that agreement is measured on.
        clusters: of the pool, for the sparse cluster-border triplets.
    """

    seeds: Number = 0
    steps: Count = 72
    sparse_steps: Count = 216
    every: Count = 24
    images: Annotated[int, Within(lambda n: n >= 3, "3 or more: a triplet has three")] = 21
    held_out: Count = 400
    triplets: Count = 20_000
    clusters: Count = 50


@dataclasses.dataclass(frozen=True)
class Compute:
    """How it is computed: speed and memory, no number beyond rounding.

    Attributes:
        device: ``auto``, ``cuda`` or ``cpu``.
        precision: ``bfloat16`` or ``float32``.
        compile: of students in training; ``none`` on a machine without a compiler.
        workers: processes that decode pictures.
        batch_images: a forward pass without gradient; halved where a GPU has too little memory.
        processes: that train together; 0: one a GPU.
    """

    device: str = "cpu"
    precision: str = "float32"
    compile: str = "none"
    workers: Count = 1
    batch_images: Count = 64
    processes: Number = 1


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is scored, and how.

    Attributes:
        names: of the evaluations (`humalign.chain.steps`).
        shots: pictures of each class to learn from.
        few_shot_draws: how often they are drawn.
        few_shot_validation: pictures of each class set apart, on which the classifier by least squares chooses its penalty; with none
            it is left out.
        bootstrap_draws: of every interval.
        image_folds: over the judged photographs, for scores on those that a teacher of the others did not see.
        compared_images: between which models and stages are compared; objects along WordNet.
        curve_shares: of the answers and of the objects, for the teacher's learning curves.
        recovery_answers: simulated answers by a known map.
        recovery_dim: dimensions of that map.
    """

    names: tuple[str, ...]
    shots: tuple[Count, ...]
    few_shot_draws: Count
    bootstrap_draws: Count
    few_shot_validation: Number = 0
    image_folds: Folds = 5
    compared_images: Number = 0
    curve_shares: tuple[Share, ...] = ()
    recovery_answers: tuple[Count, ...] = ()
    recovery_dim: Number = 0


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
