"""Averages of the weights along the way: often better than the last ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from ..ops.arguments import real
from .optimizer import Array

Average = Callable[[Array, Array, int], Any]


def _equal(averaged: Array, current: Array, count: int) -> Any:
    return averaged + (current - averaged) / averaged.dtype.type(count + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average ``decay * averaged + (1 - decay) * current``."""
    decay = real("get_ema_avg_fn", "decay", decay)
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"get_ema_avg_fn: decay must be in [0, 1], got {decay}")

    def average(averaged: Array, current: Array, count: int) -> Any:
        number = averaged.dtype.type
        return averaged * number(decay) + current * number(1.0 - decay)

    return average


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's.

    Parameters
    ----------
    model : Module
        Copied; the copy is `module`, and calls go to it.
    avg_fn : callable, optional
        ``(averaged, current, number of models so far) -> averaged``; by default all count the same
        (Izmailov et al. 2018). See `get_ema_avg_fn`.
    use_buffers : bool
        Whether floating buffers, such as running statistics, are averaged too. Else they are those
        of the model at the last update: call `update_bn` in the end.

    Attributes
    ----------
    n_averaged : ndarray of int64
        The models so far, a buffer.
    """

    def __init__(
        self, model: Module, avg_fn: Average | None = None, use_buffers: bool = False
    ) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", np.zeros((), np.int64))
        self.avg_fn = _equal if avg_fn is None else avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average; the first are copied.

        Raises
        ------
        ValueError
            A model of other parameters or buffers; nothing has changed then.
        """
        own, other = dict(self.module.named_parameters()), dict(model.named_parameters())
        kept, buffers = dict(self.module.named_buffers()), dict(model.named_buffers())
        for kind, mine, given in (("parameters", own, other), ("buffers", kept, buffers)):
            shapes = [{name: v.shape for name, v in members.items()} for members in (mine, given)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"AveragedModel: the model has other {kind} than the average")
        count = int(self.n_averaged)
        for name, parameter in own.items():
            current = other[name].data
            parameter.assign(self.avg_fn(parameter.data, current, count) if count else current)
        for name, buffer in kept.items():
            current = buffers[name]
            if self.use_buffers and count and buffer.dtype.kind == "f":
                current = self.avg_fn(buffer, current, count)
            np.copyto(buffer, current)
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Recompute the running statistics of all batch norms from the data: averaged weights need
    statistics of their own.

    Parameters
    ----------
    loader : iterable
        Of batches: inputs, or tuples that begin with them.
    model : Module
        Its batch norms begin anew, and average all batches equally; frozen ones stay as they are.
        Modes are as before in the end. So are the statistics if the loader is empty, or it or the
        model raises.
    """
    kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
    norms = [
        module
        for module in model.modules()
        if isinstance(module, kinds) and module.track_running_stats and not module.frozen
    ]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    before = [norm.state_dict() for norm in norms]
    finished = seen = False
    for norm in norms:
        norm.running_mean[...] = 0
        norm.running_var[...] = 1
        norm.num_batches_tracked[...] = 0
        norm.momentum = None
    try:
        model.train()
        with no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, (tuple, list)) else batch)
                seen = True
        finished = True
    finally:
        for norm, momentum, state in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            if not (finished and seen):
                for name, buffer in norm.named_buffers():
                    np.copyto(buffer, state[name])
        for module, training in modes:
            module.training = training
