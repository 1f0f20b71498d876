"""k-shot classification of any labelled pictures by any backbones, all by name, with the differences from the first backbone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from humalign.chain.pipeline import progress_bar
from humalign.chain.scoring.labels import classified
from humalign.data import named
from humalign.data.images import ImageSet, Subset, spread
from humalign.errors import HumalignError
from humalign.evaluation import few_shot, scores
from humalign.evaluation.checks import check_labels
from humalign.evaluation.scores import Estimate, resamples
from humalign.models import backbones, embeddings

STAGE = "base"
SHOTS = (1, 2, 5, 10)
Row = tuple[str, tuple[str, str, str], Estimate]  # model; task, split, metric; estimate


def score(
    which: str,
    models: Sequence[str],
    shots: Sequence[int] = SHOTS,
    draws: int = 5,
    images: int = 2000,
    seed: int = 0,
    bootstrap: int = 500,
) -> pd.DataFrame:
    """Return k-shot accuracies on a labelled set, in the columns of every table of scores (unit: image, and draw of what is taught).

    Args:
        which: the set, as ``named.find`` takes it.
        models: names of backbones; each but the first is also compared with the first, on the same pictures and draws.
        shots: pictures of each class to learn from.
        draws: how often they are drawn.
        images: of the set, at most, spread evenly over its classes.
        seed: of the pictures, the draws and the bootstrap.
        bootstrap: draws of the bootstrap.

    Raises:
        HumalignError: an unknown set or model, fewer than two classes, or too few pictures of a class for the shots.
    """
    _check(models, shots, draws, images, seed)
    whole = named.find(which)
    check_labels(whole.labels["class"].to_numpy(dtype=str))
    shown = spread(whole, images, seed)
    _enough(which, whole, shown, max(shots))
    features, labels = _features(shown, models), shown.labels["class"].to_numpy(dtype=str)
    weights, of_draws = resamples(len(labels), bootstrap, seed), resamples(draws, bootstrap, seed + 1)
    found: dict[tuple[str, str], list[scores.Score]] = {(model, STAGE): [] for model in models}
    with progress_bar(sum(len(_classifiers(each)) for each in set(shots)) * len(models), "classifiers") as bar:
        for each in sorted(set(shots)):
            support = few_shot.supports(labels, each, draws, np.random.default_rng([seed, each]))
            for classifier in _classifiers(each):
                split = f"{named.short(which)}/{each}-shot"
                for model, what, estimate in _rows(features, labels, support, weights, of_draws, classifier, split):
                    found[model, STAGE].append(estimate.score(*what, "labels"))
                bar.update(len(models))
    return scores.table(found, "few-shot", seed)


def _classifiers(shots: int) -> list[str]:
    """Return the kinds of classifier; one picture of each class leaves nothing to cross-validate on."""
    return [name for name in few_shot.CLASSIFIERS if shots > 1 or name != "logistic-cv"]


def _rows(
    features: dict[str, Float[np.ndarray, "images _"]],
    labels: np.ndarray,
    support: Bool[np.ndarray, "draws images"],
    weights: Float[np.ndarray, "bootstrap_and_one images"],
    of_draws: Float[np.ndarray, "bootstrap_and_one draws"],
    classifier: str,
    split: str,
) -> Iterator[Row]:
    """Yield each model's accuracy by one kind of classifier, and its paired difference from the first model's."""
    say = functools.partial(classified, labels, support, weights, of_draws, classifier, None)
    found = {model: say(values) for model, values in features.items()}
    first = next(iter(found))
    for model, estimates in found.items():
        for (task, metric), estimate in estimates.items():
            yield model, (task, split, metric), estimate
            if model != first:
                yield model, (task, split, f"{metric}-above-{first}"), estimate - found[first][task, metric]


def _features(shown: Subset, models: Sequence[str]) -> dict[str, Float[np.ndarray, "images _"]]:
    # All are built before the first embeds anything, so that a mistake in the last name does not cost the time of the others.
    built, found = {name: backbones.build(name) for name in models}, {}
    with progress_bar(len(shown) * len(models), "pictures") as bar:
        for name in models:
            found[name] = embeddings.embed([shown], built.pop(name), progress=bar.update)["features"].values
    return found


def _check(models: Sequence[str], shots: Sequence[int], draws: int, images: int, seed: int) -> None:
    twice = sorted({name for name in models if list(models).count(name) > 1})
    if twice:
        raise HumalignError(f"the model {twice[0]!r} is named twice: name each once")
    for what, values in (("shots", shots), ("draws", [draws]), ("images", [images])):
        if not values or min(values) < 1:
            raise HumalignError(f"{what} = {', '.join(map(str, values))}: take 1 or more")
    if seed < 0:
        raise HumalignError(f"seed = {seed}: take 0 or more")


def _enough(which: str, whole: ImageSet, shown: Subset, shots: int) -> None:
    """Raise unless every class of the whole set has more pictures among those shown than are taught."""
    there = whole.labels["class"].value_counts()
    counts = shown.labels["class"].value_counts().reindex(there.index, fill_value=0)
    if counts.min() <= shots:
        name = str(counts.idxmin())
        more = f", or more images than {len(shown)}" if there[name] > shots else ", or take the class out"
        line = f"class {name!r} of {which} has {counts[name]} pictures: {shots} shots leave none to test"
        raise HumalignError(f"{line}: take fewer shots{more}")
