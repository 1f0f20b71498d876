"""Settings that contradict each other, and names that are not known: a line each, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from humalign.errors import nearest
from humalign.profiles.schema import Profile, Teacher

# Settings that are one of a few names; tests compare them with the tables of what they name.
NAMED: dict[str, tuple[str, ...]] = {
    "evidence": ("human", "simulated"),
    "data.things_photographs": ("things-reference-photographs", "things-photographs"),
    "teachers.judged": ("emoji", "things", "things-photographs", "own"),
    "teachers.learner": ("affine", "answers", "direct", "photographs"),
    "triplets.source": ("own", "official"),
    "triplets.sampling": ("cluster-border", "class-border", "within-class", "between-class", "uniform"),
    "triplets.space": ("backbone", "teacher"),
    "students.head": ("official", "centre"),
    "students.scored": ("everything", "judgments"),
    "distillation.objective": tuple(
        f"{loss}{scaled}" for scaled in ("", "-normalised") for loss in ("jsd", "kl", "contrastive")
    ),
    "compute.precision": ("float32", "bfloat16"),
}
# Lists in which nothing stands twice.
UNIQUE = (
    *("data.judged", "data.labelled", "teachers.backbones", "teachers.further", "teachers.pulls"),
    *("students.parts", "evaluation.names", "evaluation.shots", "evaluation.curve_shares"),
)
# Shares of something that must be there.
ABOVE_NONE = ("observer.shares", "evaluation.curve_shares")
# What each way to learn chooses among.
CHOSEN = {
    "affine": ("pulls",),
    "answers": ("pulls", "residuals", "ridges"),
    "direct": ("pulls",),
    "photographs": ("residuals", "ridges", "keeps"),
}
# Random numbers of every library start from no larger one.
LARGEST_SEED = 2**32 - 1
MOST_THREADS = 1024


def faults(profile: Profile) -> Iterator[str]:
    """Yield what is wrong, the setting first; nothing where all is well."""
    yield from _names(profile)
    for teacher in profile.teachers:
        yield from _of_teacher(profile, teacher)
    yield from _of_students(profile)
    yield from (line for wrong, line in _relations(profile) if wrong)


def _values(profile: Any, place: str) -> list[Any]:
    """Return a setting, of a list of sections that of each."""
    section, _, field = place.rpartition(".")
    found = getattr(profile, section) if section else profile
    return [getattr(each, field) for each in (found if isinstance(found, tuple) else (found,))]


def _names(profile: Profile) -> Iterator[str]:
    for place, known in NAMED.items():
        for value in _values(profile, place):
            if value not in known:
                yield f"{place} = {value!r}: {nearest(value, known)}"
    for place in UNIQUE:
        for several in _values(profile, place):
            twice = [each for each in several if several.count(each) > 1]
            if twice:
                yield f"{place}: {twice[0]} stands twice: name each once"
    for place in ABOVE_NONE:
        for several in _values(profile, place):
            if not all(several):
                yield f"{place} = {list(several)}: a share of 0 leaves nothing: take numbers above it"


def _of_teacher(profile: Profile, teacher: Teacher) -> Iterator[str]:
    name, parts, judged = f"of {teacher.judged}", teacher.parts, profile.data.judged
    if teacher.judged not in judged:
        yield f"teachers.judged = {teacher.judged!r}: data.judged names {', '.join(judged)} alone"
    if not (parts.all or parts.folds or parts.halves or parts.held):
        yield f"teachers.parts {name}: name one: all, folds, halves or held"
    if parts.held >= 1:
        yield f"teachers.parts.held = {parts.held}: it leaves nothing to learn from: take less than 1"
    if teacher.learner != "answers" and not teacher.backbones:
        yield f"teachers.backbones {name}: name the backbone whose features it maps"
    for field in CHOSEN[teacher.learner]:
        if not getattr(teacher, field):
            yield f"teachers.{field} {name}: name one or more, of which learner: {teacher.learner} chooses"
    if "pulls" in CHOSEN[teacher.learner] and teacher.pull_folds < 2:
        yield f"teachers.pull_folds = {teacher.pull_folds}: take 2 or more, to choose among the pulls"
    if teacher.learner in ("affine", "direct") and not teacher.rank:
        yield f"teachers.rank = 0 {name}: take 1 or more, the directions that the map may turn"
    if teacher.border_share and teacher.border_clusters < 2:
        yield f"teachers.border_clusters = {teacher.border_clusters}: a border_share needs 2 clusters or more"


def _of_students(profile: Profile) -> Iterator[str]:
    names = profile.backbones
    if not names:
        yield "students: name at least one backbone"
    if len(set(names)) < len(names):
        yield f"students: {max(names, key=names.count)} stands twice: name each backbone once"
    parts = profile.labeller.parts if profile.teachers else None
    for student in profile.students:
        name = student.backbone
        if student.frozen and student.trained:
            both = f"students.frozen = {student.frozen} and students.trained = {student.trained}"
            yield f"{both} of {name}: give one of them"
        if student.head == "centre" and not (student.frozen or student.trained):
            mend = "the mean is that of features before training: freeze blocks, or take head: official"
            yield f"students.head = 'centre' of {name}: {mend}"
        lacking = [kind for kind in student.parts if not getattr(parts, kind, False)]
        if parts and (lacking or not student.parts):
            has = ", ".join(kind for kind in ("all", "folds", "halves", "held") if getattr(parts, kind))
            yield f"students.parts = {list(student.parts)} of {name}: the last teacher has the parts {has}"


def _relations(profile: Profile) -> list[tuple[bool, str]]:
    """Return whether each relation of settings is at fault, and the line that says so."""
    taught, made, rows, scored = profile.distillation, profile.simulated, profile.triplets, profile.evaluation
    curves, data, processes = profile.curves, profile.data, profile.compute.processes
    shares = made.group_share + made.subgroup_share + made.concept_share
    few = min(curves.steps, curves.sparse_steps)
    shots, labelled, draws = max(scored.shots), data.labelled_images, scored.bootstrap_draws
    least_three = "take 3 or more, for a triplet has three, or 0"
    batch = f"distillation.batch_triplets = {taught.batch_triplets}"
    return [
        (profile.seed > LARGEST_SEED, f"seed = {profile.seed}: take {LARGEST_SEED} at most"),
        (taught.warmup >= taught.steps,
         f"distillation.warmup = {taught.warmup} of {taught.steps} steps: take fewer than there are"),
        (taught.batch_images in (1, 2), f"distillation.batch_images = {taught.batch_images}: {least_three}"),
        (rows.block_images in (1, 2), f"triplets.block_images = {rows.block_images}: {least_three}"),
        (rows.clusters < 2, "triplets.clusters = 1: take 2 or more: borders are between clusters"),
        (rows.block_images > 0 and rows.number < taught.batch_triplets,
         f"triplets.number = {rows.number}: fewer than {batch}, of which one block is made"),
        (abs(shares - 1) > 1e-6,
         f"simulated.group_share, subgroup_share and concept_share add up to {shares:g}: make it 1"),
        (made.people_per_triplet > made.people,
         f"simulated.people_per_triplet = {made.people_per_triplet}:"
         f" there are simulated.people = {made.people}"),
        ("own" in data.judged and not (data.own.pictures and data.own.answers),
         "data.own: name the folder of the judged pictures and the file of the answers:"
         " {pictures: ..., answers: ...}"),
        (curves.seeds > 0 and curves.every > few,
         f"curves.every = {curves.every}: no point lies within {few} steps"),
        (shots >= labelled,
         f"evaluation.shots = {shots}: there are data.labelled_images = {labelled} of all classes"),
        (taught.batch_triplets < processes, f"compute.processes = {processes}: each needs a row of {batch}"),
        (profile.threads > MOST_THREADS,
         f"threads = {profile.threads}: take as many as the processor has cores"),
        (draws < 2, f"evaluation.bootstrap_draws = {draws}: take 2 or more: an interval has two ends"),
    ]  # fmt: skip
