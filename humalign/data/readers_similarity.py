"""Readers of similarity judgments of photographs: ratings of six categories, and two sets of arrangements.

The layouts are those that the predecessor's code reads (``data/`` of github.com/LukasMut/gLocal); the one
public category may lie as its repository gives it. None of these files was at hand when the readers were
written. Shape, range and symmetry are checked. The rows of a matrix are joined to photographs by name where a
file names them. Where none does, they are the photographs sorted by name as text (``1.png``, ``10.png``,
``2.png``): both public programs that read these files sort so.
"""

from __future__ import annotations

from humalign.data.judged_photographs import JUDGED, SimilarityJudgments
from humalign.data.readers_arrangements import arrangements_cichy, arrangements_king
from humalign.data.readers_ratings import CATEGORIES, PUBLIC, rated_categories, ratings

__all__ = [
    "CATEGORIES", "JUDGED", "PUBLIC", "SimilarityJudgments", "arrangements_cichy", "arrangements_king",
    "rated_categories", "ratings",
]  # fmt: skip
