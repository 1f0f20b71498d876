"""What the demo spends its time on, against the plain way to write it: alternating runs, medians and their ratio."""

import numpy as np
import torch
from compare import compare, heading
from scipy.stats import spearmanr

from humalign.data.judgments import Choices, random_triplets
from humalign.evaluation import rsa
from humalign.evaluation.scores import resamples
from humalign.models.backbones import build
from humalign.teach.objectives import cross_entropy, pair_similarities


def embedding() -> None:
    backbone, pixels = build("efficientnet-lite0", pretrained=False), torch.rand(64, 3, 224, 224)
    last = build("efficientnet-lite0", pretrained=False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def ours() -> None:
        for part in pixels.contiguous(memory_format=torch.channels_last).split(16):
            last(part)

    @torch.inference_mode()
    def plain() -> None:
        backbone(pixels)

    compare("64 pictures through Lite0: channels-last by 16 / plain by 64", ours, plain)


def triplet_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(1000, 300, generator=generator).requires_grad_()
    triplets = torch.from_numpy(random_triplets(np.arange(1000), 20_000, np.random.default_rng(0)))
    targets = torch.softmax(torch.randn(len(triplets), 3, generator=generator), dim=1)

    def ours() -> None:
        cross_entropy(targets, pair_similarities(embeddings / 30, triplets)).mean().backward()

    def plain() -> None:
        i, j, k = (embeddings[triplets[:, c]] / 30 for c in range(3))
        cross_entropy(targets, torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)).mean().backward()

    compare("gradient of 20,000 triplets: matrix and gather / row by row", ours, plain)


def vice_pass() -> None:
    rng = np.random.default_rng(0)
    triplets = random_triplets(np.arange(500), 8192, rng)
    choices = Choices(triplets, np.eye(3, dtype=int)[rng.integers(3, size=len(triplets))])
    one_hot = torch.zeros(3, len(triplets), 500)
    for column in range(3):
        one_hot[column, torch.arange(len(triplets)), torch.from_numpy(triplets[:, column])] = 1
    weights, targets = torch.rand(500, 60).requires_grad_(), torch.from_numpy(choices.shares).float()

    def ours() -> None:
        cross_entropy(targets, pair_similarities(weights, torch.from_numpy(triplets))).mean().backward()

    def plain() -> None:
        i, j, k = one_hot @ weights
        cross_entropy(targets, torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)).mean().backward()

    compare("VICE likelihood of 8,192 answers: gather / one-hot matrices", ours, plain)


def rsa_bootstrap() -> None:
    rng = np.random.default_rng(0)
    images, draws, parts = 120, 1000, 20
    features, judged = rng.standard_normal((images, 512)), rsa.dissimilarities(rng.standard_normal((images, 20)))
    weights = resamples(images, draws, seed=0)

    def ours() -> None:
        rsa.agreement(features[None], judged, weights)

    def plain() -> None:
        model, (i, j) = rsa.dissimilarities(features), np.triu_indices(images, k=1)
        for w in weights[1 : 1 + draws // parts].astype(int):
            drawn = np.repeat(np.arange(images), w)
            one, other = drawn[i], drawn[j]
            apart = one != other
            spearmanr(model[one, other][apart], judged[one, other][apart])

    compare(f"RSA of {images} images with its interval from {draws:,} draws: sorted once / scipy", ours, plain, parts)


if __name__ == "__main__":
    torch.set_num_threads(2)
    torch.manual_seed(0)
    heading()
    for benchmark in (embedding, triplet_gradient, vice_pass, rsa_bootstrap):
        benchmark()
