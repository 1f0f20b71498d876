"""Evaluations: each takes embeddings and judgments or labels, and returns estimates with bootstrap draws.

Features are (styles, concepts, dim): each concept is drawn once in each style. An estimate is a mean over
styles. The unit that is resampled is the concept: an interval speaks about other concepts, not other answers.
"""
