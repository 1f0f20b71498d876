"""Simulated observers with a known similarity space, to check the method; they are never called human.

The space is a tree over a taxonomy: a concept's vector is the sum of a group's, a subgroup's and its own, so
every triplet has a graded truth, from certain to a toss-up. Observers differ in how much each dimension
matters to them, choose by a softmax over pair similarities, and sometimes answer at random.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.random import Generator
from scipy.optimize import least_squares
from scipy.special import softmax

from humalign.data.judgments import PAIRS, Choices, Indices, Values, entropy, majority_share, random_triplets
from humalign.errors import HumalignError

# What 1,000 repeated THINGS triplets, about 20 people each, give: the observers are made as unsure as people.
THINGS_MAJORITY_SHARE = 0.672
THINGS_CHOICE_ENTROPY = 0.732
THINGS_PEOPLE = 20
Space = Float[np.ndarray, "concepts dim"]


@dataclasses.dataclass(frozen=True)
class Observers:
    """A population that judges triplets of concepts.

    Attributes:
        space: the similarity space that all share; similarity is its dot product.
        weights: one row a person, how much each dimension counts for that person.
        sharpness: inverse temperature of a choice.
        lapse: chance of an answer at random.
    """

    space: Space
    weights: Float[np.ndarray, "people dim"]
    sharpness: float
    lapse: float

    @property
    def similarity(self) -> Float[np.ndarray, "concepts concepts"]:
        """The average person's similarity of any two concepts: the known truth."""
        return (self.space * (self.weights**2).mean(0)) @ self.space.T

    def probabilities(self, triplets: Indices) -> Values:
        """Return how likely a person drawn at random keeps each pair (ij, ik, jk) together."""
        chances = (self._choice(triplets, weights) for weights in self.weights)
        return sum(chances, np.zeros(triplets.shape)) / len(self.weights)

    def answer(self, triplets: Indices, people: int, rng: Generator) -> Choices:
        """Ask ``people`` different persons about every triplet."""
        if people > len(self.weights):
            there = f"only {len(self.weights)} simulated observers: raise `observers`"
            raise HumalignError(f"{people} answers to a triplet, but {there}")
        counts = np.zeros(triplets.shape, dtype=int)
        # Rank random keys to choose, for each triplet, which persons are asked; then let each answer theirs.
        asked = rng.random((len(triplets), len(self.weights))).argsort(1) < people
        for person, weights in enumerate(self.weights):
            rows = np.flatnonzero(asked[:, person])
            chances = self._choice(triplets[rows], weights)
            pick = (rng.random((len(rows), 1)) > chances.cumsum(1)[:, :2]).sum(1)
            counts[rows, pick] += 1
        return Choices(triplets, counts)

    def _choice(self, triplets: Indices, weights: Float[np.ndarray, " dim"]) -> Values:
        own = self.space * weights
        matrix = own @ own.T
        similarities = np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)
        return (1 - self.lapse) * softmax(self.sharpness * similarities, axis=1) + self.lapse / 3


def tree_space(taxonomy: pd.DataFrame, shares: dict[str, float], dim: int, rng: Generator) -> Space:
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


def calibrated(space: Space, people: int, individuality: float, rng: Generator) -> Observers:
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
        figures = majority_share(counts).mean(), entropy(counts / THINGS_PEOPLE).mean()
        return np.array(figures) - (THINGS_MAJORITY_SHARE, THINGS_CHOICE_ENTROPY)

    solution = least_squares(miss, x0=(2.0, 0.08), bounds=((0.0, 0.0), (6.0, 0.4)), diff_step=0.05)
    return Observers(space, weights, float(np.exp(solution.x[0])), float(solution.x[1]))
