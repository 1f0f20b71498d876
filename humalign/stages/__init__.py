"""What each stage of a run does, what it needs and what it leaves: one table."""

from __future__ import annotations

import dataclasses

from humalign.pipeline import Stage
from humalign.profiles import Settings
from humalign.stages import human_scores, people, photograph_students, photographs
from humalign.stages.inputs import embed, embedding_files, judge, sources, weights_of
from humalign.stages.learning import student_files, train
from humalign.stages.paper import authors, embedding, features, labelling, pictures, scoring, students, teaching
from humalign.stages.results import chapters, execute_notebooks, render, score
from humalign.stages.teaching import sample, teach, teacher_files, triplet_files

__all__ = ["CHAINS", "PEOPLE", "STAGES", "of", "render"]


def _chapters(*beside: str) -> Stage:
    """Return the stage that runs the chapters on a run's scores and, beside them, on the recorded ones of other profiles."""
    return Stage(
        needs=("scores",),
        settings=(),
        modules=(
            *("scores", "origins", "tables", "tables_people", "tables_students", "tables_hierarchy", "tables_models", "tables_evidence"),
            *("tables_paper", "drawing", "figures", "figures_people", "figures_students", "figures_hierarchy", "figures_paper"),
            *("published", "notebooks"),
        ),
        outputs=lambda profile: [f"notebooks/{name}" for name in chapters()],
        make=execute_notebooks,
        files=("notebooks/*.ipynb", *(f"book/recorded/{other}/{name}" for other in beside for name in ("scores.csv", "provenance.json"))),
    )


# How a backbone is built and its pictures prepared. Of the other files of the registry only the checksums are part of a key: an edit of
# a licence should not cost the embedding of a million pictures.
RECIPES = ("humalign/registry/backbones.yaml",)

STAGES: dict[str, Stage] = {
    "embeddings": Stage(
        needs=(),
        settings=("teacher_backbone", "student_backbone", "frozen_stages"),
        modules=("images", "emoji", "splitting", "weights", "backbones", "embeddings", "stages/inputs"),
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
        modules=("emoji", "judgments", "simulate", "splits", "stages/inputs"),
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
        modules=("objectives", "vice", "locality", "teacher", "triplets/sampling", "splits", "stages/teaching"),
        outputs=teacher_files,
        make=teach,
        sources=sources,
    ),
    "triplets": Stage(
        needs=("teacher",),
        settings=("clusters", "triplets", "block_images", "batch_triplets"),
        modules=("triplets/sampling", "triplets/labelling", "triplets/layout", "stages/teaching"),
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
        modules=("objectives", "student", "batches", "optimiser", "ranks", "distill", "stages/learning"),
        outputs=student_files,
        make=train,
        sources=sources,
    ),
    "scores": Stage(
        needs=("students",),
        settings=("people_per_triplet", "test_triplets", "shots", "few_shot_draws", "bootstrap_draws"),
        modules=(
            *("scores", "stages/results", "evaluation/suite", "evaluation/correlation", "evaluation/odd_one_out"),
            *("evaluation/rsa", "evaluation/uncertainty", "evaluation/hierarchy", "evaluation/few_shot", "evaluation/shift"),
        ),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=score,
        sources=sources,
    ),
    "notebooks": _chapters("things", "paper"),
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
        modules=(
            *("datafiles", "readers", "labelled_sets", "images", "corruptions", "splitting", "weights", "backbones", "embeddings"),
            "stages/photographs",
        ),
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
        modules=(
            *("datafiles", "readers", "readers_answers", "object_order", "judgments", "splits", "objectives", "vice"),
            *("stages/answers", "stages/people"),
        ),
        outputs=people.observer_files,
        make=people.observe,
        sources=lambda profile: OBJECTS,
    ),
    "teacher": Stage(
        needs=("judgments",),
        settings=("residuals", "ridges", "pulls", "pull_folds", "distilled_triplets"),
        modules=("locality", "teacher", "mixed_effects", "evaluation/people"),
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
        modules=(
            *("objectives", "teacher", "mixed_effects", "triplets/sampling", "triplets/labelling", "batches", "optimiser", "student"),
            *("distill", "evaluation/people", "stages/photographs", "stages/photograph_students"),
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
        modules=(
            *("scores", "evaluation/people", "evaluation/correlation", "evaluation/odd_one_out", "evaluation/uncertainty"),
            *("evaluation/persons", "evaluation/examples", "evaluation/few_shot", "evaluation/soft_labels", "readers_labels"),
            *("stages/teacher_scores", "stages/people_shown", "stages/photograph_scores", "stages/student_scores", "stages/human_scores"),
            *("stages/model_scores", "evaluation/hierarchy", "evaluation/between_models", "evaluation/rsa", "evaluation/disagreement"),
            *("stages/object_scores", "stages/shift_scores", "stages/hierarchy_scores", "readers_imagenet", "wordnet"),
        ),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=human_scores.score,
        sources=lambda profile: [
            *(*OBJECTS, "things-names", "things-48", *JUDGED, *LABELLED, "breeds-hierarchy", "wordnet-nouns"),
        ],
    ),
    "notebooks": _chapters("demo", "paper"),
}

