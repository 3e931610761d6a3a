"""The memory format is read from the strides, ignoring axes of size 1, and results keep it.

The table gives shape and layout of input and weight, the keyword, and the format of the result. On
a tie (the strides fit both formats, as for grayscale images) the weight decides, else C-contiguous.
"""

import numpy as np
import pytest
import striate
from striate import _core

LAST, FIRST = "channels_last", "contiguous"


def array(shape, layout):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 7
    if layout == FIRST:
        return x
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def is_laid_out(x, layout):
    """Whether the bytes of x lie in that order, by its contiguous flags alone."""
    return (x if layout == FIRST else np.moveaxis(x, 1, -1)).flags.c_contiguous


@pytest.mark.parametrize(
    "shape, layout, read_as",
    (
        ((2, 3, 4, 5), FIRST, FIRST),
        ((2, 3, 4, 5), LAST, LAST),
        ((2, 3, 4), LAST, LAST),
        ((2, 3, 4, 5, 6), LAST, LAST),
        ((1, 3, 4, 5), LAST, LAST),
        ((2, 1, 4, 5), FIRST, FIRST),  # a tie: both orders have the same strides
        ((2, 1, 4, 5), LAST, FIRST),
        ((2, 3, 1, 1), LAST, FIRST),
        ((2, 3, 1, 5), LAST, LAST),
        ((1, 1, 1, 1), LAST, FIRST),
    ),
)
def test_reading(shape, layout, read_as):
    assert _core.memory_format(array(shape, layout)) == read_as


def test_reading_other_layouts():
    x = array((2, 3, 4, 5), FIRST)
    assert _core.memory_format(x[:, :, ::2]) == "other"
    assert _core.memory_format(x[..., ::-1]) == "other"
    assert _core.memory_format(np.broadcast_to(x[:, :1], x.shape)) == "other"
    assert _core.memory_format(x.transpose(0, 1, 3, 2)) == "other"


RESULTS = (
    # input shape, layout; weight layout; keyword; the result's layout
    ((2, 6, 8, 9), FIRST, FIRST, None, FIRST),
    ((2, 6, 8, 9), LAST, FIRST, None, LAST),
    ((2, 6, 8, 9), FIRST, LAST, None, FIRST),
    ((2, 6, 8, 9), LAST, LAST, None, LAST),
    ((2, 1, 8, 9), FIRST, LAST, None, FIRST),  # one channel in the weight too: no opinion
    ((2, 6, 8, 9), FIRST, FIRST, LAST, LAST),
    ((2, 6, 8, 9), LAST, FIRST, FIRST, FIRST),
    ((2, 1, 8, 9), LAST, FIRST, LAST, LAST),
    ((2, 6, 80), LAST, FIRST, None, LAST),
    ((2, 6, 4, 5, 6), LAST, FIRST, None, LAST),
    ((1, 6, 8, 9), LAST, FIRST, None, LAST),
)


@pytest.mark.parametrize("shape, layout, weight_layout, keyword, expected", RESULTS)
def test_convolution_result(shape, layout, weight_layout, keyword, expected):
    ndim = len(shape) - 2
    x = array(shape, layout)
    w = array((8, shape[1], *(3,) * ndim), weight_layout)
    y = getattr(striate, f"conv{ndim}d")(x, w, padding=1, memory_format=keyword)
    assert is_laid_out(y, expected), y.strides
    g = array(y.shape, layout)
    dx = getattr(striate, f"conv{ndim}d_input_grad")(shape, w, g, padding=1, memory_format=keyword)
    if shape[1] > 1:
        assert is_laid_out(dx, expected), dx.strides


def test_a_grayscale_image_takes_the_weights_format():
    """A tie in the input, pointwise in the batch of pixels: the weight (O, C, ...) speaks."""
    x = array((2, 1, 1, 9), FIRST)
    first = striate.conv2d(x, array((8, 1, 1, 3), FIRST), memory_format=None)
    assert is_laid_out(first, FIRST)
    pixel = array((2, 6, 1, 1), FIRST)  # one pixel: its strides fit both
    w = array((8, 6, 3, 3), LAST)
    assert is_laid_out(striate.conv2d(pixel, w, padding=2), LAST)
    assert is_laid_out(striate.conv2d(pixel, w.copy(order="C"), padding=2), FIRST)


