"""How large a network is: shapes, parameters and multiply-adds, layer by layer."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .conv import _Conv, _ConvTranspose
from .invariant import TransformInvariantConv2d
from .linear import Linear
from .module import Module
from .trace import Call, shape_of, trace


class LayerSummary(NamedTuple):
    """One call of a layer; shapes and numbers are those of one image.

    `name` is the layer's in its network, `kind` its class; `input_shape` and `output_shape` are
    without the batch; of its `parameters` so many are `trainable`, and `buffers` are saved but not
    learnt; `multiply_adds` are those of a convolution or linear layer. A layer that has parameters
    and is not `called` has no shapes and no multiply-adds.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    buffers: int
    multiply_adds: int
    called: bool = True

    @property
    def activations(self) -> int:
        """Numbers that the layer gives."""
        return math.prod(self.output_shape) if self.output_shape else 0


class Summary:
    """What `summary` returns: `rows`, one a call of a layer, and their sums; prints as a table.

    Layers with parameters that are not called come last, each with a row that says so.
    `parameter_bytes` is the memory that all parameters take.
    """

    def __init__(self, rows: tuple[LayerSummary, ...], parameter_bytes: int) -> None:
        self.rows = rows
        self.parameter_bytes = parameter_bytes

    @property
    def parameters(self) -> int:
        """Learnt numbers, each counted once however often its layer is called."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Those of them whose gradients are computed."""
        return sum(row.trainable for row in self.rows)

    @property
    def buffers(self) -> int:
        """Numbers kept and not learnt, such as running statistics; Keras counts them as well."""
        return sum(row.buffers for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of all convolutions and linear layers, for one image."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output", "parameters", "multiply-adds")
        table = [
            (
                f"{row.name} ({row.kind})" if row.name else row.kind,
                " x ".join(map(str, row.output_shape)) if row.called else "not called",
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
            )
            for row in self.rows
        ]
        total = ("total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")
        widths = [max(map(len, column)) for column in zip(head, *table, total, strict=True)]
        lines = [_line(row, widths) for row in (head, *table, total)]
        rule = "-" * len(lines[0])
        lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
        lines.append(
            f"trainable: {self.trainable:,}   buffers: {self.buffers:,}   "
            f"parameters take {self.parameter_bytes / 2**20:,.1f} MiB"
        )
        return "\n".join(lines)

    __repr__ = __str__


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    texts = [cell.ljust(w) for cell, w in zip(row[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(w) for cell, w in zip(row[2:], widths[2:], strict=True)]
    return "  ".join(texts + numbers)


def summary(network: Module, input_shape: Any, *, batch_size: int = 0) -> Summary:
    """Count a network's parameters, output sizes and multiply-adds, layer by layer.

    Only shapes are computed: the network runs on a batch of no images. Together with
    `striate.nn.shapes_only` networks of any size can be counted in no memory.

    Parameters
    ----------
    network : Module
        Left as it is; called in evaluation mode.
    input_shape : tuple of int
        (C, spatial...) of one image.
    batch_size : int
        Images to run it on. A network that cannot take an empty batch (one that reshapes to
        ``(len(x), -1)``) needs 1.

    Returns
    -------
    Summary
        ``rows`` has a `LayerSummary` for each call of a layer, without the batch in its shapes;
        ``parameters``, ``trainable``, ``buffers`` (floating ones) and ``multiply_adds`` are sums.
        It prints as a table. Parameters that are called again count in their first row only;
        those of layers that are not called count too, in rows at the end.

    Raises
    ------
    TypeError, ValueError
        No Module; a shape that the network refuses.

    Notes
    -----
    A convolution makes one multiply-add for each output and each weight of its filter,
    ``outputs * (C / groups) * K``, in each pose of a transform-invariant one; a transposed one the
    same for each input; a linear layer ``outputs * in_features``. Other layers count as none.

    References
    ----------
    Lectures 000, 002 and 003: the tables of AlexNet, VGG16, Inception and Fashion-MNIST's network.

    Examples
    --------
    >>> from striate import nn
    >>> counted = nn.summary(nn.Conv2d(16, 32, 3, padding=1, rng=0), (16, 64, 64))
    >>> counted.parameters, counted.multiply_adds
    (4640, 18874368)
    """
    seen: set[int] = set()
    rows = [_row(call, seen) for call in trace("summary", network, input_shape, batch_size)]
    for name, module in network.named_modules():
        row = _row(Call(name, module, None, None), seen)  # of what no call has shown
        if row.parameters or row.buffers:
            rows.append(row._replace(multiply_adds=0, called=False))
    return Summary(tuple(rows), sum(p.data.size * p.dtype.itemsize for p in network.parameters()))


def _row(call: Call, seen: set[int]) -> LayerSummary:
    layer, own = call.layer, []
    for value in (*layer._parameters.values(), *layer._buffers.values()):
        if value is not None and id(value) not in seen:
            seen.add(id(value))
            own.append(value)
    learnt = [value for value in own if not isinstance(value, np.ndarray)]
    kept = [value for value in own if isinstance(value, np.ndarray) and value.dtype.kind == "f"]
    given, result = shape_of(call.input), shape_of(call.output)
    return LayerSummary(
        call.name,
        type(layer).__name__,
        given,
        result,
        sum(parameter.size for parameter in learnt),
        sum(parameter.size for parameter in learnt if parameter.requires_grad),
        sum(buffer.size for buffer in kept),
        _multiply_adds(layer, given, result),
    )


def _multiply_adds(layer: Module, given: tuple[int, ...], result: tuple[int, ...]) -> int:
    if isinstance(layer, _Conv):
        products = math.prod(result) * layer.weight.size // layer.out_channels
        pooled = isinstance(layer, TransformInvariantConv2d) and layer.pool is not None
        return products * layer.transforms if pooled else products
    if isinstance(layer, _ConvTranspose):
        return math.prod(given) * layer.weight.size // layer.in_channels
    if isinstance(layer, Linear):
        return math.prod(result) * layer.in_features
    return 0
