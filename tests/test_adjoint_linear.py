"""Adjoint identity of every linear op: <f(x), g> = <x, gradient of <f(.), g>>, in one table.

Stronger than finite differences: no step, no tolerance for truncation. Convolutions have theirs,
for every algorithm, in `test_conv_adjoint.py`.
"""

import numpy as np
import pytest
import striate
from striate import Tensor, grad

RNG = np.random.default_rng(0)
_, WHERE = striate.max_pool2d(
    RNG.permutation(2 * 4 * 144).reshape(2, 4, 12, 12) * 1.0, 2, return_indices=True
)
GRID = RNG.uniform(-1.2, 1.2, (2, 5, 4, 2))
MAPS = RNG.uniform(-1, 1, (2, 2, 3))

LINEAR = {
    **{
        f"pad {mode}": lambda x, mode=mode: striate.pad(x, ((1, 2), (2, 1)), mode=mode)
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "downsample": lambda x: striate.downsample(x, (2, 4)),
    "upsample_zeros": lambda x: striate.upsample_zeros(x, (2, 3)),
    "avg_pool2d": lambda x: striate.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "sum_pool2d": lambda x: striate.sum_pool2d(x, 3, 2),
    "weighted_pool2d": lambda x: striate.weighted_pool2d(x, 3, 1, 1),
    "global_avg_pool": striate.global_avg_pool,
    "adaptive_avg_pool2d": lambda x: striate.adaptive_avg_pool2d(x, (4, 5)),
    "max_unpool2d": lambda x: striate.max_unpool2d(x, WHERE, 2),
    "pixel_shuffle": lambda x: striate.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: striate.pixel_unshuffle(x, (2, 3)),
    "channel_shuffle": lambda x: striate.channel_shuffle(x, 2),
    "unfold": lambda x: striate.unfold(x, 3, 1, 1, 2),
    "fold": lambda x: striate.fold(x.reshape(2, 4, 36), (7, 7), 2),
    "convolve": lambda x: striate.convolve(x, np.ones((3, 4, 3, 3)), padding="full"),
    "linear": lambda x: striate.linear(x, np.arange(30.0).reshape(5, 6)),
    "to_nhwc": striate.to_nhwc,
    "grid_sample": lambda x: striate.grid_sample(x, GRID, padding_mode="border"),
    "warp_affine": lambda x: striate.warp_affine(x, MAPS),
    **{
        f"interpolate {mode}": lambda x, mode=mode: striate.interpolate(x, (9, 4), mode=mode)
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    },
}


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", LINEAR)
def test_adjoint_identity(name, layout):
    f = LINEAR[name]
    x = RNG.integers(-8, 9, (2, 4, 6, 6)).astype(np.float64)
    if layout == "channels_last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    leaf = Tensor(x, requires_grad=True)
    y = f(leaf)
    g = RNG.integers(-8, 9, y.shape).astype(np.float64)
    (back,) = grad(y, [leaf], g)
    assert back.shape == x.shape
    left, right = np.vdot(y.data, g), np.vdot(x, back)
    assert abs(left - right) <= 1e-12 * np.abs(y.data * g).sum()
    # Linear indeed: the identity says nothing about a constant.
    np.testing.assert_allclose(f(2 * x), 2 * np.asarray(f(x)), rtol=1e-13, atol=1e-12)
