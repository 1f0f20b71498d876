"""From scores to tables, figures, chapters and the book."""
