"""How often a 95 % interval contains the truth: worlds whose truth is known, each estimator on many samples from them.

Each world draws its things (images, objects, people, triplets) from a population, so that the truth is the population's. The truth
is computed once from far more things than any sample has. An interval of 95 % should contain it in 93 to 97 of 100 samples.

    python benchmarks/coverage.py                            1,000 samples of each estimator, about an hour on one core
    python benchmarks/coverage.py --samples 100 --only rsa
    python benchmarks/coverage.py --record book/recorded     the table that the book shows
"""

import argparse
import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from compare import here, keep
from scipy.special import softmax

from humalign.data.judgments import ByObject, Choices, entropy, random_triplets
from humalign.evaluation import between_models, few_shot, hierarchy, levels, odd_one_out, people, rsa, soft_labels
from humalign.evaluation.scores import Estimate, resamples

BOOTSTRAP = 500    # as the profiles have it: with fewer draws the ends of an interval are themselves uncertain
COLUMNS = ["interval", "holds the truth", "is too low", "is too high"]
Sample = Callable[[np.random.Generator], Estimate]
World = Callable[[np.random.Generator], tuple[Estimate, float]]
CLASSES, DIM = 5, 10
CENTRES = np.random.default_rng(0).standard_normal((CLASSES, DIM))


def seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def pictures(rng: np.random.Generator, each: int, noise: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of so many pictures of each class."""
    labels = np.repeat(np.arange(CLASSES), each)
    return CENTRES[labels] + noise * rng.standard_normal((len(labels), DIM)), labels.astype(str)


def world(sample: Sample, truth: Callable[[], float]) -> World:
    """Return what gives the estimate of a sample, and beside it the truth, which is computed once."""
    once = functools.cache(truth)
    return lambda rng: (sample(rng), once())


def average(
    score: Callable[..., Estimate], sources: Iterable[np.random.Generator], *size: int
) -> float:
    """Return the mean over samples of a large size, which stands for the truth; one source may give several."""
    return float(np.mean([score(source, *size, 1).value for source in sources]))


# ---- worlds ----------------------------------------------------------------------------------------------------------


def mean_of_images(rng: np.random.Generator) -> tuple[Estimate, float]:
    values = rng.beta(2, 1, 200)
    drawn = resamples(200, BOOTSTRAP, seed(rng))
    return Estimate.of(drawn @ values / drawn.sum(1), 200), 2 / 3


def odd_one_out_of_objects(objects: int, triplets: int) -> World:
    """Each object is easy or hard, and each answer a coin; the truth is over all objects."""

    def sample(rng: np.random.Generator) -> Estimate:
        ease = np.clip(rng.normal(0.2, 0.05, objects), 0, 1 / 3)
        rows = random_triplets(np.arange(objects), triplets, rng)
        hits = (rng.random(triplets) < ease[rows].sum(1)).astype(float)
        return odd_one_out.triplet_mean(hits, rows, resamples(objects, BOOTSTRAP, seed(rng)))

    return world(sample, TRUE_EASE)


@functools.cache
def TRUE_EASE() -> float:
    return float(3 * np.clip(np.random.default_rng(1).normal(0.2, 0.05, 10**6), 0, 1 / 3).mean())


def few_shot_given_the_taught(rng: np.random.Generator) -> tuple[Estimate, float]:
    """The truth is the accuracy of these very classifiers on all pictures of the world."""
    features, labels = pictures(rng, 40)
    support = few_shot.supports(labels, 5, 5, rng)
    models = few_shot.teach(features, labels, support)
    drawn = resamples(len(labels), BOOTSTRAP, seed(rng))
    found = few_shot.image_mean(few_shot.correct(models, features, labels), ~support, drawn)
    others, names = pictures(rng, 2000)
    return found, float(few_shot.correct(models, others, names).mean())


def few_shot_of_any_taught(draws: int) -> World:
    """The truth is the accuracy of 5-shot classifiers taught on any pictures of the world."""

    def sample(rng: np.random.Generator) -> Estimate:
        features, labels = pictures(rng, 40)
        support = few_shot.supports(labels, 5, draws, rng)
        taught, weights = (resamples(units, BOOTSTRAP, seed(rng)) for units in (draws, len(labels)))
        return few_shot.of_images(features, labels, support, weights, taught_weights=taught)

    return world(sample, TRUE_SHOTS)


@functools.cache
def TRUE_SHOTS() -> float:
    rng, found = np.random.default_rng(2), []
    for _ in range(2000):
        features, labels = pictures(rng, 100)
        support = few_shot.supports(labels, 5, 1, rng)
        found.append(few_shot.correct(few_shot.teach(features, labels, support), features, labels)[~support].mean())
    return float(np.mean(found))


def soft(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a classifier's probabilities and people's shares: they agree but for its being too sure."""
    truth = rng.dirichlet(np.full(4, 0.5), images)
    surer = truth**1.5 + 0.01
    return (surer / surer.sum(1, keepdims=True))[None], rng.multinomial(50, truth) / 50


SOFT = {
    "cross-entropy": soft_labels.cross_entropy,
    "calibration error": soft_labels.calibration_error,
    "entropy Spearman": soft_labels.entropy_agreement,
}


def soft_label(name: str) -> World:
    def score(source: np.random.Generator, images: int = 400, draws: int = BOOTSTRAP) -> Estimate:
        probabilities, shares = soft(source, images)
        tested = np.ones((1, images), dtype=bool)
        return SOFT[name](probabilities, shares, tested, resamples(images, draws, seed(source)))

    return world(score, lambda: score(np.random.default_rng(3), 10**6, 1).value)


def judged(
    rng: np.random.Generator, things: int, people: int, differ: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return dissimilarities by a model and by people, who see the same places with noise and weigh their dimensions differently."""
    places = rng.standard_normal((things, 6))
    model = rsa.dissimilarities(places + 0.7 * rng.standard_normal(places.shape))
    bias = rng.standard_normal((people, 1, 6))
    single = places[None] * np.exp(differ * bias) + 0.7 * rng.standard_normal((people, things, 6))
    return model, np.stack([rsa.dissimilarities(one) for one in single])


def rsa_one_matrix(metric: str) -> World:
    def score(source: np.random.Generator, things: int = 48, draws: int = BOOTSTRAP) -> Estimate:
        # One matrix stays the same person's: only things are drawn anew.
        model, people = judged(source, things, 1, 0.0)
        return rsa.matrices(model, people[0], resamples(things, draws, seed(source)))[metric]

    return world(score, lambda: average(score, [np.random.default_rng(4)] * 60, 300))


def rsa_people(name: str) -> World:
    def score(source: np.random.Generator, things: int = 30, draws: int = 150) -> Estimate:
        model, matrices = judged(source, things, 12, 0.4)
        weights = resamples(things, draws, seed(source)), resamples(12, draws, seed(source))
        return rsa.with_people({"model": model}, matrices, *weights, name in rsa.CEILINGS)[name]

    return world(score, lambda: average(score, [np.random.default_rng(5)] * 100, 150))


def rsa_mean_of_people() -> World:
    def score(source: np.random.Generator, things: int = 30, draws: int = 200) -> Estimate:
        model, matrices = judged(source, things, 12, 0.4)
        return people.across_people_and_images(-model, matrices, draws, seed(source))

    return world(score, lambda: average(score, [np.random.default_rng(10)] * 200, 150))


def people_of(name: str) -> World:
    """12 people judge the same 30 things; the truth is over all groups of 12."""

    def matrices(source: np.random.Generator) -> np.ndarray:
        places, bias = np.random.default_rng(11).standard_normal((30, 6)), source.standard_normal((12, 1, 6))
        noise = source.standard_normal((12, 30, 6))
        return np.stack([rsa.dissimilarities(one) for one in places * np.exp(0.4 * bias) + noise])

    def truth() -> float:
        sources = [np.random.default_rng(12)] * 1000
        return average(lambda source, draws: people.ceilings(matrices(source), draws, 0)[name], sources)

    return world(lambda rng: people.ceilings(matrices(rng), BOOTSTRAP, seed(rng))[name], truth)


def cka() -> World:
    def score(source: np.random.Generator, images: int = 100, draws: int = BOOTSTRAP) -> Estimate:
        x = source.standard_normal((images, 20))
        mixed = x @ np.random.default_rng(6).standard_normal((20, 30)) / 4
        y = mixed + source.standard_normal((images, 30))
        return between_models.linear_cka(x, y, resamples(images, draws, seed(source)))

    return world(score, lambda: average(score, [np.random.default_rng(7)] * 10, 1500))


def relation() -> World:
    """Distance of pictures of one class before and after they are pulled together: the change."""

    def score(source: np.random.Generator, each: int = 20, draws: int = BOOTSTRAP) -> Estimate:
        features, labels = pictures(source, each)
        pulled = 0.5 * features + 0.5 * CENTRES[labels.astype(int)]
        weights, classes = resamples(len(labels), draws, seed(source)), hierarchy.by_classes(labels)
        both = (hierarchy.of_relations(x, classes, weights)["same-class"] for x in (pulled, features))
        return next(both) - next(both)

    return world(score, lambda: average(score, map(np.random.default_rng, range(10)), 300))


def steps() -> World:
    """Things of eight classes in a binary tree: the correlation of their distances with the steps between them."""
    edge = np.random.default_rng(13).standard_normal((3, 8, DIM))

    def score(source: np.random.Generator, things: int = 80, draws: int = BOOTSTRAP) -> Estimate:
        leaf = source.integers(8, size=things)
        shared = sum(np.equal.outer(leaf >> up, leaf >> up).astype(int) for up in range(3))
        places = sum(edge[up][leaf >> up] for up in range(3)) + 1.5 * source.standard_normal((things, DIM))
        weights = resamples(things, draws, seed(source))
        return hierarchy.of_paths(places, 16.0 - 4 * shared, weights)["path-spearman"]

    return world(score, lambda: average(score, map(np.random.default_rng, range(40)), 1000))


def response_times() -> World:
    """Five people answer each triplet; the harder it is, the longer they think, each time by a chance of its own."""

    def score(source: np.random.Generator, triplets: int = 200, draws: int = BOOTSTRAP) -> Estimate:
        hard = source.random(triplets)
        row = np.repeat(np.arange(triplets), 5)
        seconds, none = np.exp(hard[row] + source.standard_normal(len(row))), np.zeros_like(row)
        pool = levels.Asked(np.zeros((triplets, 3), dtype=int), row, none, none, 1, seconds)
        unsure = hard + 0.3 * source.standard_normal(triplets)
        return levels.response_times(unsure, pool, resamples(triplets, draws, seed(source)))

    return world(score, lambda: score(np.random.default_rng(16), 200_000, 1).value)


def repeated(metric: str) -> World:
    """40 people answer each of 500 triplets; a model is surer than they are."""

    def score(source: np.random.Generator, triplets: int = 500, draws: int = BOOTSTRAP) -> Estimate:
        truth = source.dirichlet(np.ones(3), triplets)
        says = softmax(1.5 * np.log(truth) + 0.5 * source.standard_normal(truth.shape), axis=1)
        choices = Choices(np.tile(np.arange(3), (triplets, 1)), source.multinomial(40, truth))
        return people.repeated(says, choices, resamples(triplets, draws, seed(source)))[metric]

    return world(score, lambda: score(np.random.default_rng(17), 500_000, 1).value)


def triplets_of_places(name: str) -> World:
    """Objects have places that people and a model see with noise; 10 people answer each triplet; the truth is over all objects."""

    def score(
        source: np.random.Generator, objects: int = 100, triplets: int = 2000, draws: int = BOOTSTRAP
    ) -> Estimate:
        places = source.standard_normal((objects, 3))
        rows = random_triplets(np.arange(objects), triplets, source)
        seen = (places + source.standard_normal(places.shape) / 2 for _ in range(2))
        similar = (people.pair_values(people.dot_similarity(each), rows) for each in seen)
        people_say, model_says = (
            softmax(each * sure, axis=1) for each, sure in zip(similar, (1.0, 1.5), strict=True)
        )
        choices = Choices(rows, source.multinomial(10, people_say))
        weights = resamples(objects, draws, seed(source))
        if name == "entropy Spearman":
            return odd_one_out.entropies_agree(entropy(model_says), choices, weights)
        return people.calibration(model_says, ByObject(rows, choices.shares, objects), weights)[0]

    def truth() -> float:
        return average(score, map(np.random.default_rng, range(5)), 2000, 100_000)

    return world(score, truth)


def level_accuracy() -> World:
    """40 people, each on 60 of 200 triplets; people and triplets differ in how often the model agrees with them."""

    def sample(rng: np.random.Generator) -> Estimate:
        people, triplets = rng.normal(0, 0.05, 40), rng.beta(3, 2, 200)
        person = np.repeat(np.arange(40), 60)
        row = np.concatenate([rng.permutation(200)[:60] for _ in range(40)])
        hits = (rng.random(2400) < np.clip(triplets[row] + people[person], 0, 1)).astype(float)
        pool = levels.Asked(
            np.zeros((200, 3), dtype=int), row, np.zeros(2400, dtype=int), person, 40, np.zeros(2400)
        )
        drawn = resamples(40, BOOTSTRAP, seed(rng)), resamples(200, BOOTSTRAP, seed(rng))
        return levels.answer_mean(hits, pool, *drawn)

    def truth() -> float:
        rng = np.random.default_rng(8)
        return float(np.clip(rng.beta(3, 2, 10**6) + rng.normal(0, 0.05, 10**6), 0, 1).mean())

    return world(sample, truth)


WORLDS: dict[str, World] = {
    "mean of 200 images": mean_of_images,
    "odd-one-out, 2,000 triplets of 40 objects": odd_one_out_of_objects(40, 2000),
    "odd-one-out, 2,000 triplets of 300 objects": odd_one_out_of_objects(300, 2000),
    "odd-one-out, 10,000 triplets of 100 objects": odd_one_out_of_objects(100, 10_000),
    "few-shot, these taught pictures": few_shot_given_the_taught,
    **{f"few-shot, any taught pictures, {draws} draws": few_shot_of_any_taught(draws) for draws in (5, 10)},
    **{f"2,000 triplets of 100 objects, {name}": triplets_of_places(name) for name in ("entropy Spearman", "calibration error")},
    **{f"soft labels, {name}": soft_label(name) for name in SOFT},
    **{f"rsa, 48 things, {metric}": rsa_one_matrix(metric) for metric in ("pearson", "spearman")},
    **{f"rsa, 30 things and 12 people, {name}": rsa_people(name) for name in ("model", "lower", "upper")},
    "rsa, 30 things and the mean of 12 people": rsa_mean_of_people(),
    **{f"12 people among themselves, {name}": people_of(name) for name in ("rsa-lower", "rsa-upper")},
    **{f"500 repeated triplets, {metric}": repeated(metric) for metric in ("share-pearson", "entropy-pearson")},
    "cka, 100 images": cka(),
    "hierarchy, change of 100 images": relation(),
    "hierarchy, steps between 80 things": steps(),
    "levels, 40 people and 200 triplets": level_accuracy(),
    "levels, response times on 200 triplets": response_times(),
}


def coverage(world: World, samples: int) -> tuple[float, float, float]:
    """Return the share of samples whose interval contains the truth, and the shares that it lies above and below the interval."""
    above = below = 0
    for number in range(samples):
        estimate, truth = world(np.random.default_rng([9, number]))
        score = estimate.score("coverage", "", "", "simulated")
        above += truth > score.high
        below += truth < score.low
    return 1 - (above + below) / samples, above / samples, below / samples


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--only", default="", help="estimators whose name holds this")
    parser.add_argument("--record", type=Path, help="a folder for coverage.csv and coverage.txt")
    options = parser.parse_args()
    if options.record and options.only:
        parser.error("the book's table is of all estimators: leave out --only")
    lines = []
    print(f"{options.samples} samples{'':<36} contains   truth above   truth below   seconds")
    for name, world in WORLDS.items():
        if options.only in name:
            started = time.perf_counter()
            inside, above, below = coverage(world, options.samples)
            print(f"{name:<50} {inside:8.1%} {above:13.1%} {below:13.1%} {time.perf_counter() - started:9.0f}", flush=True)
            lines.append([name, f"{inside:.1%}", f"{above:.1%}", f"{below:.1%}"])
    if options.record:
        made = "on {date}, {machine}, commit {commit}".format(**here(1))
        said = f"Measured by `benchmarks/coverage.py` {made}: {options.samples:,} samples of each."
        keep(options.record, "coverage", pd.DataFrame(lines, columns=COLUMNS), said)
