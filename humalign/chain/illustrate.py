"""What pictures show of a run: triplets with answers, maps, neighbours and matrices, by name, in one file.

Every choice follows a rule, and no rule looks at whether a model is right. The rules are part of the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import softmax

from humalign.artefacts import Provenance, replacing
from humalign.chain import features, judged, matrices, registered, sets, unseen
from humalign.chain.judged import Things
from humalign.chain.pipeline import Rows, Run, stream
from humalign.chain.scoring import objects, taxonomies
from humalign.chain.scoring.objects import Fold
from humalign.chain.unseen import PHOTOGRAPHS, Half, Json, entry, rounded
from humalign.data.judgments import Choices, entropy
from humalign.evaluation import people
from humalign.profiles import Profile

FILE, LARGEST = "illustrations.json", 1_000_000
# How many triplets are played, how many run from clear to open, and how many quantiles draw a density.
GAME, SPREAD, QUANTILES = 10, 6, 201
LEVELS = {"global-coarse": 3, "class-boundary": 2, "local-fine": 1}  # categories among the three
UNSEEN = "answers about three photographs that the student's teacher did not see"
SURE = "on which the published VICE is surest"
RULES = {
    "game": f"of the {UNSEEN}, in the order of how sure the published VICE is: those at even steps, no"
    " photograph twice",
    "spread": "from each sixth of the repeated triplets in the order of the entropy of their answers: the one"
    " with the most photographs at hand, nearest the middle",
    "clear": "of the repeated triplets with the most photographs at hand: the least entropy of the answers",
    "open": "of the repeated triplets with the most photographs at hand: the greatest entropy of the answers",
    "doubt": "as clear and open, among the repeated triplets whose objects one fold's teacher did not see",
    "levels": "of the answered triplets of photographs whose objects have one category each: at each level"
    f" the one {SURE}",
    "flipped": f"of the {UNSEEN}, where base and aligned differ and one of them is right: those {SURE}, no"
    " photograph twice",
    "map": "photographs that the model's teacher did not see",
    "neighbours": "of the photographs that the model's teacher did not see, in the order of how many of their"
    " five nearest stayed: those at even steps",
    "matrices": "of the objects of one category that the teacher did not see: the largest categories, and as"
    " many objects of each, drawn at random",
    "followed": f"of the {UNSEEN}: the one {SURE}",
    "changes": "of all pairs of objects or photographs that the model's teacher did not see, by steps of"
    " WordNet: quantiles of the change of their distance, at even steps",
    "pseudo-labelled": "three pictures of the pool, of three classes, drawn at random",
}


def files(profile: Profile) -> list[str]:
    """Name what the step leaves: nothing where no free photographs of objects are judged."""
    return [FILE] if PHOTOGRAPHS in profile.data.judged else []


def sources(profile: Profile) -> list[str]:
    """Name the registered sources that the step reads."""
    near = sets.OF_92 if matrices.NEAR in profile.data.judged else ()
    pool = registered.sources_of(profile, profile.data.pool)
    wordnet = sets.WORDNET if "taxonomies" in profile.evaluation.names else ()
    return [*sets.DESCRIBED, PHOTOGRAPHS, *near, *pool, *wordnet] if files(profile) else []


def summary(run: Run) -> Rows:
    """Say how many of each kind there are."""
    if not files(run.profile):
        return []
    found = json.loads(run.path(FILE).read_text())
    return [{"pictures": name, "shown": len(each)} for name, each in found.items() if isinstance(each, list)]


def illustrate(run: Run, provenance: Provenance) -> None:
    """Write the file of what pictures show.

    Parts that need a teacher or a student that the profile lacks are left out.
    """
    if not files(run.profile):
        return
    known, (_, shown) = judged.things(run.profile.evidence), registered.photographs()
    at_hand = np.isin(np.arange(len(known.names)), shown)
    folds, halves = objects.folds(run), unseen.halves(run, known)
    found: Json = {
        "provenance": provenance.attrs(),
        "evidence": run.profile.evidence,
        "rules": RULES,
        "photographs": [known.names[row] for row in shown],
        "agreement": _agreement(known),
        "triplets": _triplets(known, at_hand, folds),
        "levels": levels(known, at_hand),
    }
    groups = [halves] * bool(halves) + [_of_folds(known, shown, folds)] * bool(folds)
    several = {model: group for group in groups for model, _ in group[0].spaces}
    found["map"] = {model: [unseen.placed(each, model) for each in group] for model, group in several.items()}
    found["neighbours"] = {model: unseen.neighbours(group, model) for model, group in several.items()}
    if halves and (asked := unseen.answered(halves)):
        found["students"] = [model for model, group in several.items() if group is halves]
        first = found["students"][0]
        found["game"] = unseen.spaced(unseen.shown(asked, first), GAME)
        found["flipped"] = {model: unseen.flipped(asked, model) for model in found["students"]}
        found["followed"] = unseen.followed(run, halves, asked, first)
    if "taxonomies" in run.profile.evaluation.names:
        found["changes"] = [_quantiles(each) for each in taxonomies.along_wordnet(run)]
    if run.profile.teachers and (pseudo := _pseudo_labelled(run)):
        found["pseudo-labelled"] = pseudo
    found["matrices"] = [*matrices.of_objects(run, known, folds), *matrices.of_92(run)]
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False).replace('},{"', '},\n{"') + "\n"
    assert len(text.encode()) <= LARGEST, "the file of illustrations grew too large for the repository"
    with replacing(run.path(FILE)) as part:
        part.write_text(text, "utf-8")


# ---- triplets that many people answered --------------------------------------------------------------------


def _agreement(known: Things) -> Json:
    """Count the repeated triplets by the share of their most frequent answer, in twentieths."""
    share, answers = known.repeated.shares.max(1), int(np.median(known.repeated.counts.sum(1)))
    counts, mean = np.histogram(share, bins=np.arange(6, 21) / 20 + 1e-9)[0], float(round(share.mean(), 4))
    return {"triplets": len(share), "answers": answers, "mean": mean, "counts": counts.tolist()}


def extremes(
    choices: Choices, at_hand: Bool[np.ndarray, " objects"], among: Bool[np.ndarray, " n"]
) -> list[int]:
    """Return the rows of least and greatest entropy of those with the most photographs at hand."""
    pictures = np.where(among, at_hand[choices.triplets].sum(1), -1)
    rows = np.flatnonzero(pictures == pictures.max())
    order = rows[np.argsort(entropy(choices.shares[rows]), kind="stable")]
    return [int(order[0]), int(order[-1])]


def spread(choices: Choices, at_hand: Bool[np.ndarray, " objects"], n: int) -> list[int]:
    """Return rows from the least to the most divided, one of each of n parts.

    It is the one with the most photographs at hand, nearest the middle of its part.
    """
    parts = np.array_split(np.argsort(entropy(choices.shares), kind="stable"), n)
    pictures = [at_hand[choices.triplets[part]].sum(1) for part in parts]
    return [
        int(min(zip(-shown, abs(np.arange(len(part)) - len(part) // 2), part, strict=True))[2])
        for part, shown in zip(parts, pictures, strict=True)
    ]


def _triplets(known: Things, at_hand: Bool[np.ndarray, " objects"], folds: Sequence[Fold]) -> Json:
    asked, everything = unseen.in_order(known.repeated), np.ones(len(known.repeated), dtype=bool)

    def shown(rows: Sequence[int]) -> list[Json]:
        return [entry(asked, row, known.names, known.published) for row in rows]

    clear, divided = extremes(asked, at_hand, everything)
    several = {"spread": spread(asked, at_hand, SPREAD), "clear": [clear], "open": [divided]}
    found = {name: shown(rows) for name, rows in several.items()}
    home = objects.home(folds, asked.triplets)
    if (home < 0).all():
        return found
    rows = extremes(asked, at_hand, home >= 0)
    found["doubt"] = shown(rows)
    for row, each in zip(rows, found["doubt"], strict=True):
        fold = folds[home[row]]
        chances = fold.chances(np.arange(len(known.names)), asked.triplets[[row]])
        each["model"] = fold.model
        stages = ("teacher-base", "teacher-centred", "teacher")
        each["chances"] = {stage: rounded(chances[stage][0][::-1]) for stage in stages}
    return found


def levels(known: Things, at_hand: Bool[np.ndarray, " objects"]) -> Json:
    """Return a triplet of photographs of each level of abstraction, and of how many it was chosen."""
    asked, member = unseen.in_order(known.asked_once), known.categories.to_numpy(dtype=bool)
    category = np.where((member.sum(1) == 1) & at_hand, member.argmax(1), -1)
    of = np.sort(category[asked.triplets], axis=1)
    different = 1 + (of[:, 1:] != of[:, :-1]).sum(1)
    found = {}
    for level, number in LEVELS.items():
        rows = np.flatnonzero((of >= 0).all(1) & (different == number))
        if len(rows):
            sure = people.choices(known.published, asked.triplets[rows]).max(1)
            row = int(rows[sure.argmax()])
            said = [known.categories.columns[category[one]] for one in asked.triplets[row]]
            one = entry(asked, row, known.names, known.published)
            found[level] = one | {"categories": said, "of": len(rows)}
    return found


# ---- teachers, and the pool --------------------------------------------------------------------------------


def _of_folds(known: Things, shown: Int[np.ndarray, " images"], folds: Sequence[Fold]) -> list[Half]:
    """Return the objects with a photograph that each fold's teacher did not see, before and after its map."""
    found = []
    for fold in folds:
        rows = np.intersect1d(shown, fold.part.test)
        space, names = fold.space(rows), [known.names[row] for row in rows]
        stages = {"base-centred": "teacher-centred", "aligned": "teacher"}
        spaces = {(fold.model, stage): space[of_teacher] for stage, of_teacher in stages.items()}
        found.append(Half(fold.part.name, fold.part.train, rows, names, None, known.published[rows], spaces))
    return found


def _quantiles(change: Json) -> Json:
    """Return quantiles in place of the changes of all pairs in each relation."""
    at, pairs = np.linspace(0, 1, QUANTILES), change["pairs"]
    return change | {"pairs": {name: rounded(np.quantile(each, at)) for name, each in pairs.items()}}


def _pseudo_labelled(run: Run) -> Json:
    """Return a triplet of the pool, by class names, with the teacher's shares of each as the odd one out."""
    classes = registered.load(run.profile, run.profile.data.pool).labels.get("class")
    if classes is None or classes.nunique() < 3:
        return {}
    rng = stream(run.profile, 21)
    names = rng.permutation(sorted(classes.unique()))[:3]
    rows = [int(rng.choice(np.flatnonzero(classes == name))) for name in names]
    shares = {}
    for stage, by in (("unaligned", "teacher-base"), ("aligned", "teacher")):
        labelled = features.teacher_labels(run, "all", stage)[rows]
        similar = people.pair_values(people.dot_similarity(labelled), np.array([[0, 1, 2]]))
        shares[by] = rounded(softmax(similar[0])[::-1])
    told = {"names": names.tolist(), "pool": run.profile.data.pool}
    return told | {"pictures": len(classes), "chances": shares}
