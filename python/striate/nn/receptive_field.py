"""What of the image a unit sees: the inverse image of a chain of windows.

A layer with kernel k, dilation d, stride s and padding p, on maps whose units lie `jump` pixels
apart, see `field` pixels, and begin with one centred at `start`, makes maps with

    field' = field + d (k - 1) jump
    start' = start + (d (k - 1) / 2 - p) jump
    jump'  = jump s
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ops.arguments import padding_pairs, per_axis, sizes
from .activation import ACTIVATIONS, LogSoftmax, Softmax
from .container import Sequential
from .conv import _Conv
from .dropout import _Dropout
from .group_norm import GroupNorm, LayerNorm, LocalResponseNorm, _InstanceNorm
from .linear import Identity
from .module import Module
from .norm import _BatchNorm
from .pad import _Pad
from .pool import ChannelMaxPool, _LPPool, _SumPool, _WeightedPool
from .resize import GlobalAvgPool, GlobalMaxPool, ZeroPad, _AvgPool, _MaxPool
from .shuffle import ChannelShuffle
from .trace import Call, shape_of, trace

_POOLS = (_MaxPool, _AvgPool, _SumPool, _LPPool, _WeightedPool)
_PIXELWISE = (
    *ACTIVATIONS,
    *(Identity, _Dropout, ChannelMaxPool, ChannelShuffle, LocalResponseNorm),
    *(_BatchNorm, GroupNorm, LayerNorm, _InstanceNorm),
)
_Windows = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class ReceptiveField(NamedTuple):
    """What the units of a layer's maps see; every tuple has an entry for each spatial axis.

    `size` is that of the maps, `jump` the distance of neighbouring units in pixels of the image,
    `field` the pixels that each sees, and `start` the place of the first unit's centre, where pixel
    i reaches from i to i + 1. `image` is the size of the image, `name` the layer's in its network.
    """

    name: str
    size: tuple[int, ...]
    jump: tuple[int, ...]
    field: tuple[int, ...]
    start: tuple[float, ...]
    image: tuple[int, ...]

    def edges(self, unit: Any) -> tuple[tuple[float, float], ...]:
        """(first, last) edge of what a unit sees along each axis, as far as there is an image.

        Parameters
        ----------
        unit : tuple of int
            Its place on the map, one index for each spatial axis.

        Raises
        ------
        TypeError, ValueError
            No indices, or a place beside the map.
        """
        place = sizes("ReceptiveField.edges", "unit", unit)
        inside = all(0 <= i < n for i, n in zip(place, self.size, strict=False))
        if len(place) != len(self.size) or not inside:
            raise ValueError(
                f"ReceptiveField.edges: unit must lie on the map of {self.size}, got {unit!r}"
            )
        pairs = []
        for i, jump, field, start, n in zip(
            place, self.jump, self.field, self.start, self.image, strict=True
        ):
            centre = start + i * jump
            first, last = centre - field / 2, centre + field / 2
            pairs.append((min(max(first, 0.0), float(n)), max(min(last, float(n)), 0.0)))
        return tuple(pairs)

    def pixels(self, unit: Any) -> tuple[slice, ...]:
        """The pixels that a unit sees, as slices of the image's spatial axes."""
        return tuple(slice(round(first), round(last)) for first, last in self.edges(unit))


