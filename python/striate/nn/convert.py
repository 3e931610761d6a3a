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
from .container import Sequential
from .conv import Conv1d, Conv2d, Conv3d
from .linear import Flatten, Linear
from .module import Module

_CONV = {1: Conv1d, 2: Conv2d, 3: Conv3d}


def linear_to_conv(linear: Linear, input_size: Any) -> Module:
    """The convolution that computes what `linear` does on flattened maps of `input_size`.

    ``conv(x).reshape(N, -1) == linear(x.reshape(N, -1))`` for x of shape (N, C, *input_size).

    Parameters
    ----------
    linear : Linear
        Its weights are copied.
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
    conv.weight.assign(weight.reshape(conv.weight.shape))
    if linear.bias is not None:
        conv.bias.assign(linear.bias.data)
    conv.train(linear.training)
    return conv


def fully_convolutional(network: Sequential, input_shape: Any) -> Sequential:
    """`network` with its head of `Flatten` and `Linear` layers turned into convolutions.

    Parameters
    ----------
    network : Sequential
        Layers on images, one `Flatten`, then `Linear` layers and pointwise ones between them (a
        `Softmax` along axis 1). The Linear layers are copied, all others shared with the result.
    input_shape : tuple of int
        (C, spatial...) of the images that it was made for.

    Returns
    -------
    Sequential
        Of an image of that size it gives (N, classes, 1, ...), the same numbers; of larger ones a
        grid of predictions, each from the part of the image that the network would have seen.

    Raises
    ------
    TypeError, ValueError
        No `Flatten` among the layers, or one that does not flatten all but the batch.
    """
    op = "fully_convolutional"
    layers = list(network)
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Flatten)]
    if len(places) != 1:
        raise ValueError(f"{op}: the network must have one Flatten layer, found {len(places)}")
    flatten = layers[places[0]]
    shape = sizes(op, "input_shape", input_shape)
    dtype = next((p.dtype for p in network.parameters()), np.dtype(np.float32))
    features: Any = np.zeros((1, *shape), dtype)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    with no_grad():
        for layer in layers[: places[0]]:
            features = layer(features)
    for module, training in modes:
        module.training = training
    if flatten.start_dim != 1 or flatten.end_dim not in (-1, len(features.shape) - 1):
        raise ValueError(f"{op}: Flatten must join all axes but the first, got {flatten}")
    size = features.shape[2:]
    result: list[Module] = layers[: places[0]]
    for layer in layers[places[0] + 1 :]:
        if isinstance(layer, Linear):
            result.append(linear_to_conv(layer, size))
            size = (1,) * len(size)
        else:
            result.append(layer)
    return Sequential(*result)
