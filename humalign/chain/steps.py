"""What each step of a run does, what it needs and what it leaves: one table."""

from __future__ import annotations

import dataclasses

from humalign.chain import human_scores, people, photograph_students, photographs
from humalign.chain.inputs import embed, embedding_files, judge, sources, weights_of
from humalign.chain.learning import student_files, train
from humalign.chain.paper import authors, embedding, features, labelling, pictures, scoring, students, teaching
from humalign.chain.pipeline import Stage
from humalign.chain.results import score
from humalign.chain.teaching import sample, teach, teacher_files, triplet_files
from humalign.profiles import Settings

__all__ = ["CHAINS", "PEOPLE", "STAGES", "of"]


# How a backbone is built and its pictures prepared. Of the other files of the registry only the checksums are part of a key: an edit of
# a licence should not cost the embedding of a million pictures.
RECIPES = ("humalign/data/registry/backbones.yaml",)

STAGES: dict[str, Stage] = {
    "embeddings": Stage(
        needs=(),
        settings=("teacher_backbone", "student_backbone", "frozen_stages"),
        outputs=embedding_files,
        make=embed,
        files=RECIPES,
        sources=sources,
    ),
    "judgments": Stage(
        needs=(),
        settings=(
            *("observers", "individuality", "space_dim", "group_share", "subgroup_share", "concept_share"),
            *("answers", "folds", "whole_subgroups"),
        ),
        outputs=lambda profile: ["judgments.nc"],
        make=judge,
        sources=sources,
    ),
    "teacher": Stage(
        needs=("embeddings", "judgments"),
        settings=(
            *("vice_dim", "vice_steps", "vice_batch", "distilled_triplets", "border_share", "vice_clusters"),
            *("pulls", "pull_folds", "teacher_rank", "teacher_iterations"),
        ),
        outputs=teacher_files,
        make=teach,
        sources=sources,
    ),
    "triplets": Stage(
        needs=("teacher",),
        settings=("clusters", "triplets", "block_images", "batch_triplets"),
        outputs=triplet_files,
        make=sample,
        sources=sources,
    ),
    "students": Stage(
        needs=("triplets",),
        settings=(
            *("objective", "temperature", "steps", "warmup", "learning_rate", "decay_to_init"),
            *("batch_triplets", "checkpoint_every"),
        ),
        outputs=student_files,
        make=train,
        sources=sources,
    ),
    "scores": Stage(
        needs=("students",),
        settings=("people_per_triplet", "test_triplets", "shots", "few_shot_draws", "bootstrap_draws"),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=score,
        sources=sources,
    ),
}

# Teachers and students on real human judgments. Each stage checks the human data against their checksums before it reads them.
OBJECTS = [
    *("things-ids", "things-clip-features", "things-answers", "things-validation-answers", "things-repeated-answers"),
    *("things-vice", "things-categories"),
]
JUDGED = ["things-ids", "things-photographs", "kriegeskorte92-judgments", "kriegeskorte92-images"]
LABELLED = [*photographs.LABELLED.values(), "cifar10h"]
PEOPLE: dict[str, Stage] = {
    "embeddings": Stage(
        needs=(),
        settings=("backbones", "further_backbones", "students", "trained_stages", "labelled_images", "corrupted_images"),
        outputs=photographs.embedding_files,
        make=photographs.embed,
        files=RECIPES,
        sources=lambda profile: [
            *(*JUDGED, "caltech101", *photographs.LABELLED.values()),
            *weights_of(*profile.backbones, *profile.further_backbones),
        ],
    ),
    "judgments": Stage(
        needs=(),
        settings=("vice_dim", "vice_steps", "vice_batch", "vice_seeds", "vice_shares", "folds"),
        outputs=people.observer_files,
        make=people.observe,
        sources=lambda profile: OBJECTS,
    ),
    "teacher": Stage(
        needs=("judgments",),
        settings=("residuals", "ridges", "pulls", "pull_folds", "distilled_triplets"),
        outputs=people.teacher_files,
        make=people.teach,
        sources=lambda profile: OBJECTS,
    ),
    "students": Stage(
        needs=("embeddings",),
        settings=(
            *("image_residuals", "image_ridges", "image_keeps", "image_triplets"),
            *("objective", "temperature", "steps", "warmup", "learning_rate", "decay_to_init", "batch_images", "checkpoint_every"),
            *("curve_seeds", "curve_steps", "curve_sparse_steps", "curve_every", "curve_images", "curve_held_out", "curve_triplets"),
            "clusters",
        ),
        outputs=photograph_students.student_files,
        make=photograph_students.train,
        sources=lambda profile: [*OBJECTS, "things-photographs", *weights_of(*profile.students)],
    ),
    "scores": Stage(
        needs=("embeddings", "teacher", "students"),
        settings=(
            *("image_folds", "image_repeats", "shots", "few_shot_draws"),
            *("shares", "recovery_answers", "recovery_dim", "bootstrap_draws"),
        ),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=human_scores.score,
        sources=lambda profile: [
            *(*OBJECTS, "things-names", "things-48", *JUDGED, *LABELLED, "breeds-hierarchy", "wordnet-nouns"),
        ],
    ),
}

