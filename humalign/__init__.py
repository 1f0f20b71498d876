"""humalign: align vision models with human similarity judgments, and measure what that changes."""

__version__ = "0.1.0"
