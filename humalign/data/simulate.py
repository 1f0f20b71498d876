"""Simulated observers with a known similarity space; they check the method against a truth and are never called human.

The space is a tree over a taxonomy: a concept's vector is the sum of a group's, a subgroup's and its own, so every
triplet has a graded truth, from certain to a toss-up. Observers differ in how much each dimension matters
to them, choose by a softmax over pair similarities, and sometimes answer at random.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.optimize import least_squares
from scipy.special import softmax

from humalign.data.judgments import PAIRS, Choices, entropy, majority_share, random_triplets
from humalign.errors import HumalignError

# What 1,000 repeated THINGS triplets, about 20 people each, give: the observers are made as unsure as people.
THINGS_MAJORITY_SHARE = 0.672
THINGS_CHOICE_ENTROPY = 0.732
THINGS_PEOPLE = 20


@dataclasses.dataclass(frozen=True)
class Observers:
    """A population that judges triplets of concepts.

    Attributes:
        space: the similarity space that all share; similarity is its dot product.
        weights: one row a person, how much each dimension counts for that person.
        sharpness: inverse temperature of a choice.
        lapse: chance of an answer at random.
    """

    space: Float[np.ndarray, "concepts dim"]
    weights: Float[np.ndarray, "people dim"]
    sharpness: float
    lapse: float

    @property
    def similarity(self) -> Float[np.ndarray, "concepts concepts"]:
        """The average person's similarity of any two concepts: the known truth."""
        return (self.space * (self.weights**2).mean(0)) @ self.space.T

    def probabilities(self, triplets: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Return how likely a person drawn at random keeps each pair (ij, ik, jk) together."""
        total = np.zeros(triplets.shape)
        for weights in self.weights:
            total += self._choice(triplets, weights)
        return total / len(self.weights)

    def answer(self, triplets: Int[np.ndarray, "n 3"], people: int, rng: np.random.Generator) -> Choices:
        """Ask ``people`` different persons about every triplet."""
        if people > len(self.weights):
            raise HumalignError(f"{people} answers to a triplet, but only {len(self.weights)} simulated observers: raise `observers`")
        counts = np.zeros(triplets.shape, dtype=int)
        # Rank random keys to choose, for each triplet, which persons are asked; then let each answer theirs.
        asked = rng.random((len(triplets), len(self.weights))).argsort(1) < people
        for person, weights in enumerate(self.weights):
            rows = np.flatnonzero(asked[:, person])
            chances = self._choice(triplets[rows], weights)
            pick = (rng.random((len(rows), 1)) > chances.cumsum(1)[:, :2]).sum(1)
            counts[rows, pick] += 1
        return Choices(triplets, counts)

    def _choice(self, triplets: Int[np.ndarray, "n 3"], weights: Float[np.ndarray, " dim"]) -> Float[np.ndarray, "n 3"]:
        own = self.space * weights
        matrix = own @ own.T
        similarities = np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)
        return (1 - self.lapse) * softmax(self.sharpness * similarities, axis=1) + self.lapse / 3


def tree_space(taxonomy: pd.DataFrame, shares: dict[str, float], dim: int, rng: np.random.Generator) -> Float[np.ndarray, "concepts dim"]:
    """Return a non-negative similarity space in which each level of a taxonomy adds its own vector.

    Args:
        taxonomy: one row a concept, one column a level (``group``, ``subgroup``, ``concept``).
        shares: how much of a concept's squared length each level contributes.
        dim: number of dimensions; few make unrelated branches resemble each other by degrees.
    """
    space = np.zeros((len(taxonomy), dim))
    for level, share in shares.items():
        codes, names = pd.factorize(taxonomy[level])
        # Gamma-distributed, so that each is high on a few dimensions only.
        vectors = rng.gamma(0.2, size=(len(names), dim))
        space += np.sqrt(share) * (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[codes]
    return space


def calibrated(space: Float[np.ndarray, "concepts dim"], people: int, individuality: float, rng: np.random.Generator) -> Observers:
    """Return observers as unsure as the people of the THINGS noise-ceiling set.

    Sharpness and lapse rate are solved for the majority share and the mean choice entropy (nats) of random
    triplets answered by 20 persons each, so that both figures match the real ones.

    Args:
        individuality: standard deviation of the logarithm of a person's dimension weights.
    """
    weights = np.exp(individuality * rng.standard_normal((people, space.shape[1])) - individuality**2)
    triplets = random_triplets(np.arange(len(space)), 2000, rng)
    seed = int(rng.integers(2**31))

    def miss(parameters: np.ndarray) -> np.ndarray:
        observers = Observers(space, weights, float(np.exp(parameters[0])), float(parameters[1]))
        # The same random numbers at every trial make the figures a smooth function of the parameters.
        counts = np.random.default_rng(seed).multinomial(THINGS_PEOPLE, observers.probabilities(triplets))
        return np.array(
            [majority_share(counts).mean() - THINGS_MAJORITY_SHARE, entropy(counts / THINGS_PEOPLE).mean() - THINGS_CHOICE_ENTROPY]
        )

    solution = least_squares(miss, x0=(2.0, 0.08), bounds=((0.0, 0.0), (6.0, 0.4)), diff_step=0.05)
    return Observers(space, weights, float(np.exp(solution.x[0])), float(solution.x[1]))