# The paper's own chain. Of ImageNet a key holds the name alone: a checksum of it would take as long as reading it.
COMPUTED = ("precision", "evidence")
PAPER: dict[str, Stage] = {
    "pixels": Stage(
        needs=(),
        settings=("imagenet_pictures", "imagenet_validation", "teacher_backbone", "students", "evaluations", "labelled_images", "evidence"),
        outputs=pictures.pixel_files,
        make=pictures.squash,
        files=RECIPES,
        sources=pictures.sources,
    ),
    "embeddings": Stage(
        needs=("pixels",),
        settings=("teacher_backbone", *COMPUTED),
        outputs=embedding.embedding_files,
        make=embedding.embed,
        files=RECIPES,
        sources=lambda profile: weights_of(profile.teacher_backbone),
    ),
    "judgments": Stage(
        needs=(),
        settings=("evidence", "folds", "vice_dim", "vice_steps", "vice_batch"),
        outputs=teaching.observer_files,
        make=teaching.observe,
        sources=teaching.sources,
    ),
    "teacher": Stage(
        needs=("embeddings", "judgments"),
        settings=("distilled_triplets", "pulls", "pull_folds", "teacher_rank", "teacher_iterations"),
        outputs=teaching.teacher_files,
        make=teaching.teach,
        sources=teaching.sources,
    ),
    "triplets": Stage(
        needs=("teacher",),
        settings=("triplets_from", "sampling", "clusters", "triplets", "validation_triplets"),
        outputs=labelling.triplet_files,
        make=labelling.label,
        sources=lambda profile: ["alignet-triplets"] if profile.triplets_from == "official" else [],
    ),
    "students": Stage(
        needs=("triplets",),
        settings=(
            *("objective", "temperature", "steps", "warmup", "learning_rate", "decay_to_init", "batch_triplets"),
            *("checkpoint_every", "evaluate_every"),
        ),
        outputs=students.student_files,
        make=students.train,
        sources=lambda profile: [*authors.sources(profile), *weights_of(*profile.students)],
    ),
    "features": Stage(
        needs=("students",),
        settings=(),
        outputs=features.feature_files,
        make=features.extract,
        sources=lambda profile: weights_of(*profile.students),
    ),
    "scores": Stage(
        needs=("features",),
        settings=("shots", "few_shot_draws", "compared_images", "bootstrap_draws"),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=scoring.score,
        sources=lambda profile: [*teaching.sources(profile), *pictures.scored(profile)],
    ),
}

# The same evaluations of what the authors released: nothing is taught, and there is no teacher.
RELEASED: dict[str, Stage] = {
    "pixels": dataclasses.replace(
        PAPER["pixels"], settings=tuple(name for name in PAPER["pixels"].settings if name != "teacher_backbone")
    ),
    "students": Stage(
        needs=(),
        settings=("students", "evidence"),
        outputs=authors.converted_files,
        make=authors.convert,
        files=RECIPES,
        sources=authors.sources,
    ),
    "features": dataclasses.replace(
        PAPER["features"], needs=("pixels", "students"), settings=("precision",),
    ),
    "scores": PAPER["scores"],
}

# The stages of each profile; those not named here have the whole chain.
CHAINS: dict[str, dict[str, Stage]] = {"things": PEOPLE, "paper": PAPER, "rehearsal": PAPER, "released": RELEASED}


def of(profile: Settings) -> dict[str, Stage]:
    """Return the stages of a profile."""
    return CHAINS.get(profile.name, STAGES)
