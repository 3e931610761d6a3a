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
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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

# What Python raises on well-formed JSON of the wrong types, sizes and depths.
_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


class CheckpointError(ValueError):
    """A file is not a usable checkpoint; the message names the file and the reason."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what is needed to use it or to train on.

    Attributes
    ----------
    architecture
        Key of `striate.models.ARCHITECTURES`; None for a network that only its author can build.
    classes
        Names of the scores, in order; may be empty where there is no architecture.
    normalize
        What training did to the pixels before the model saw them, if it is known.
    epoch
        Finished epochs.
    state
        `model.state_dict()`.
    training
        Any nesting of dicts, lists, numbers, strings, None and arrays, such as the `state_dict()`
        of optimizer, schedule and loader.
    path
        The file it was loaded from, for messages.
    """

    architecture: str | None
    classes: tuple[str, ...]
    normalize: Normalize | None
    epoch: int
    state: Mapping[str, npt.NDArray[Any]]
    training: Mapping[str, Any] | None = None
    path: Path | None = field(default=None, compare=False)

    def model(self) -> nn.Module:
        """Build the architecture and load the weights; the model is in evaluation mode.

        Raises
        ------
        CheckpointError
            The weights are not those of the architecture with so many classes, or it has none.
        """
        if self.architecture is None:
            raise CheckpointError(
                f"{self.path or 'the checkpoint'} names no architecture: build the model and give "
                "it .state"
            )
        model = create_model(self.architecture, len(self.classes), rng=0)
        try:
            model.load_state_dict(self.state)
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.path or 'the checkpoint'}: the weights do not fit {self.architecture} "
                f"with {len(self.classes)} classes: {error}"
            ) from error
        model.eval()
        return model


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`; whatever goes wrong, a previous file there stays as it was.

    Raises
    ------
    CheckpointError
        `load_checkpoint` would not take the file, so it was not written.
    OSError
        The disk is full, the folder is missing or not writable.
    MissingExtraError
        safetensors is not installed.
    """
    safetensors = require("safetensors", extra="cli", purpose="writing a checkpoint")
    numpy_api = require("safetensors.numpy", extra="cli", purpose="writing a checkpoint")
    path = Path(path)
    tensors: Tensors = {name: _plain(np.asarray(v)) for name, v in checkpoint.state.items()}
    about = {
        "format": _FORMAT,
        "architecture": checkpoint.architecture,
        "classes": checkpoint.classes,
        "normalize": checkpoint.normalize and [checkpoint.normalize.mean, checkpoint.normalize.std],
        "epoch": checkpoint.epoch,
        "training": _pack(checkpoint.training, tensors),
    }
    about["sha256"] = _digest(tensors, about)
    try:
        # One entry, because safetensors writes several in random order.
        data = numpy_api.save(tensors, {_ENTRY: json.dumps(about)})
        # Read back first: the file about to be replaced may be the only good one.
        written = _decode(path, data)
    except (safetensors.SafetensorError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path} was not written, it could not be read: {error}") from error
    if written.state.keys() != checkpoint.state.keys():
        lost = sorted(checkpoint.state.keys() ^ written.state.keys())
        raise CheckpointError(f"{path} was not written: {', '.join(lost)} cannot name weights")
    write_atomically(path, [data])


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
    require("safetensors", extra="cli", purpose="reading a checkpoint")
    path = Path(path)
    return _decode(path, path.read_bytes())  # once: what is checked is what is used


def _decode(path: Path, data: bytes) -> Checkpoint:
    """The checkpoint that `data` is; `path` is for messages."""
    safetensors = require("safetensors", extra="cli", purpose="reading a checkpoint")
    numpy_api = require("safetensors.numpy", extra="cli", purpose="reading a checkpoint")
    try:
        tensors: Tensors = numpy_api.load(data)
    except KeyError as error:  # safetensors looks its dtype up in a table of NumPy's
        raise CheckpointError(
            f"{path} is not a checkpoint of striate: it has tensors of type {error}"
        ) from error
    except (safetensors.SafetensorError, *_MALFORMED) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    try:
        about = _about(data)
    except _MALFORMED as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    if about is None or about.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of striate")
    claimed = about.pop("sha256", None)
    try:
        found = _digest(tensors, about)
        if claimed == found:
            return _parse(path, tensors, about)
    except _MALFORMED as error:
        raise CheckpointError(f"{path} is not a valid checkpoint: {error}") from error
    raise CheckpointError(f"{path} is damaged: its SHA-256 is {found}, it claims {claimed}")


def _about(data: bytes) -> dict[str, Any] | None:
    """Our entry in the header, which is 8 bytes of length (little-endian), then JSON."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    about = json.loads(metadata[_ENTRY]) if _ENTRY in metadata else None
    return about if isinstance(about, dict) else None


def _plain(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`value` in C order and native bytes; safetensors writes the memory as it lies.

    Not ascontiguousarray, which gives scalars an axis.
    """
    return np.require(value, dtype=value.dtype.newbyteorder("="), requirements="C")


def _digest(tensors: Tensors, about: Mapping[str, Any]) -> str:
    """SHA-256 over `about`, then name, dtype, shape and bytes of each tensor by name."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _parse(path: Path, tensors: Tensors, about: Mapping[str, Any]) -> Checkpoint:
    """JSON to fields. The checksum shows no accident happened, not that the author was kind."""
    architecture = about["architecture"]
    if architecture is not None and architecture not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    classes = about["classes"]
    least = 0 if architecture is None else 1
    if not isinstance(classes, list) or not least <= len(classes) <= _MAX_CLASSES:
        raise ValueError("classes must be a list of names")
    if not all(isinstance(name, str) and name.isprintable() for name in classes):
        raise ValueError("class names must be printable text")  # they go to people's terminals
    normalize = None
    if about["normalize"] is not None or architecture is not None:
        mean, std = (  # numbers, or lists with one a channel
            tuple(map(float, value)) if isinstance(value, list) else float(value)
            for value in about["normalize"]
        )
        normalize = Normalize(mean, std)
    return Checkpoint(
        architecture=architecture,
        classes=tuple(classes),
        normalize=normalize,
        epoch=int(about["epoch"]),
        state={k: v for k, v in tensors.items() if not k.startswith(_TRAINING)},
        training=_unpack(about["training"], tensors),
        path=path,
    )


def _pack(value: Any, tensors: Tensors) -> Any:
    """`value` as JSON can say it; arrays move to `tensors` and leave their name behind."""
    if isinstance(value, np.ndarray):
        name = f"{_TRAINING}{len(tensors)}"
        tensors[name] = _plain(value)
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
