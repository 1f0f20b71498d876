"""Align vision models with human judgments: teacher, triplets, distillation and evaluation, step by step.

The names below are what the README's recipe uses; each is imported when it is first asked for.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

FACE = {
    "humalign.data.images": ("FolderImages", "ZipImages"),
    "humalign.data.judgments": ("Choices",),
    "humalign.models.backbones": ("Backbone", "build"),
    "humalign.models.embeddings": ("embed",),
    "humalign.teach.teacher": ("AffineTeacher", "try_pulls"),
    "humalign.evaluation.left_out": ("held_out_agreement",),
    "humalign.triplets": ("audit", "cluster_border_blocks", "clusters", "label"),
    "humalign.models.student": ("Student",),
    "humalign.distil.distill": ("Distillation", "distill"),
    "humalign.models.export": ("Card", "save_pretrained"),
}
__all__ = ["__version__", *sorted(name for names in FACE.values() for name in names)]


def __getattr__(name: str) -> Any:
    for module, names in FACE.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'humalign' has no attribute {name!r}")
