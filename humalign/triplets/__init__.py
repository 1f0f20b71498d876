"""Pseudo-labelled triplets of unlabelled images: sampling, labels, the AligNet file, and its audit.

In a row, images 0 and 1 are the pair that the teacher keeps together; 2 is the odd one out. Its similarities
are [s01, s02, s12], dot products of the teacher's embeddings. Indices are 0-based. Source: paper, Methods;
the layout is that of the released files: ``filenames`` (n, 3), ``similarities`` (n, 3), ``indices`` (n, 3).

Draws and labels depend on the seed and the embeddings, not on the number of workers or how much is read at a
time. Embeddings may be a memory map of a file that does not fit in memory.
"""

from humalign.triplets.auditing import Finding, audit, audit_file
from humalign.triplets.labelling import label, label_file, mapped, similarities
from humalign.triplets.layout import LabelledTriplets, file_name, read, write
from humalign.triplets.sampling import SAMPLINGS, cluster_border, cluster_border_blocks, clusters, draw

__all__ = [
    "SAMPLINGS", "Finding", "LabelledTriplets", "audit", "audit_file", "cluster_border",
    "cluster_border_blocks", "clusters", "draw", "file_name", "label", "label_file", "mapped", "read",
    "similarities", "write",
]  # fmt: skip
