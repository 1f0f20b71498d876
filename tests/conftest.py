"""What all tests share."""

import os

# Figures are drawn to files; nothing opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")
