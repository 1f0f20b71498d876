"""How often a 95 % interval contains the truth: worlds whose truth is known, each estimator on many samples from them.

Each world draws its things (images, objects, people, triplets) from a population, so that the truth is the population's. The truth
is computed once from far more things than any sample has. An interval of 95 % should contain it in 93 to 97 of 100 samples.

    python benchmarks/coverage.py                            1,000 samples of each estimator, about an hour on one core
    python benchmarks/coverage.py --samples 100 --only rsa
    python benchmarks/coverage.py --record book/recorded     the table that the book shows
"""

import argparse
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from humalign.artefacts import commit, replacing
from humalign.chain import origins
from humalign.data.judgments import ByObject, Choices, entropy, random_triplets
from humalign.evaluation import between_models, few_shot, hierarchy, levels, odd_one_out, people, rsa, soft_labels
from humalign.evaluation.scores import Estimate, resamples

BOOTSTRAP = 500    # as the profiles have it: with fewer draws the ends of an interval are themselves uncertain
COLUMNS = ["interval", "holds the truth", "is too low", "is too high"]
World = Callable[[np.random.Generator], tuple[Estimate, float]]
CLASSES, DIM = 5, 10
CENTRES = np.random.default_rng(0).standard_normal((CLASSES, DIM))


def seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def pictures(rng: np.random.Generator, each: int, noise: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of so many pictures of each class."""
    labels = np.repeat(np.arange(CLASSES), each)
    return CENTRES[labels] + noise * rng.standard_normal((len(labels), DIM)), labels.astype(str)


def cached(make: Callable[[], float]) -> Callable[[], float]:
    found: list[float] = []

    def value() -> float:
        if not found:
            found.append(make())
        return found[0]

    return value


# ---- worlds ----------------------------------------------------------------------------------------------------------


def mean_of_images(rng: np.random.Generator) -> tuple[Estimate, float]:
    values = rng.beta(2, 1, 200)
    drawn = resamples(200, BOOTSTRAP, seed(rng))
    return Estimate.of(drawn @ values / drawn.sum(1), 200), 2 / 3


def odd_one_out_of_objects(objects: int, triplets: int) -> World:
    """Each object is easy or hard, and each answer a coin; the truth is over all objects."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        ease = np.clip(rng.normal(0.2, 0.05, objects), 0, 1 / 3)
        rows = random_triplets(np.arange(objects), triplets, rng)
        hits = (rng.random(triplets) < ease[rows].sum(1)).astype(float)
        return odd_one_out.triplet_mean(hits, rows, resamples(objects, BOOTSTRAP, seed(rng))), TRUE_EASE()

    return world


@cached
def TRUE_EASE() -> float:
    return float(3 * np.clip(np.random.default_rng(1).normal(0.2, 0.05, 10**6), 0, 1 / 3).mean())


def few_shot_given_the_taught(rng: np.random.Generator) -> tuple[Estimate, float]:
    """The truth is the accuracy of these very classifiers on all pictures of the world."""
    features, labels = pictures(rng, 40)
    support = few_shot.supports(labels, 5, 5, rng)
    models = few_shot.teach(features, labels, support)
    found = few_shot.image_mean(few_shot.correct(models, features, labels), ~support, resamples(len(labels), BOOTSTRAP, seed(rng)))
    others, names = pictures(rng, 2000)
    return found, float(few_shot.correct(models, others, names).mean())


def few_shot_of_any_taught(draws: int) -> World:
    """The truth is the accuracy of 5-shot classifiers taught on any pictures of the world."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        features, labels = pictures(rng, 40)
        support = few_shot.supports(labels, 5, draws, rng)
        taught, weights = (resamples(units, BOOTSTRAP, seed(rng)) for units in (draws, len(labels)))
        return few_shot.of_images(features, labels, support, weights, taught_weights=taught), TRUE_SHOTS()

    return world


@cached
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
TRUE_SOFT: dict[str, float] = {}


def soft_label(name: str) -> World:
    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        def score(images: int, source: np.random.Generator, draws: int) -> Estimate:
            probabilities, shares = soft(source, images)
            return SOFT[name](probabilities, shares, np.ones((1, images), dtype=bool), resamples(images, draws, seed(source)))

        if name not in TRUE_SOFT:
            TRUE_SOFT[name] = score(10**6, np.random.default_rng(3), 1).value
        return score(400, rng, BOOTSTRAP), TRUE_SOFT[name]

    return world


def judged(rng: np.random.Generator, things: int, people: int, differ: float) -> tuple[np.ndarray, np.ndarray]:
    """Return dissimilarities by a model and by people, who see the same places with noise and weigh their dimensions differently."""
    places = rng.standard_normal((things, 6))
    model = rsa.dissimilarities(places + 0.7 * rng.standard_normal(places.shape))
    bias = rng.standard_normal((people, 1, 6))
    single = places[None] * np.exp(differ * bias) + 0.7 * rng.standard_normal((people, things, 6))
    return model, np.stack([rsa.dissimilarities(one) for one in single])


TRUE_RSA: dict[str, float] = {}


def rsa_one_matrix(metric: str) -> World:
    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        def score(things: int, source: np.random.Generator, draws: int) -> Estimate:
            # One matrix stays the same person's: only things are drawn anew.
            model, people = judged(source, things, 1, 0.0)
            return rsa.matrices(model, people[0], resamples(things, draws, seed(source)))[metric]

        if metric not in TRUE_RSA:
            source = np.random.default_rng(4)
            TRUE_RSA[metric] = float(np.mean([score(300, source, 1).value for _ in range(60)]))
        return score(48, rng, BOOTSTRAP), TRUE_RSA[metric]

    return world


def rsa_people(name: str) -> World:
    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        def score(things: int, people: int, source: np.random.Generator, draws: int) -> Estimate:
            model, matrices = judged(source, things, people, 0.4)
            weights = resamples(things, draws, seed(source)), resamples(people, draws, seed(source))
            return rsa.with_people({"model": model}, matrices, *weights, name in rsa.CEILINGS)[name]

        if name not in TRUE_RSA:
            source = np.random.default_rng(5)
            TRUE_RSA[name] = float(np.mean([score(150, 12, source, 1).value for _ in range(100)]))
        return score(30, 12, rng, 150), TRUE_RSA[name]

    return world


def rsa_mean_of_people(rng: np.random.Generator) -> tuple[Estimate, float]:
    def score(things: int, source: np.random.Generator, draws: int) -> Estimate:
        model, matrices = judged(source, things, 12, 0.4)
        return people.across_people_and_images(-model, matrices, draws, seed(source))

    if "mean" not in TRUE_RSA:
        source = np.random.default_rng(10)
        TRUE_RSA["mean"] = float(np.mean([score(150, source, 1).value for _ in range(200)]))
    return score(30, rng, 200), TRUE_RSA["mean"]


def people_of(name: str) -> World:
    """12 people judge the same 30 things; the truth is over all groups of 12."""

    def matrices(source: np.random.Generator) -> np.ndarray:
        places, bias = np.random.default_rng(11).standard_normal((30, 6)), source.standard_normal((12, 1, 6))
        return np.stack([rsa.dissimilarities(one) for one in places * np.exp(0.4 * bias) + source.standard_normal((12, 30, 6))])

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        if name not in TRUE_RSA:
            source = np.random.default_rng(12)
            TRUE_RSA[name] = float(np.mean([people.ceilings(matrices(source), 1, 0)[name].value for _ in range(1000)]))
        return people.ceilings(matrices(rng), BOOTSTRAP, seed(rng))[name], TRUE_RSA[name]

    return world


def cka(rng: np.random.Generator) -> tuple[Estimate, float]:
    def score(images: int, source: np.random.Generator, draws: int) -> Estimate:
        x = source.standard_normal((images, 20))
        y = x @ np.random.default_rng(6).standard_normal((20, 30)) / 4 + source.standard_normal((images, 30))
        return between_models.linear_cka(x, y, resamples(images, draws, seed(source)))

    if "cka" not in TRUE_RSA:
        source = np.random.default_rng(7)
        TRUE_RSA["cka"] = float(np.mean([score(1500, source, 1).value for _ in range(10)]))
    return score(100, rng, BOOTSTRAP), TRUE_RSA["cka"]


def relation(rng: np.random.Generator) -> tuple[Estimate, float]:
    """Distance of pictures of one class before and after they are pulled together: the change."""

    def score(each: int, source: np.random.Generator, draws: int) -> Estimate:
        features, labels = pictures(source, each)
        pulled = 0.5 * features + 0.5 * CENTRES[labels.astype(int)]
        weights = resamples(len(labels), draws, seed(source))
        return hierarchy.of_classes(pulled, labels, weights)["same-class"] - hierarchy.of_classes(features, labels, weights)["same-class"]

    if "relation" not in TRUE_RSA:
        TRUE_RSA["relation"] = float(np.mean([score(300, np.random.default_rng(s), 1).value for s in range(10)]))
    return score(20, rng, BOOTSTRAP), TRUE_RSA["relation"]


def steps(rng: np.random.Generator) -> tuple[Estimate, float]:
    """Things of eight classes in a binary tree: the correlation of their distances with the steps between them."""
    edge = np.random.default_rng(13).standard_normal((3, 8, DIM))

    def score(things: int, source: np.random.Generator, draws: int) -> Estimate:
        leaf = source.integers(8, size=things)
        shared = sum(np.equal.outer(leaf >> up, leaf >> up).astype(int) for up in range(3))
        places = sum(edge[up][leaf >> up] for up in range(3)) + 1.5 * source.standard_normal((things, DIM))
        return hierarchy.of_paths(places, 16.0 - 4 * shared, resamples(things, draws, seed(source)))["path-spearman"]

    if "steps" not in TRUE_RSA:
        TRUE_RSA["steps"] = float(np.mean([score(1000, np.random.default_rng(s), 1).value for s in range(40)]))
    return score(80, rng, BOOTSTRAP), TRUE_RSA["steps"]


def response_times(rng: np.random.Generator) -> tuple[Estimate, float]:
    """Five people answer each triplet; the harder it is, the longer they think, each time by a chance of its own."""

    def score(triplets: int, source: np.random.Generator, draws: int) -> Estimate:
        hard = source.random(triplets)
        row = np.repeat(np.arange(triplets), 5)
        seconds = np.exp(hard[row] + source.standard_normal(len(row)))
        pool = levels.Asked(np.zeros((triplets, 3), dtype=int), row, np.zeros_like(row), np.zeros_like(row), 1, seconds)
        unsure = hard + 0.3 * source.standard_normal(triplets)
        return levels.response_times(unsure, pool, resamples(triplets, draws, seed(source)))

    if "times" not in TRUE_RSA:
        TRUE_RSA["times"] = score(200_000, np.random.default_rng(16), 1).value
    return score(200, rng, BOOTSTRAP), TRUE_RSA["times"]


def repeated(metric: str) -> World:
    """40 people answer each of 500 triplets; a model is surer than they are."""

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        def score(triplets: int, source: np.random.Generator, draws: int) -> Estimate:
            truth = source.dirichlet(np.ones(3), triplets)
            says = softmax(1.5 * np.log(truth) + 0.5 * source.standard_normal(truth.shape), axis=1)
            choices = Choices(np.tile(np.arange(3), (triplets, 1)), source.multinomial(40, truth))
            return people.repeated(says, choices, resamples(triplets, draws, seed(source)))[metric]

        if metric not in TRUE_RSA:
            TRUE_RSA[metric] = score(500_000, np.random.default_rng(17), 1).value
        return score(500, rng, BOOTSTRAP), TRUE_RSA[metric]

    return world


def triplets_of_places(name: str) -> World:
    """Objects have places that people and a model see with noise; 10 people answer each triplet; the truth is over all objects."""

    def score(objects: int, triplets: int, source: np.random.Generator, draws: int) -> Estimate:
        places = source.standard_normal((objects, 3))
        rows = random_triplets(np.arange(objects), triplets, source)
        people_say, model_says = (
            softmax(people.pair_values(people.dot_similarity(places + source.standard_normal(places.shape) / 2), rows) * sure, axis=1)
            for sure in (1.0, 1.5)
        )
        choices = Choices(rows, source.multinomial(10, people_say))
        weights = resamples(objects, draws, seed(source))
        if name == "entropy Spearman":
            return odd_one_out.entropies_agree(entropy(model_says), choices, weights)
        return people.calibration(model_says, ByObject(rows, choices.shares, objects), weights)[0]

    def world(rng: np.random.Generator) -> tuple[Estimate, float]:
        if name not in TRUE_RSA:
            TRUE_RSA[name] = float(np.mean([score(2000, 100_000, np.random.default_rng(s), 1).value for s in range(5)]))
        return score(100, 2000, rng, BOOTSTRAP), TRUE_RSA[name]

    return world


def level_accuracy(rng: np.random.Generator) -> tuple[Estimate, float]:
    """40 people, each on 60 of 200 triplets; people and triplets differ in how often the model agrees with them."""
    people, triplets = rng.normal(0, 0.05, 40), rng.beta(3, 2, 200)
    person = np.repeat(np.arange(40), 60)
    row = np.concatenate([rng.permutation(200)[:60] for _ in range(40)])
    hits = (rng.random(2400) < np.clip(triplets[row] + people[person], 0, 1)).astype(float)
    pool = levels.Asked(np.zeros((200, 3), dtype=int), row, np.zeros(2400, dtype=int), person, 40, np.zeros(2400))
    found = levels.answer_mean(hits, pool, resamples(40, BOOTSTRAP, seed(rng)), resamples(200, BOOTSTRAP, seed(rng)))
    return found, TRUE_LEVEL()


@cached
def TRUE_LEVEL() -> float:
    rng = np.random.default_rng(8)
    return float(np.clip(rng.beta(3, 2, 10**6) + rng.normal(0, 0.05, 10**6), 0, 1).mean())


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
    "rsa, 30 things and the mean of 12 people": rsa_mean_of_people,
    **{f"12 people among themselves, {name}": people_of(name) for name in ("rsa-lower", "rsa-upper")},
    **{f"500 repeated triplets, {metric}": repeated(metric) for metric in ("share-pearson", "entropy-pearson")},
    "cka, 100 images": cka,
    "hierarchy, change of 100 images": relation,
    "hierarchy, steps between 80 things": steps,
    "levels, 40 people and 200 triplets": level_accuracy,
    "levels, response times on 200 triplets": response_times,
}


def coverage(world: World, samples: int, first: int = 0) -> tuple[float, float, float]:
    """Return the share of samples whose interval contains the truth, and the shares that it lies above and below the interval."""
    above = below = 0
    for number in range(first, first + samples):
        estimate, truth = world(np.random.default_rng([9, number]))
        score = estimate.score("coverage", "", "", "simulated")
        above += truth > score.high
        below += truth < score.low
    return 1 - (above + below) / samples, above / samples, below / samples


def record(table: pd.DataFrame, samples: int, folder: Path) -> None:
    """Keep the table for the book, and a sentence on where it comes from."""
    with replacing(folder / "coverage.csv") as part:
        table.to_csv(part, index=False, lineterminator="\n")
    when = datetime.datetime.now(datetime.UTC).date().isoformat()
    with replacing(folder / "coverage.txt") as part:
        part.write_text(f"Measured by `benchmarks/coverage.py` on {when}, {origins.Machine.here()}, commit {commit()}: {samples:,} samples "
                        "of each.\n")


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
        record(pd.DataFrame(lines, columns=COLUMNS), options.samples, options.record)
