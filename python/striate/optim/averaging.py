"""Averages of the weights along the way: often better than the last ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from .optimizer import Array

Average = Callable[[Array, Array, int], Any]


def _equal(averaged: Array, current: Array, count: int) -> Any:
    return averaged + (current - averaged) / averaged.dtype.type(count + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average ``decay * averaged + (1 - decay) * current``."""
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
        of the copy: call `update_bn` in the end.

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
            A model of other parameters; nothing has changed then.
        """
        own, other = dict(self.module.named_parameters()), dict(model.named_parameters())
        shapes = [{name: p.shape for name, p in members.items()} for members in (own, other)]
        if shapes[0] != shapes[1]:
            raise ValueError("AveragedModel: the model has other parameters than the average")
        count = int(self.n_averaged)
        for name, parameter in own.items():
            current = other[name].data
            parameter.assign(self.avg_fn(parameter.data, current, count) if count else current)
        buffers = dict(model.named_buffers())
        for name, buffer in self.module.named_buffers():
            current = buffers[name]
            if self.use_buffers and count and buffer.dtype.kind == "f":
                current = self.avg_fn(buffer, current, count)
            if self.use_buffers or not count:
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
        Its batch norms begin anew, and average all batches equally. Modes are as before in the
        end.
    """
    kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
    norms = [m for m in model.modules() if isinstance(m, kinds) and m.track_running_stats]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
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
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training
