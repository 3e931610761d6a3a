"""Layers whose weight is kept packed, and the check that their results are those of its value."""

import numpy as np
import striate
from striate import nn, no_grad


def values(shape, dtype=np.float32, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def forms(parameter):
    packed = parameter.packed_weights()
    return None if packed is None else packed.forms


class Layer:
    """A layer whose weight was packed, and the check that its results are those of its values."""

    def __init__(self, module, x, plain):
        self.module, self.x, self.plain = module, x, plain
        self.check()
        assert forms(module.weight) > 0

    def check(self):
        x = self.x.astype(self.module.weight.dtype)
        with no_grad():
            for _ in range(2):
                got = self.module(x)
                weight, bias = self.module.weight.data, self.module.bias.data
                assert np.array_equal(got.data, self.plain(x, weight, bias))
        return got.data


def conv_layer():
    module = nn.Conv2d(16, 24, 3, padding=1, rng=1)
    return Layer(module, values((1, 16, 9, 9)), lambda x, w, b: striate.conv2d(x, w, b, 1, 1))


def transposed_layer():
    module = nn.ConvTranspose2d(16, 24, 3, stride=2, rng=1)
    return Layer(
        module, values((1, 16, 9, 9)), lambda x, w, b: striate.conv_transpose2d(x, w, b, 2)
    )


def strided_layer():
    module = nn.Conv2d(3, 32, 7, stride=2, padding=3, rng=1)
    return Layer(module, values((1, 3, 112, 112)), lambda x, w, b: striate.conv2d(x, w, b, 2, 3))


def linear_layer():
    return Layer(nn.Linear(30, 40, rng=1), values((2, 30)), striate.linear)


LAYERS = (conv_layer, transposed_layer, strided_layer, linear_layer)


def write(layer):
    with layer.module.weight.writing() as data:
        data *= 2
