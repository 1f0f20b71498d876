"""Photographs that the teacher of a student did not see: answers about them, choices, maps and neighbours.

Each teacher of a student is fitted to one half of the photographs; what is shown of a photograph is by the
student whose teacher was fitted to the other half.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import orthogonal_procrustes
from scipy.special import softmax
from sklearn.decomposition import PCA

from humalign.chain import features, judged, registered
from humalign.chain.pipeline import Run
from humalign.data.judgments import Choices, agreement, cosine_similarities, unit_rows
from humalign.evaluation import odd_one_out, people

PHOTOGRAPHS = "things-photographs"
STAGES = ("base", "base-centred", "aligned")
# How many are kept: flipped triplets of each direction, photographs with neighbours, neighbours of each.
FLIPPED, NEIGHBOURS, NEAREST = 6, 6, 5
Json = dict[str, Any]


def rounded(values: Any) -> Any:
    """Return numbers as JSON holds them, nested lists with few digits."""
    return np.round(np.asarray(values, dtype=float), 3).tolist()


def entry(asked: Choices, row: int, names: Sequence[str], vice: Float[np.ndarray, "objects dims"]) -> Json:
    """Return one triplet by name, with the votes for each as the odd one out, and the shares by VICE."""
    votes = asked.counts[row].tolist()[::-1]  # the pairs (ij, ik, jk) leave out k, j, i
    expected = rounded(people.choices(vice, asked.triplets[[row]])[0][::-1])
    named = [names[place] for place in asked.triplets[row]]
    return {"names": named, "votes": votes, "answers": sum(votes), "vice": expected}


@dataclasses.dataclass(frozen=True)
class Half:
    """The photographs that one teacher did not see, and what is known of them.

    Attributes:
        seen, unseen: places of the others and of these, among all.
        choices: answers wholly about these, by place among them; None where there are none.
        spaces: their features by student of that teacher and stage.
    """

    part: str
    seen: Int[np.ndarray, " m"]
    unseen: Int[np.ndarray, " k"]
    names: list[str]
    choices: Choices | None
    vice: Float[np.ndarray, "k dims"]
    spaces: dict[tuple[str, str], Float[np.ndarray, "k dim"]]


def within(choices: Choices, rows: Int[np.ndarray, " m"]) -> Choices | None:
    """Return the triplets wholly inside some objects, renumbered to places among these, if there are any."""
    place = np.full(max(int(choices.triplets.max()), int(rows.max())) + 1, -1)
    place[rows] = np.arange(len(rows))
    local = place[choices.triplets]
    inside = (local >= 0).all(1)
    return Choices(local[inside], choices.counts[inside]) if inside.any() else None


def in_order(choices: Choices) -> Choices:
    """Return triplets with their objects in ascending order: in some files the odd one always stands last."""
    order = np.argsort(choices.triplets, axis=1)
    # The pairs (ij, ik, jk) leave out k, j, i.
    votes = np.take_along_axis(choices.counts[:, ::-1], order, axis=1)
    return Choices(np.take_along_axis(choices.triplets, order, axis=1), votes[:, ::-1])


def everything(known: judged.Things) -> Choices:
    """Return all answers, to triplets that were asked once and repeatedly."""
    both = known.asked_once, known.repeated
    counts = np.concatenate([each.counts for each in both])
    return in_order(Choices(np.concatenate([each.triplets for each in both]), counts))


def halves(run: Run, known: judged.Things) -> list[Half]:
    """Return both halves; none where the profile's last teacher or its students have no halves."""
    students = [student.backbone for student in run.profile.students if "halves" in student.parts]
    if not students or run.profile.labeller.judged != PHOTOGRAPHS:
        return []
    (_, here), choices, found = registered.photographs(), everything(known), []
    for part in judged.parts(run, run.profile.labeller):
        if judged.kind(part.name) == "halves":
            rows, spaces = here[part.test], {}
            for model, stage in itertools.product(students, STAGES):
                spaces[model, stage] = features.read(run, model, stage, PHOTOGRAPHS, part.name)[part.test]
            names, about = [known.names[row] for row in rows], within(choices, rows)
            found.append(Half(part.name, part.train, part.test, names, about, known.published[rows], spaces))
    return found


