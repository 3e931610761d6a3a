"""Fully connected layers turned into convolutions, so that a classifier takes larger images.

A `Linear` layer on a flattened map of 7 x 7 pixels is a convolution with a 7 x 7 kernel that fits
in one place only. On a larger image it fits in many, and the network predicts once for each: a grid
of predictions, at the cost of one pass. Source: lectures 001 and 003.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import no_grad
from ..ops.arguments import sizes
from .activation import ACTIVATIONS, LogSoftmax, PReLU, Softmax
from .container import Sequential
from .conv import Conv1d, Conv2d, Conv3d
from .dropout import Dropout
from .linear import Flatten, Identity, Linear
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d

_CONV = {1: Conv1d, 2: Conv2d, 3: Conv3d}
_NORM = {1: BatchNorm1d, 2: BatchNorm2d, 3: BatchNorm3d}
_POINTWISE = (*ACTIVATIONS, Identity, Dropout)


def linear_to_conv(linear: Linear, input_size: Any) -> Module:
    """The convolution that computes what `linear` does on flattened maps of `input_size`.

    ``conv(x).reshape(N, -1) == linear(x.reshape(N, -1))`` for x of shape (N, C, *input_size).

    Parameters
    ----------
    linear : Linear
        Its weights are copied, and with them whether they are learnt or frozen.
    input_size : tuple of one to three ints
        Of the maps that were flattened; (1, 1) makes a pointwise convolution.

    Returns
    -------
    Conv1d, Conv2d or Conv3d
        With kernel `input_size` and C = in_features / prod(input_size) input channels.

    Raises
    ------
    TypeError, ValueError
        Another layer; maps that do not divide the features.
    """
    op = "linear_to_conv"
    if not isinstance(linear, Linear):
        raise TypeError(f"{op}: needs a Linear layer, got {type(linear).__name__}")
    kernel = sizes(op, "input_size", input_size)
    if not 1 <= len(kernel) <= 3 or min(kernel) < 1 or linear.in_features % np.prod(kernel):
        raise ValueError(
            f"{op}: input_size must be 1 to 3 positive ints whose product divides the "
            f"{linear.in_features} features, got {input_size!r}"
        )
    channels = linear.in_features // int(np.prod(kernel))
    weight = linear.weight.data
    conv = _CONV[len(kernel)](
        channels,
        linear.out_features,
        kernel,
        bias=linear.bias is not None,
        rng=0,  # drawn and overwritten
        dtype=weight.dtype,
    )
    _copy_state(linear, conv)
    return conv


def _copy_state(layer: Module, twin: Module) -> None:
    """Parameters, buffers and modes of a layer, for one with the same in other shapes."""
    for name, parameter in layer._parameters.items():
        if parameter is not None:
            copy = twin._parameters[name]
            copy.assign(parameter.data.reshape(copy.shape))
            copy.requires_grad = parameter.requires_grad
    for name, buffer in layer._buffers.items():
        twin._buffers[name] = None if buffer is None else np.array(buffer)
    twin.training, twin.frozen = layer.training, layer.frozen


def fully_convolutional(network: Sequential, input_shape: Any) -> Sequential:
    """`network` with its head of `Flatten` and `Linear` layers turned into convolutions.

    Parameters
    ----------
    network : Sequential
        Layers on images, one `Flatten`, then `Linear` layers and between them `BatchNorm1d`,
        `Softmax`, `LogSoftmax` and layers that work on each number alone (activations, `Dropout`).
        It may be nested. Linear and normalisation layers after the Flatten are copied, all others
        shared with the result.
    input_shape : tuple of int
        (C, spatial...) of the images that it was made for.

    Returns
    -------
    Sequential
        All layers in one row. Of an image of that size it gives (N, classes, 1, ...), the same
        numbers; of larger ones a grid of predictions, each from the part of the image that the
        network would have seen.

    Raises
    ------
    TypeError, ValueError
        No Sequential; no `Flatten` among the layers, or one that does not flatten all but the
        batch; no `Linear` after it, or a layer that would not compute the same on maps.
    """
    op = "fully_convolutional"
    if not isinstance(network, Sequential):
        raise TypeError(
            f"{op}: needs a Sequential, got {type(network).__name__}; make one of its parts, in "
            "the order in which they are called"
        )
    layers = _in_one_row(network)
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Flatten)]
    if len(places) != 1:
        raise ValueError(f"{op}: the network must have one Flatten layer, found {len(places)}")
    flatten = layers[places[0]]
    shape = sizes(op, "input_shape", input_shape)
    dtype = next((p.dtype for p in network.parameters()), np.dtype(np.float32))
    features: Any = np.zeros((1, *shape), dtype)
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        with no_grad():
            for layer in layers[: places[0]]:
                features = layer(features)
    finally:
        for module, training in modes:
            module.training = training
    if flatten.start_dim != 1 or flatten.end_dim not in (-1, len(features.shape) - 1):
        raise ValueError(f"{op}: Flatten must join all axes but the first, got {flatten}")
    size = features.shape[2:]
    result: list[Module] = layers[: places[0]]
    for layer in layers[places[0] + 1 :]:
        result.append(_on_maps(layer, size))
        if isinstance(layer, Linear):
            size = (1,) * len(size)
    if np.prod(size) > 1:
        raise ValueError(f"{op}: no Linear layer follows Flatten, on maps of {size}")
    return Sequential(*result)


def _in_one_row(network: Sequential) -> list[Module]:
    layers: list[Module] = []
    for layer in network:
        layers += _in_one_row(layer) if isinstance(layer, Sequential) else [layer]
    return layers


def _on_maps(layer: Module, size: tuple[int, ...]) -> Module:
    """What does to maps that were of `size` as `layer` does to them flattened."""
    if isinstance(layer, Linear):
        return linear_to_conv(layer, size)
    if isinstance(layer, _POINTWISE) and not (isinstance(layer, PReLU) and layer.weight.size > 1):
        return layer
    if np.prod(size) == 1:  # an axis of features has become that of channels
        if isinstance(layer, PReLU):
            return layer
        if isinstance(layer, (Softmax, LogSoftmax)) and layer.dim in (1, -1):
            return type(layer)(1)
        if isinstance(layer, BatchNorm1d):
            state: list[Any] = [*layer.parameters(), *layer.buffers(), np.ones(1, np.float32)]
            twin = _NORM[len(size)](
                layer.num_features,
                layer.eps,
                layer.momentum,
                layer.affine,
                layer.track_running_stats,
                dtype=state[0].dtype,
            )
            _copy_state(layer, twin)
            return twin
    raise ValueError(
        f"fully_convolutional: {layer} after Flatten, on maps of {size}, would not compute the "
        "same on larger ones"
    )
