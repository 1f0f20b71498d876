"""Which architectures can be aligned: every model of timm and OpenCLIP, built without weights.

    python benchmarks/architectures.py                      prints the table
    python benchmarks/architectures.py --record book/recorded       and goes on where it was stopped

Every model is built on PyTorch's meta device, which holds no values. The smallest of each family that builds then takes
two training steps, is exported and read back, by humalign and by its own library; all must give the same features.
A family is a module of timm and the first word of the name, or an architecture of OpenCLIP's towers. Each
training is a process of its own: one that dies, or needs too much memory, is a row of the table.
"""

import argparse
import collections
import dataclasses
import functools
import logging
import multiprocessing
import re
import resource
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch

from humalign import triplets
from humalign.artefacts import replacing
from humalign.distil.distill import Distillation, Engine, distill
from humalign.errors import HumalignError, complaint
from humalign.models import backbones
from humalign.models.export import Card, save_pretrained
from humalign.models.student import Student

# Beyond so many parameters a family's smallest model is only built; a process may hold so many bytes.
LARGEST, MEMORY = 120e6, 14e9
SECONDS = 900
PICTURES = 3
SAME = 1e-5
# Features of initial values that are smaller or larger leave no gradient in single precision.
SOUND = (1e-3, 30)
COLUMNS = ["library", "family", "model", "parameters", "size", "stages", "outcome"]
COLUMNS += ["moved", "read back", "by its library", "one by one", "line"]


def families() -> dict[str, str]:
    """Return the family of every model that the two libraries know by name."""
    import open_clip
    import timm
    from timm.models import _registry

    module = _registry._model_to_module
    found = {f"timm:{name}": f"{module[name]}: {re.match('[a-z]+', name)[0]}" for name in timm.list_models()}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        of_timm = vision.get("timm_model_name")
        tower = "resnet" if isinstance(vision.get("layers"), list) else "vit"
        tower = f"timm's {module[of_timm.split('.')[0]]}" if of_timm else tower
        options = {"timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_drop", "timm_drop_path"}
        sizes = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
        extra = [*sorted(set(vision) - options - sizes), *(["quick_gelu"] if config.get("quick_gelu") else [])]
        extra += ["coca"] if "multimodal_cfg" in config else []
        extra += ["Hugging Face text tower"] if "hf_model_name" in text else []
        found[f"open_clip:{name}"] = ", ".join([tower, *extra])
    return found


def built(name: str) -> dict[str, object]:
    """Build a model without values, and say what it is."""
    import open_clip

    # OpenCLIP moves what it has built to a device, by default to the processor, where values would be missed.
    on_meta = mock.patch("open_clip.create_model", functools.partial(open_clip.create_model, device="meta"))
    try:
        with torch.device("meta"), on_meta:
            backbone = backbones.build(name, pretrained=False)
        # Rounded as the table has them, so that a run that goes on takes the same model for the smallest.
        parameters = float(f"{sum(parameter.numel() for parameter in backbone.stages.parameters()):.3g}")
        return {"parameters": parameters, "size": backbone.size, "stages": len(backbone.stages), "outcome": "builds"}
    except HumalignError as error:
        return {"outcome": "refused", "line": str(error)}
    except Exception as error:
        return {"outcome": "failed", "line": f"{type(error).__name__}: {complaint(error)}"}


