"""Evaluations: each takes embeddings and judgments or labels, and returns estimates with bootstrap draws.

Features are (styles, concepts, dim): every concept is drawn once in each style, and an estimate is the mean over styles.
The unit that is resampled is the concept, so an interval speaks about other concepts, not other answers.
"""
