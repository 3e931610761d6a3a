"""Checkpoints: one safetensors file that is whole, ours and undamaged, or is refused.

The file holds the model's tensors under their `state_dict` names, what is needed to use them
(which architecture, which classes, how pixels were normalised), and on request the state of the
training run. Nothing in it names code: there is no pickle, and an architecture is a key of
`models.ARCHITECTURES`. A SHA-256 over tensors and metadata catches every flipped bit; it is no
signature.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate import nn
from striate._extras import require
from striate.data import Normalize, write_atomically
from striate.models import ARCHITECTURES, create_model

Tensors = dict[str, npt.NDArray[Any]]

_ENTRY = "striate"
_FORMAT = "checkpoint-1"
_TRAINING = "training/"  # module names have no slash, so these tensors never meet the model's
_MAX_CLASSES = 100_000


class CheckpointError(ValueError):
    """A file is not a usable checkpoint; the message names the file and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what is needed to use it or to train on.

    Attributes
    ----------
    architecture
        Key of `striate.models.ARCHITECTURES`.
    classes
        Names of the scores, in order.
    normalize
        What training did to the pixels before the model saw them.
    epoch
        Finished epochs.
    state
        `model.state_dict()`.
    training
        Any nesting of dicts, lists, numbers, strings, None and arrays, such as the `state_dict()`
        of optimizer, schedule and loader.
    """

    architecture: str
    classes: tuple[str, ...]
    normalize: Normalize
    epoch: int
    state: Mapping[str, npt.NDArray[Any]]
    training: Mapping[str, Any] | None = None

    def model(self) -> nn.Module:
        """Build the architecture and load the weights; the model is in evaluation mode."""
        model = create_model(self.architecture, len(self.classes), rng=0)
        model.load_state_dict(self.state)
        model.eval()
        return model


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`; whatever goes wrong, a previous file there stays as it was.

    Raises
    ------
    OSError
        The disk is full, the folder is missing or not writable.
    MissingExtraError
        safetensors is not installed.
    """
    safetensors = require("safetensors.numpy", extra="cli", purpose="writing a checkpoint")
    tensors: Tensors = {name: np.asarray(value) for name, value in checkpoint.state.items()}
    about = {
        "format": _FORMAT,
        "architecture": checkpoint.architecture,
        "classes": checkpoint.classes,
        "normalize": [checkpoint.normalize.mean, checkpoint.normalize.std],
        "epoch": checkpoint.epoch,
        "training": _pack(checkpoint.training, tensors),
    }
    about["sha256"] = _digest(tensors, about)
    # One entry, because safetensors writes several in random order.
    write_atomically(path, [safetensors.save(tensors, {_ENTRY: json.dumps(about)})])


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises
    ------
    CheckpointError
        The file is truncated, damaged, or not a checkpoint of ours.
    OSError
        It cannot be read.
    MissingExtraError
        safetensors is not installed.
    """
    safetensors = require("safetensors", extra="cli", purpose="reading a checkpoint")
    numpy_api = require("safetensors.numpy", extra="cli", purpose="reading a checkpoint")
    path = Path(path)
    data = path.read_bytes()  # once: what is checked below is what is used
    try:
        tensors: Tensors = numpy_api.load(data)
        about = _about(data)
    except (safetensors.SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    if about is None or about.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of striate")
    claimed = about.pop("sha256", None)
    found = _digest(tensors, about)
    if claimed != found:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is {found}, it claims {claimed}")
    try:
        return _parse(tensors, about)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a valid checkpoint: {error}") from error


def _about(data: bytes) -> dict[str, Any] | None:
    """Our entry in the header, which is 8 bytes of length (little-endian), then JSON."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    about = json.loads(metadata[_ENTRY]) if _ENTRY in metadata else None
    return about if isinstance(about, dict) else None


def _digest(tensors: Tensors, about: Mapping[str, Any]) -> str:
    """SHA-256 over `about`, then name, dtype, shape and bytes of each tensor by name."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _parse(tensors: Tensors, about: Mapping[str, Any]) -> Checkpoint:
    """JSON to fields. The checksum shows no accident happened, not that the author was kind."""
    architecture = about["architecture"]
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    classes = about["classes"]
    if not isinstance(classes, list) or not 1 <= len(classes) <= _MAX_CLASSES:
        raise ValueError("classes must be a list of names")
    if not all(isinstance(name, str) and name.isprintable() for name in classes):
        raise ValueError("class names must be printable text")  # they go to people's terminals
    mean, std = (float(value) for value in about["normalize"])
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise ValueError(f"normalisation by mean {mean} and std {std} is impossible")
    return Checkpoint(
        architecture=architecture,
        classes=tuple(classes),
        normalize=Normalize(mean, std),
        epoch=int(about["epoch"]),
        state={k: v for k, v in tensors.items() if not k.startswith(_TRAINING)},
        training=_unpack(about["training"], tensors),
    )


def _pack(value: Any, tensors: Tensors) -> Any:
    """`value` as JSON can say it; arrays move to `tensors` and leave their name behind."""
    if isinstance(value, np.ndarray):
        name = f"{_TRAINING}{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        # As pairs, because JSON would turn the integer keys of optimizer states into strings.
        return {"items": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(item, tensors) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpack(value: Any, tensors: Tensors) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpack(item, tensors) for key, item in value["items"]}
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    return value