OPS = {
    "max_pool2d": lambda x, **k: striate.max_pool2d(x, 2, **k),
    "avg_pool2d": lambda x, **k: striate.avg_pool2d(x, 2, **k),
    "downsample": lambda x, **k: striate.downsample(x, 2, **k),
    "upsample_zeros": lambda x, **k: striate.upsample_zeros(x, 2, **k),
    "nearest": lambda x, **k: striate.interpolate(x, scale_factor=2, **k),
    "bicubic": lambda x, **k: striate.interpolate(x, scale_factor=2, mode="bicubic", **k),
    "bilinear": lambda x, **k: striate.interpolate(x, scale_factor=2, mode="bilinear", **k),
    "grid_sample": lambda x, **k: striate.grid_sample(x, np.zeros((2, 3, 4, 2), np.float32), **k),
    "warp_affine": lambda x, **k: striate.warp_affine(x, np.ones((2, 2, 3), np.float32), **k),
    "pad": lambda x, **k: striate.pad(x, 1, **k),
    "pad reflect": lambda x, **k: striate.pad(x, 1, "reflect", **k),
    "sum_pool2d": lambda x, **k: striate.sum_pool2d(x, 2, **k),
    "max_unpool2d": lambda x, **k: striate.max_unpool2d(x, np.zeros(x.shape, int), 2, **k),
    "pixel_unshuffle": lambda x, **k: striate.pixel_unshuffle(x, 2, **k),
    "channel_shuffle": lambda x, **k: striate.channel_shuffle(x, 3, **k),
    "convolve": lambda x, **k: striate.convolve(x, array((4, 6, 3, 3), FIRST), **k),
    "conv_transpose2d": lambda x, **k: striate.conv_transpose2d(
        x, array((6, 3, 3, 3), FIRST), stride=2, **k
    ),
}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("layout", (FIRST, LAST))
def test_results_keep_the_format_and_the_keyword_forces_it(op, layout):
    x = array((2, 6, 8, 10), layout)
    kept = OPS[op](x)
    assert is_laid_out(kept, layout), kept.strides
    for forced in (FIRST, LAST):
        y = OPS[op](x, memory_format=forced)
        assert is_laid_out(y, forced), y.strides
        np.testing.assert_array_equal(y, kept)


@pytest.mark.parametrize("layout", (FIRST, LAST))
def test_other_ops_keep_the_format(layout):
    x = array((2, 6, 8, 10), layout)
    zeros, ones = np.zeros(6, np.float32), np.ones(6, np.float32)
    for y in (
        striate.relu(x),
        striate.leaky_relu(x),
        striate.sigmoid(x),
        striate.tanh(x),
        striate.lp_pool2d(x, 2, 2),
        striate.weighted_pool2d(x, 3),
        striate.channel_max_pool(x, 3),
        striate.adaptive_avg_pool2d(x, 3),
        striate.adaptive_max_pool2d(x, 3),
        striate.gelu(x),
        striate.relu6(x),
        striate.prelu(x, ones),
        striate.dropout2d(x),
        striate.batch_norm(x, zeros, ones),
        striate.batch_norm(x, zeros, ones, training=True),
    ):
        assert is_laid_out(y, layout), y.strides


@pytest.mark.parametrize("layout", (FIRST, LAST))
@pytest.mark.parametrize("pool", (striate.global_avg_pool, striate.global_max_pool))
def test_the_gradient_of_a_pool_has_the_inputs_format(pool, layout):
    """Also where the pool's result is one pixel, which lies the same in both formats."""
    x = striate.Tensor(array((2, 6, 8, 10), layout), requires_grad=True)
    y = pool(x)
    (half,) = striate.grad((y * y).sum(), [x])
    assert is_laid_out(half, layout), half.strides
