"""Training that survives a kill: a checkpoint kept up to date, from which the next run goes on.

The file holds everything the rest of the training depends on: parameters, buffers, the optimizer's
and the schedule's numbers, the state of every random generator (loaders', dropout layers'), the
epoch's permutation, the place in it, the sums of the running epoch and the history. A run that was
killed anywhere and resumed has at its end the very bits of one that was left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import nn
from striate.data import Normalize

from .checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from .loop import Loop


class CheckpointFile:
    """Where `fit` keeps a run, and whether it goes on from there.

    Every save replaces the file in one step; if it fails (a full disk), OSError leaves `fit` and
    the previous save stays whole. Ctrl-C and kill leave the last save.

    Parameters
    ----------
    path
        The file.
    every
        Save after so many batches of an epoch, and again at its end; None: at its end only.
    resume
        Go on from the file if it is there; otherwise begin at the beginning, and replace it.
    settings
        Plain values by name that a resumed run must have in common with the saved one, such as
        seed, learning rate and augmentation.
    architecture, classes, normalize
        As `Checkpoint`'s; without an architecture the file resumes runs, but cannot build a model.

    Attributes
    ----------
    saved
        (finished epochs, batches of the next one) in the file; None before this run's first save.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int | None = None,
        resume: bool = False,
        settings: Mapping[str, Any] | None = None,
        architecture: str | None = None,
        classes: Sequence[str] = (),
        normalize: Normalize | None = None,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"CheckpointFile: every must be at least 1, got {every}")
        self.path, self.every, self.resume = Path(path), every, resume
        # As they come back from a file: a pair is a list there.
        self.settings = json.loads(json.dumps(dict(settings or {})))
        self.architecture, self.classes, self.normalize = architecture, tuple(classes), normalize
        self.saved: tuple[int, int] | None = None

    def is_due(self, batch: int) -> bool:
        """Whether to save after `batch` batches of an epoch."""
        return self.every is not None and batch % self.every == 0

    def save(self, loop: Loop) -> None:
        """Replace the file by the state of `loop`."""
        save_checkpoint(
            self.path,
            Checkpoint(
                architecture=self.architecture,
                classes=self.classes,
                normalize=self.normalize,
                epoch=len(loop.history),
                state=loop.model.state_dict(),
                training={"settings": self.settings, **loop.state_dict()},
            ),
        )
        self.saved = len(loop.history), loop.batch

    def restore(self, loop: Loop) -> None:
        """Bring `loop` to where the file left off, if it is to resume and the file is there.

        Raises
        ------
        FileNotFoundError
            Its folder is not there, so that nothing could be saved.
        CheckpointError
            The file is damaged, or of a run with other settings or another model.
        """
        check_folder("CheckpointFile", self.path)
        if not self.resume or not self.path.exists():
            return
        checkpoint = load_checkpoint(self.path)
        state = checkpoint.training
        if state is None or "settings" not in state:
            raise CheckpointError(f"{self.path} has weights only, no run could go on from it")
        settings = state["settings"]
        names = sorted({*settings, *self.settings})
        differ = [
            f"{name} {settings.get(name)!r}, not {self.settings.get(name)!r}"
            for name in names
            if not _same(settings.get(name), self.settings.get(name))
        ]
        if differ or checkpoint.architecture != self.architecture:
            differ = differ or [f"architecture {checkpoint.architecture}, not {self.architecture}"]
            raise CheckpointError(f"{self.path} is of another run: it has {'; '.join(differ)}")
        try:
            loop.model.load_state_dict(checkpoint.state)
            loop.load_state_dict(state)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise CheckpointError(f"{self.path} cannot be resumed by this run: {error}") from error
        self.saved = len(loop.history), loop.batch
        for aside in self.path.parent.iterdir():  # of saves that were killed halfway
            if aside.name.startswith(f".{self.path.name}.") and aside.suffix == ".tmp":
                aside.unlink()


def check_folder(op: str, path: str | os.PathLike[str]) -> None:
    """Raise unless a file may be put at `path`: before an epoch rather than after it."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{op}: {path} cannot be written, {folder} is no folder")


def _same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; NaN, which equals nothing, is the same as NaN."""
    return bool(one == other) or json.dumps(one) == json.dumps(other)


def _generators(model: nn.Module) -> Iterator[tuple[str, np.random.Generator]]:
    """(dotted name, generator) for every generator that is an attribute of a module."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if isinstance(value, np.random.Generator):
                yield f"{name}.{attribute}" if name else attribute, value


def save_generators(model: nn.Module) -> dict[str, Any]:
    """States of all generators in `model`, such as its dropout layers'."""
    return {name: generator.bit_generator.state for name, generator in _generators(model)}


def load_generators(model: nn.Module, states: Mapping[str, Any]) -> None:
    """Take up what `save_generators` returned for a model of the same layers."""
    own = dict(_generators(model))
    if own.keys() != states.keys():
        raise ValueError(f"it was saved with generators {sorted(states)}, there are {sorted(own)}")
    for name, generator in own.items():
        generator.bit_generator.state = states[name]