def receptive_field(network: Module, input_shape: Any) -> list[ReceptiveField]:
    """What of the image the units of each layer see, for a chain of layers.

    Parameters
    ----------
    network : Module
        Convolutions, pools, paddings and those layers of `striate.nn` that work on each pixel
        alone, called one after the other. What a normalisation gathers over the map is not counted.
    input_shape : tuple of int
        (C, spatial...) of the image.

    Returns
    -------
    list of ReceptiveField
        The image itself, then one for each call of a layer. ``fields[2].edges((1, 1))`` are the
        edges of what unit (1, 1) of the second layer sees, ``.pixels`` the same as slices.

    Raises
    ------
    TypeError, ValueError
        No Module; a layer that is not known to be a window (transposed convolution, resizing,
        linear, a reflected or wrapped rim, a layer of your own: take the part of the network
        before it); no chain of layers.

    References
    ----------
    Lecture 003, "Receptive field as we go deeper".

    Examples
    --------
    >>> from striate import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, rng=0), nn.MaxPool2d(3, 2, 1))
    >>> image, conv, pool = nn.receptive_field(network, (3, 256, 256))
    >>> pool.jump, pool.field, pool.edges((0, 0))
    ((4, 4), (11, 11), ((0.0, 6.0), (0.0, 6.0)))
    """
    shape = sizes("receptive_field", "input_shape", input_shape)
    if not 2 <= len(shape) <= 4:
        raise ValueError(
            f"receptive_field: input_shape must be (C, spatial...), with 1 to 3 spatial axes, "
            f"got {shape}"
        )
    image, rank = shape[1:], len(shape) - 1
    fields = [ReceptiveField("", image, (1,) * rank, (1,) * rank, (0.5,) * rank, image)]
    before: Any = None
    for call in trace("receptive_field", network, shape):
        if before is not None and call.input is not before:
            raise ValueError(
                f"receptive_field: {_called(call)} is not called on the result of the layer "
                "before it; only chains of layers have one window a unit"
            )
        before = call.output[0] if isinstance(call.output, tuple) else call.output
        fields.append(_through(call, fields[-1]))
    return fields


def _called(call: Call) -> str:
    kind = type(call.layer).__name__
    return f"layer {call.name!r} ({kind})" if call.name else kind


def _through(call: Call, last: ReceptiveField) -> ReceptiveField:
    kernel, stride, dilation, before = _windows(call, last.size)
    size = shape_of(call.output)[1:]
    axes = range(len(size))
    reach = [dilation[i] * (kernel[i] - 1) for i in axes]
    return ReceptiveField(
        call.name,
        size,
        tuple(last.jump[i] * stride[i] for i in axes),
        tuple(last.field[i] + reach[i] * last.jump[i] for i in axes),
        tuple(last.start[i] + (reach[i] / 2 - before[i]) * last.jump[i] for i in axes),
        last.image,
    )


def _windows(call: Call, size: tuple[int, ...]) -> _Windows:
    """(kernel, stride, dilation, padding before the first pixel) of a layer on maps of `size`."""
    layer, name, rank = call.layer, "receptive_field", len(size)
    one, none = (1,) * rank, (0,) * rank
    given, result = shape_of(call.input), shape_of(call.output)
    if len(result) != rank + 1:  # as of the maps of all poses, side by side
        raise ValueError(_no_window(call))
    # What a reflected or wrapped rim shows lies elsewhere in the image than the rim.
    if isinstance(layer, _Conv) and (
        layer.padding_mode in ("zeros", "replicate") or set(layer.padding) <= {0}
    ):
        window = (layer.kernel_size, layer.stride, layer.dilation)
        pairs = padding_pairs(name, layer.padding, size, *window)
        return *window, tuple(low for low, _ in pairs)
    if isinstance(layer, _POOLS):
        kernel = per_axis(name, "kernel_size", layer.kernel_size, rank)
        stride = kernel if layer.stride is None else per_axis(name, "stride", layer.stride, rank)
        dilation = per_axis(name, "dilation", getattr(layer, "dilation", 1), rank)
        padding = getattr(layer, "padding", 0)
        pairs = padding_pairs(name, padding, size, kernel, stride, dilation)
        return kernel, stride, dilation, tuple(low for low, _ in pairs)
    if isinstance(layer, (GlobalAvgPool, GlobalMaxPool)):
        return size, size, one, none
    if isinstance(layer, ZeroPad):
        pairs = padding_pairs(name, layer.padding, size, one, one, one)
        return one, one, one, tuple(low for low, _ in pairs)
    if isinstance(layer, _Pad) and layer.mode in ("constant", "replicate"):
        return one, one, one, tuple(layer.padding[2 * i] for i in reversed(range(rank)))
    alone = isinstance(layer, _PIXELWISE)
    alone |= isinstance(layer, (Softmax, LogSoftmax)) and layer.dim in (1, -rank - 1)
    alone |= isinstance(layer, Sequential) and not len(layer)
    if alone and len(given) == rank + 1 and given[1:] == result[1:]:
        return one, one, one, none
    raise ValueError(_no_window(call))


def _no_window(call: Call) -> str:
    return (
        f"receptive_field: {_called(call)}, from {shape_of(call.input)} to "
        f"{shape_of(call.output)}, is not known to have a window that moves over the image; take "
        "the part of the network before it"
    )
