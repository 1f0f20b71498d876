"""Distribution shift: is a concept still recognised when it is drawn in another style?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from humalign.scores import Estimate


def nearest_in_other_style(features: Float[np.ndarray, "styles concepts dim"], weights: Float[np.ndarray, "draws concepts"]) -> Estimate:
    """Return how often the most similar picture of the other style shows the same concept (cosine; unit: concept)."""
    unit = features / np.linalg.norm(features, axis=2, keepdims=True)
    similarity = unit[0] @ unit[1].T
    here = np.arange(len(similarity))
    found = np.mean([similarity.argmax(1) == here, similarity.argmax(0) == here], axis=0)
    return Estimate.of(weights @ found.astype(np.float32) / weights.sum(1), len(here))
