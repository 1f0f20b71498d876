"""Pseudo-labelled triplets over unlabelled images: sampling, labels, the AligNet file, and the audit of such a file.

A row holds images (0, 1, 2) sorted so that (0, 1) is the pair the teacher keeps together and 2 the odd one out; its
similarities stand as [s01, s02, s12], dot products of the teacher's embeddings. Indices are 0-based. Source: paper, Methods; the
layout is that of the released files: ``filenames`` (n, 3), ``similarities`` (n, 3), ``indices`` (n, 3).

What is drawn and how it is labelled depends on seed, embeddings and nothing else: not on the number of workers, nor on how much is
read at a time. Embeddings may be a memory map of a file that does not fit in memory.
"""

from humalign.triplets.auditing import Finding, audit, audit_file
from humalign.triplets.labelling import label, label_file, mapped, similarities
from humalign.triplets.layout import LabelledTriplets, file_name, read, write
from humalign.triplets.sampling import SAMPLINGS, Groups, cluster_border, cluster_border_blocks, clusters, draw

__all__ = [
    "SAMPLINGS", "Finding", "Groups", "LabelledTriplets", "audit", "audit_file", "cluster_border",
    "cluster_border_blocks", "clusters", "draw", "file_name", "label", "label_file", "mapped", "read",
    "similarities", "write",
]  # fmt: skip