# The paper's own chain. Of ImageNet a key holds the name alone: a checksum of it would take as long as reading it.
COMPUTED = ("precision", "evidence")
CONVERTED = ("stages/paper/authors", "released/__init__", "released/catalogue", "released/layout", "tensor_bundle", "export")
PAPER: dict[str, Stage] = {
    "pixels": Stage(
        needs=(),
        settings=("imagenet_pictures", "imagenet_validation", "teacher_backbone", "students", "evaluations", "labelled_images", "evidence"),
        modules=(
            *("datafiles", "readers", "readers_levels", "readers_similarity", "labelled_sets", "images", "imagenet", "registry/imagenet"),
            *("pixels", "stages/paper/pictures"),
        ),
        outputs=pictures.pixel_files,
        make=pictures.squash,
        files=RECIPES,
        sources=pictures.sources,
    ),
    "embeddings": Stage(
        needs=("pixels",),
        settings=("teacher_backbone", *COMPUTED),
        modules=("splitting", "weights", "backbones", "stages/paper/embedding"),
        outputs=embedding.embedding_files,
        make=embedding.embed,
        files=RECIPES,
        sources=lambda profile: weights_of(profile.teacher_backbone),
    ),
    "judgments": Stage(
        needs=(),
        settings=("evidence", "folds", "vice_dim", "vice_steps", "vice_batch"),
        modules=(
            *("datafiles", "readers", "readers_answers", "object_order", "judgments", "splits", "objectives", "vice"), "stages/answers",
        ),
        outputs=teaching.observer_files,
        make=teaching.observe,
        sources=teaching.sources,
    ),
    "teacher": Stage(
        needs=("embeddings", "judgments"),
        settings=("distilled_triplets", "pulls", "pull_folds", "teacher_rank", "teacher_iterations"),
        modules=("locality", "teacher", "stages/paper/teaching"),
        outputs=teaching.teacher_files,
        make=teaching.teach,
        sources=teaching.sources,
    ),
    "triplets": Stage(
        needs=("teacher",),
        settings=("triplets_from", "sampling", "clusters", "triplets", "validation_triplets"),
        modules=(
            *("triplets/sampling", "triplets/labelling", "triplets/layout", "triplets/auditing", "triplets/agreement", "triplets/naming"),
            "stages/paper/labelling",
        ),
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
        modules=("student", "batches", "optimiser", "ranks", "distill", "stages/paper/students", *CONVERTED),
        outputs=students.student_files,
        make=students.train,
        sources=lambda profile: [*authors.sources(profile), *weights_of(*profile.students)],
    ),
    "features": Stage(
        needs=("students",),
        settings=(),
        modules=("stages/paper/features",),
        outputs=features.feature_files,
        make=features.extract,
        sources=lambda profile: weights_of(*profile.students),
    ),
    "scores": Stage(
        needs=("features",),
        settings=("shots", "few_shot_draws", "compared_images", "bootstrap_draws"),
        modules=(
            *("scores", "evaluation/people", "evaluation/correlation", "evaluation/odd_one_out", "evaluation/uncertainty"),
            *("evaluation/levels", "evaluation/rsa", "evaluation/hierarchy", "evaluation/few_shot", "evaluation/soft_labels"),
            *("evaluation/shift", "evaluation/between_models", "readers_imagenet", "readers_labels", "stages/student_scores"),
            *("wordnet", "stages/paper/rows", "stages/paper/people_scores", "stages/paper/label_scores", "stages/paper/scoring"),
        ),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        make=scoring.score,
        sources=lambda profile: [*teaching.sources(profile), *pictures.scored(profile)],
    ),
    "notebooks": _chapters("demo", "things"),
}

# The same evaluations of what the authors released: nothing is taught, and there is no teacher.
RELEASED: dict[str, Stage] = {
    "pixels": dataclasses.replace(
        PAPER["pixels"], settings=tuple(name for name in PAPER["pixels"].settings if name != "teacher_backbone")
    ),
    "students": Stage(
        needs=(),
        settings=("students", "evidence"),
        modules=("weights", "backbones", *CONVERTED),
        outputs=authors.converted_files,
        make=authors.convert,
        files=RECIPES,
        sources=authors.sources,
    ),
    "features": dataclasses.replace(
        PAPER["features"], needs=("pixels", "students"), settings=("precision",), modules=("splitting", "student", "stages/paper/features")
    ),
    "scores": PAPER["scores"],
    "notebooks": PAPER["notebooks"],
}

# The stages of each profile; those not named here have the whole chain.
CHAINS: dict[str, dict[str, Stage]] = {"things": PEOPLE, "paper": PAPER, "rehearsal": PAPER, "released": RELEASED}


def of(profile: Settings) -> dict[str, Stage]:
    """Return the stages of a profile."""
    return CHAINS.get(profile.name, STAGES)
