"""Which layers a network calls, in which order, with which shapes.

The network runs on a batch of no images. All shapes are then known, from the same code that runs
on real ones, and nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, no_grad
from ..ops.arguments import integer, sizes
from .module import Module


class Call(NamedTuple):
    """One call of a layer."""

    name: str
    layer: Module
    input: Any
    output: Any


def trace(op: str, network: Module, input_shape: Any, batch_size: int = 0) -> list[Call]:
    """The calls of all layers of `network` in evaluation mode, in the order of their results.

    A layer is a module without modules in it, or one with parameters of its own. `input_shape` is
    (C, spatial...), without the batch. `op` names the caller in errors.
    """
    if not isinstance(network, Module):
        raise TypeError(f"{op}: needs a Module, got {type(network).__name__}")
    shape = sizes(op, "input_shape", input_shape)
    batch = integer(op, "batch_size", batch_size)
    if min((*shape, batch)) < 0:
        raise ValueError(f"{op}: sizes must not be negative, got {batch}, {shape}")
    dtype = next((p.dtype for p in network.parameters()), np.dtype(np.float32))
    calls: list[Call] = []
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if module._parameters or not any(True for _ in module.children())
    ]
    modes = [(module, module.training) for module in network.modules()]
    try:
        for module, _ in modes:
            module.training = False
        with _overheard(layers, calls.append), no_grad():
            network(np.zeros((batch, *shape), dtype))
    finally:
        for module, training in modes:
            module.training = training
    return calls


@contextmanager
def _overheard(layers: list[tuple[str, Module]], heard: Callable[[Call], None]) -> Iterator[None]:
    """Every call of a layer is told to `heard` as well."""

    def listening(name: str, layer: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            heard(Call(name, layer, args[0] if args else None, output))
            return output

        return call

    # An attribute of the object hides the method of its class; it may have one already.
    former = [vars(layer).get("forward") for _, layer in layers]
    for name, layer in layers:
        vars(layer)["forward"] = listening(name, layer, layer.forward)
    try:
        yield
    finally:
        for (_, layer), forward in zip(layers, former, strict=True):
            if forward is None:
                del vars(layer)["forward"]
            else:
                vars(layer)["forward"] = forward


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array or Tensor without its batch; of the first, where there are several."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    return tuple(value.shape[1:]) if isinstance(value, (np.ndarray, Tensor)) else ()
