"""The sections of a profile about pictures and judgments: which there are, and which teachers learn from them."""

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
Folds = Annotated[int, Within(lambda n: n != 1 and n >= 0, "0, or a whole number from 2 on: one fold leaves nothing to learn from")]
Share = Annotated[float, Within(lambda x: 0 <= x <= 1, "a share between 0 and 1")]
Positive = Annotated[float, Within(lambda x: 0 < x < math.inf, "a finite number above 0")]
NotNegative = Annotated[float, Within(lambda x: 0 <= x < math.inf, "a finite number from 0 on")]


@dataclasses.dataclass(frozen=True)
class Own:
    """Judged pictures of one's own, the judged set ``own``; paths are relative to the folder where the command runs."""

    pictures: str = ""  #: a folder of them, one a thing.
    #: odd-one-out answers about them: a table with a header, or three numbers a line, the odd one last.
    answers: str = ""
    #: the columns of the three pictures, or the one column that lists them.
    shown: tuple[str, ...] = ("image1", "image2", "image3")
    odd: str = "choice"  #: the column of the odd one out.
    #: the number of the first of the three places in that column, 0 or 1; -1: the answers tell.
    first: int = -1
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
