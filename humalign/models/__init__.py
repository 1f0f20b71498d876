"""Backbones, their weights and embeddings; students, and how they are taken away."""
