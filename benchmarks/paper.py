"""What the profile paper costs: rates of its three long stages measured on this machine, and from them hours, stage by stage.

On a GPU: embedding by the teacher's backbone, SigLIP So400m/14 at 384 pixels with random weights, from JPEG files of a photograph's size;
triplets at a fraction of ImageNet's size; steps of ViT-B/16 as the profile takes them. Without a GPU the same path is run with tiny
networks, to show that it works: its hours say nothing.

    python benchmarks/paper.py                    ten minutes on a GPU, one without
    python benchmarks/paper.py --pictures 2048    more pictures, finer rates
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from distillation import VIT_B, VIT_TINY, Engine, dense, photographs, sparse, step_seconds
from triplets import made_up, made_up_names, made_up_teacher, measured

from humalign import profiles, triplets
from humalign.chain.paper.embedding import embed_to_file
from humalign.models import backbones
from humalign.profiles import Paper

# Aligned student and control are trained alike.
STAGES_OF_A_STUDENT = 2
MANY = 8


@dataclasses.dataclass(frozen=True)
class Size:
    """What is measured: networks, pictures, triplets of so many images, and steps."""

    teacher: str
    student: str
    pictures: int
    images: int
    rows: int
    clusters: int
    triplets: int
    steps: int


def embedding_rate(size: Size, profile: Paper, folder: Path) -> float:
    """Return pictures a second from JPEG files to embeddings on disk, as the stage does it; the first batches are left out."""
    (folder / "pictures").mkdir()
    shown, finished = photographs(folder / "pictures", size.pictures), [(0, 0.0)]
    backbone = backbones.build(size.teacher, pretrained=False)
    embed_to_file(shown, backbone, folder / "embeddings.npy", "rate", profile, lambda n: finished.append((n, time.perf_counter())))
    _, *rest = finished[1:]
    return sum(count for count, _ in rest[1:]) / (rest[-1][1] - rest[0][1])


def triplet_seconds(size: Size, profile: Paper, folder: Path) -> float:
    """Return seconds of clusters, and of drawn and labelled triplets, at the full size: both grow in proportion (see growth.py)."""
    held, names = made_up(folder / "made.npy", size.images, 1152), made_up_names(size.images)
    with measured(f"clusters of {size.images:,} images") as clustered:
        groups = triplets.clusters(held, size.clusters, seed=0)
    with measured(f"{size.rows:,} triplets drawn, mapped, labelled, written") as labelled:
        drawn = triplets.draw("cluster-border", groups, size.rows, seed=0, workers=max(1, profile.workers))
        space = triplets.mapped(folder / "space.npy", held, made_up_teacher(held).transform)
        triplets.label_file(folder / "train_cluster_border.npz", space, drawn, names, max(1, profile.workers))
    # Clusters take so many times longer as there are more of them, too.
    whole = profile.imagenet_pictures / size.images
    return clustered.seconds * whole * profile.clusters / size.clusters + labelled.seconds * max(whole, profile.triplets / size.rows)


def cost(size: Size, profile: Paper, device: str) -> pd.DataFrame:
    """Return the hours of each stage at the profile's size, of one student, and of everything, on one GPU and on eight."""
    with tempfile.TemporaryDirectory() as folder:
        rate = embedding_rate(size, profile, Path(folder))
        print(f"{size.teacher}: {rate:,.1f} pictures/s from JPEG files to embeddings on disk", flush=True)
        triplet_hours = triplet_seconds(size, profile, Path(folder)) / 3600
    engine = Engine(device=device, bfloat16=profile.precision == "bfloat16", compile=profile.compile if device == "cuda" else None)
    hours, students = {}, STAGES_OF_A_STUDENT * len(profile.students)
    for kind, plan in {"sparse": sparse(3 * size.triplets), "dense": dense(max(6, size.triplets // 4))}.items():
        seconds, gib = step_seconds(size.student, plan, engine, size.steps)
        hours[kind] = profile.steps * seconds / 3600
        print(f"{size.student}, a {kind} step: {seconds:.3f} s, {gib:.1f} GiB", flush=True)
    embedding = profile.imagenet_pictures / rate / 3600
    lines = [("embeddings of ImageNet", embedding, embedding / MANY), ("triplets", triplet_hours, triplet_hours)]
    lines += [(f"one student, {kind} triplets", each, each / MANY) for kind, each in hours.items()]
    lines += [
        (f"everything, {students} students, {kind}", embedding + triplet_hours + students * each,
         embedding / MANY + triplet_hours + students * each / MANY)
        for kind, each in hours.items()
    ]
    found = pd.DataFrame(lines, columns=["what", "hours, one GPU", f"hours, {MANY} GPUs"])
    return found.assign(**{"GPU-hours": found["hours, one GPU"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, help="to embed")
    given, profile = parser.parse_args(), profiles.load("paper")
    assert isinstance(profile, Paper)
    if torch.cuda.is_available():
        name, device = torch.cuda.get_device_name(), "cuda"
        tenth = profile.imagenet_pictures // 10, profile.triplets // 10
        size = Size(profile.teacher_backbone, VIT_B, given.pictures or 8192, *tenth, profile.clusters, profile.batch_triplets, 20)
    else:
        name, device = "the processor", "cpu"
        print("no CUDA device is at hand: tiny networks show the path, and no hour below is the profile's; run this on a GPU machine")
        size = Size(VIT_TINY, VIT_TINY, given.pictures or 96, 5_000, 20_000, 20, 8, 2)
        profile = dataclasses.replace(profile, workers=0, batch_images=16, precision="float32")
    table = cost(size, profile, device)
    whole = f"{profile.imagenet_pictures:,} pictures, {profile.triplets:,} triplets and {profile.steps:,} steps a student"
    print(f"\n{name}: from these rates, for {whole}")
    print(table.to_string(index=False, float_format=lambda value: f"{value:,.1f}"))


if __name__ == "__main__":
    main()