def odd(similarities: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Return which of the three is left out of the most similar pair."""
    return np.asarray(2 - similarities.argmax(1))


def answered(halves: Sequence[Half]) -> list[Json]:
    """Return every answered triplet of both halves with all choices, the surest of VICE first."""
    found = []
    for half in halves:
        if half.choices is None:
            continue
        cosines = {name: cosine_similarities(x, half.choices.triplets) for name, x in half.spaces.items()}
        chosen = {name: odd(each) for name, each in cosines.items()}
        shares = half.choices.shares
        right = {name: agreement(each, shares) == shares.max(1) for name, each in cosines.items()}
        for row in range(len(half.choices)):
            models = {name: (int(chosen[name][row]), bool(right[name][row])) for name in half.spaces}
            one = entry(half.choices, row, half.names, half.vice)
            found.append(one | {"half": half.part, "models": models})
    return sorted(found, key=lambda each: (-max(each["vice"]), each["names"]))


def shown(asked: Sequence[Json], model: str) -> list[Json]:
    """Return triplets with the choices of one student before and after."""
    found = []
    for each in asked:
        rest = {name: value for name, value in each.items() if name != "models"}
        found.append(rest | {"choices": {stage: each["models"][model, stage][0] for stage in STAGES}})
    return found


def evenly(n: int, most: int) -> Int[np.ndarray, " places"]:
    """Return places at even steps of n, at most so many."""
    return np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))


def spaced(asked: Sequence[Json], n: int) -> list[Json]:
    """Return n triplets at even steps of their order, or the nearest ones that repeat no photograph."""
    taken: list[int] = []
    for wanted in np.linspace(0, len(asked) - 1, n).round().astype(int) if asked else ():
        used = {name for place in taken for name in asked[place]["names"]}
        free = [place for place in range(len(asked)) if not used & set(asked[place]["names"])]
        taken += [min(free, key=lambda place: (abs(place - wanted), place))] if free else []
    return [asked[place] for place in sorted(taken)]


def flipped(asked: Sequence[Json], model: str) -> Json:
    """Count how a student's choices changed against the base, as it is and centred; keep some both ways.

    A choice is right if it is the most frequent answer; nearly all triplets have one answer.
    """
    ways = {"gained": (False, True), "lost": (True, False), "both": (True, True), "neither": (False, False)}
    counts = {}
    for reference in ("base", "base-centred"):
        pairs = [(each["models"][model, reference], each["models"][model, "aligned"]) for each in asked]
        right = [(before[1], after[1]) for before, after in pairs]
        differ = sum(before[0] != after[0] for before, after in pairs)
        changed = {name: right.count(way) for name, way in ways.items()}
        counts[reference] = {"answers": len(pairs), "differ": differ} | changed
    examples: dict[str, list[Json]] = {"gained": [], "lost": []}
    for direction, several in examples.items():
        used: set[str] = set()
        for each, one in zip(asked, shown(asked, model), strict=True):
            found = each["models"][model, "base"][1], each["models"][model, "aligned"][1]
            if found == ways[direction] and not used & set(one["names"]) and len(several) < FLIPPED:
                several.append(one)
                used |= set(one["names"])
    return {"counts": counts, "examples": examples}


# ---- maps and neighbours -----------------------------------------------------------------------------------


def plane(x: Float[np.ndarray, "k dim"]) -> tuple[Float[np.ndarray, "k 2"], float]:
    """Place things in the plane by classical scaling of cosine distances; return the variance kept, too.

    Principal components of vectors of length one are that: their squared distance is 2 - 2 cosines.
    Coordinates have a root mean square distance of one from their mean.
    """
    fitted = PCA(2, svd_solver="full").fit(unit_rows(np.asarray(x, dtype=float)))
    found = fitted.transform(unit_rows(np.asarray(x, dtype=float)))
    return found / np.sqrt((found**2).sum(1).mean()), float(fitted.explained_variance_ratio_.sum())


def placed(half: Half, model: str, most: int = 150) -> Json:
    """Return the map of at most so many of a half, before (centred) and after, turned to match the first."""
    some = evenly(len(half.names), most)
    both = ("base-centred", "aligned")
    (before, kept), (after, kept_after) = (plane(half.spaces[model, stage][some]) for stage in both)
    turn, _ = orthogonal_procrustes(after, before)
    return {
        "half": half.part,
        "names": [half.names[each] for each in some],
        "base-centred": rounded(before),
        "aligned": rounded(after @ turn),
        "variance": {"base-centred": rounded(kept), "aligned": rounded(kept_after)},
    }


def nearest(similar: Float[np.ndarray, "k k"], n: int) -> Int[np.ndarray, "k n"]:
    """Return the nearest others of each thing, the nearest first."""
    apart = -np.asarray(similar, dtype=float)
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :n]


def neighbours(halves: Sequence[Half], model: str) -> Json:
    """Return the nearest of some photographs before (centred) and after; of all, how many are people's.

    People's are the nearest in the published VICE, a model of people's answers.
    """
    spaces = ("base-centred", "aligned")
    rows: list[Json] = []
    for half in halves:
        near = {stage: nearest(people.cosines(half.spaces[model, stage]), NEAREST) for stage in spaces}
        near["people"] = nearest(people.dot_similarity(half.vice), NEAREST)
        for row, name in enumerate(half.names):
            named = {stage: [half.names[each] for each in found[row]] for stage, found in near.items()}
            kept = len(set(named["base-centred"]) & set(named["aligned"]))
            alike = {stage: len(set(named[stage]) & set(named["people"])) for stage in spaces}
            rows.append({"name": name, "half": half.part, **named, "kept": kept, "as-people": alike})
    ordered = sorted(rows, key=lambda each: (-each["kept"], each["name"]))
    means = {stage: rounded(np.mean([each["as-people"][stage] for each in rows])) for stage in spaces}
    kept = rounded(np.mean([each["kept"] for each in rows]))
    examples = [ordered[each] for each in evenly(len(ordered), NEIGHBOURS)]
    return {"photographs": len(rows), "kept": kept, "as-people": means, "examples": examples}


def followed(run: Run, halves: Sequence[Half], asked: Sequence[Json], model: str) -> Json:
    """Return one triplet with the share of each as the odd one out, by teacher and student, before and after.

    The student's shares are a softmax of its cosines, at the temperature at which answers about the other
    half, which its teacher saw, are most likely.
    """
    one = shown(asked[:1], model)[0]
    half, labeller = next(half for half in halves if half.part == one["half"]), run.profile.labeller
    triplet = np.array([[half.names.index(name) for name in one["names"]]])
    chances: dict[str, Any] = {}
    (views,) = features.judged_views(run, labeller, judged.labels_with(labeller))
    for stage, recipe in (("teacher-base", "untransformed"), ("teacher", "teacher")):
        fitted = features.fitted(run, labeller, half.part, recipe)
        chances[stage] = rounded(fitted.choice_probabilities(views[half.unseen], triplet)[0][::-1])
    known, rows = judged.things(run.profile.evidence), registered.photographs()[1]
    other = within(everything(known), rows[half.seen])
    for stage in STAGES if other is not None else ():
        whole = features.read(run, model, stage, PHOTOGRAPHS, half.part)
        assert other is not None
        heat = odd_one_out.fit_temperature(whole[half.seen][None], other)
        cosines = cosine_similarities(whole[half.unseen], triplet)
        chances[stage] = rounded(softmax(cosines[0] / heat)[::-1])
    return one | {"student": model, "teacher": judged.labels_with(labeller), "chances": chances}