def trained(name: str) -> dict[str, object]:
    """Train a model for two steps, export it, read it back, and compare features."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (int(MEMORY), int(MEMORY)))
    backbone = backbones.build(name, pretrained=False)
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.random((PICTURES, 3, backbone.size, backbone.size), dtype=np.float32))
    teacher = rng.standard_normal((PICTURES, 5)).astype(np.float32)
    rows = triplets.label(teacher, [[0, 1, 2]], [f"{i}.png" for i in range(PICTURES)])
    if not SOUND[0] < backbone(pixels).abs().max() < SOUND[1]:
        _normalised(backbone, pixels)
    student = Student.of(backbone, 0)
    before = student.features(pixels)
    _align(student, pixels, rows)
    after = student.features(pixels)
    with tempfile.TemporaryDirectory() as place:
        folder = save_pretrained(Path(place) / "model", backbone, student, Card("trained", "two steps"))
        size = before.abs().max().clamp(min=1e-12)
        again = backbones.build(f"{name.partition(':')[0]}:local-dir:{folder}")
        with torch.no_grad():
            differs = float((again(pixels) - after).abs().max() / after.abs().max())
            own = _of_library(name, folder)(backbone.normalise(pixels))
        own = own[0] if isinstance(own, tuple) else own
        library = float((own - after).abs().max() / after.abs().max())
    moved = float((after - before).abs().max() / size)
    found = {"moved": moved, "read back": differs, "by its library": library}
    if max(differs, library) >= SAME:
        found["one by one"] = _rounding(student, pixels, after)
    sound = moved > 0 and max(differs, library) < max(SAME, 3 * found.get("one by one", 0))
    return {"outcome": "aligned" if sound else "differs"} | found


def _align(student: Student, pixels: torch.Tensor, rows: triplets.LabelledTriplets) -> None:
    """Take two steps at temperature 1, or at that which the refusal names where choices are certain at 1."""
    steps = Distillation(steps=2, warmup=1, temperature=1.0, learning_rate=1e-3, batch_triplets=1)
    try:
        distill(student, pixels, rows, steps, engine=Engine(device="cpu"))
    except HumalignError as error:
        if not (named := re.search(r"raise `temperature`, to about ([\d.e+]+),", str(error))):
            raise
        distill(student, pixels, rows, dataclasses.replace(steps, temperature=float(named[1])), engine=Engine(device="cpu"))


def _rounding(student: Student, pixels: torch.Tensor, features: torch.Tensor) -> float:
    """Return by how much features differ where pictures are embedded one by one: a network may enlarge what is rounded."""
    single = torch.cat([student.features(pixels[i : i + 1]) for i in range(len(pixels))])
    return float((single - features).abs().max() / features.abs().max())


def _normalised(backbone: backbones.Backbone, pixels: torch.Tensor) -> None:
    """Give batch norms the statistics of the pictures: through those of initial values signal and gradient vanish."""
    norms = [module for module in backbone.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        backbone.stages(backbone.normalise(pixels))
    for norm in norms:
        norm.eval()


def _of_library(name: str, folder: Path) -> torch.nn.Module:
    if name.startswith("timm:"):
        import timm

        return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    import open_clip

    return open_clip.create_model(f"local-dir:{folder}").visual.eval()


def alone(function, name):
    """Run a function in a process of its own, and say how it ended where it gave nothing."""
    here, there = multiprocessing.Pipe(duplex=False)

    def run():
        warnings.simplefilter("ignore")
        try:
            there.send(function(name))
        except HumalignError as error:
            there.send({"outcome": "refused", "line": str(error)})
        except BaseException as error:
            there.send({"outcome": "failed", "line": f"{type(error).__name__}: {complaint(error)}"})

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    there.close()
    try:
        found = here.recv() if here.poll(SECONDS) else {"outcome": "failed", "line": f"took more than {SECONDS} s"}
    except EOFError:
        process.join()
        found = {"outcome": "failed", "line": f"the process ended with {process.exitcode}"}
    process.kill()
    process.join()
    return found


def table(chosen: str = "", file: Path | None = None, seconds: float = float("inf")) -> pd.DataFrame:
    """Return a row for every model: the smallest of a family that builds is trained, small ones first.

    Args:
        chosen: part of the names of the models.
        file: which is written as rows are made; rows that it has are not made again.
        seconds: after which no further model is begun.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    until, known = time.monotonic() + seconds, {name: family for name, family in families().items() if chosen in name}
    rows, models = _kept(file), collections.defaultdict(list)
    for name, family in known.items():
        models[name.partition(":")[0], family].append(name)

    def effort(names: list[str]) -> tuple[bool, float]:
        sizes = [rows[name]["parameters"] for name in names if name in rows and pd.notna(rows[name].get("parameters"))]
        return not all(name in rows for name in names), min(sizes, default=0)

    for (library, family), names in sorted(models.items(), key=lambda item: effort(item[1])):
        for name in names:
            if time.monotonic() < until and name not in rows:
                rows[name] = {"library": library, "family": family, "model": name} | built(name)
        if time.monotonic() < until:
            _try_smallest([rows[name] for name in names])
        _write(file, rows)
    return _framed(rows)


def _try_smallest(family: list[dict[str, object]]) -> None:
    """Train the smallest model of a family that builds, and add what came of it to its row."""
    built = [row for row in family if row["outcome"] != "refused" and pd.notna(row.get("parameters"))]
    row = min(built, key=lambda row: (row["parameters"], row["model"]), default=None)
    if row is None or row["outcome"] != "builds" or pd.notna(row.get("line")):
        return
    if row["parameters"] > LARGEST:
        row["line"] = f"more than {LARGEST / 1e6:.0f} million parameters: not trained"
        return
    begun = time.monotonic()
    row |= alone(trained, row["model"])
    print(f"{time.monotonic() - begun:.0f} s", row["model"], row["outcome"], row.get("line", ""), flush=True)


def _kept(file: Path | None) -> dict[str, dict[str, object]]:
    found = pd.read_csv(file).to_dict("records") if file and file.is_file() else []
    return {row["model"]: row for row in found}


def _framed(rows: dict[str, dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows.values())).reindex(columns=COLUMNS).sort_values(["library", "family", "parameters", "model"])


def _write(file: Path | None, rows: dict[str, dict[str, object]]) -> None:
    if file:
        with replacing(file) as part:
            _framed(rows).to_csv(part, index=False, float_format="%.3g")


def main() -> None:
    """Print the table, or record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--only", default="", help="models whose name holds this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no model is begun")
    given = parser.parse_args()
    found = table(given.only, given.record / "architectures.csv" if given.record else None, given.seconds)
    print(found["outcome"].value_counts().to_string())


if __name__ == "__main__":
    main()
