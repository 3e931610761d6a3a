"""Depthwise convolution: one channel in and out of each group, channels last and as planes.

On small integers every result equals the int64 oracle, over the tails of channels and columns,
strides, dilations and lopsided padding, whatever the instruction set and the number of threads.
"""

import itertools

import numpy as np
import pytest
import reference as ref
import striate
from striate import _core
from test_conv_real import channels_last

FORMATS = {"planes": np.ascontiguousarray, "channels_last": channels_last}
TAILS = (1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 67)


def window_of(stride, padding, dilation):
    return {"stride": stride, "padding": padding, "dilation": dilation}


def wrong_results(rng, shape, kernel, window, dtype, lay_out, machines):
    """Names of the results that differ from the oracle's."""
    channels = shape[1]
    keywords = {**window, "groups": channels}
    x, w = rng.integers(-3, 4, shape), rng.integers(-3, 4, (channels, 1, *kernel))
    bias = rng.integers(-3, 4, channels)
    y = ref.conv_forward(x, w, bias, **keywords)
    g = rng.integers(-3, 4, y.shape)
    dx = ref.conv_input_grad(x.shape, w, g, **keywords)
    dw = ref.conv_weight_grad(x, w.shape, g, **keywords)
    x, g = (lay_out(a.astype(dtype)) for a in (x, g))
    w, bias = w.astype(dtype), bias.astype(dtype)
    keywords["exact"] = True
    for machine in machines:
        if not np.array_equal(striate.conv2d(x, w, bias, **keywords), y):
            yield f"forward {machine}"
        if not np.array_equal(striate.conv2d_input_grad(x.shape, w, g, **keywords), dx):
            yield f"input_grad {machine}"
        if not np.array_equal(striate.conv2d_weight_grad(x, w.shape, g, **keywords), dw):
            yield f"weight_grad {machine}"


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("tail", TAILS)
def test_tails_of_channels_and_columns(tail, stride, layout, dtype, machines):
    rng = np.random.default_rng(tail)
    for shape in ((2, tail, 7, int(rng.integers(3, 40))), (1, int(rng.integers(4, 40)), 6, tail)):
        window = window_of((stride, stride), ((1, 1), (1, 1)), (1, 1))
        wrong = list(wrong_results(rng, shape, (3, 3), window, dtype, FORMATS[layout], machines))
        assert not wrong, (shape, wrong[:5])


# Kernel, stride, padding, dilation.
WINDOWS = (
    ((5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    ((5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1)),
    ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 7), (1, 2), ((0, 0), (3, 4)), (1, 1)),
    ((7, 1), (2, 1), ((5, 2), (0, 0)), (1, 1)),
    ((3, 4), (2, 2), ((0, 3), (3, 0)), (1, 1)),
    ((3, 3), (1, 1), ((2, 2), (3, 3)), (2, 3)),
    ((3, 3), (2, 2), ((3, 3), (3, 3)), (3, 3)),
    ((3, 3), (3, 3), ((1, 1), (1, 1)), (1, 1)),
    ((3, 3), (2, 2), ((1, 1), (1, 1)), (2, 2)),
    ((3, 3), (2, 2), ((0, 3), (1, 2)), (1, 1)),
    ((3, 3), (2, 2), ((2, 0), (1, 0)), (1, 1)),
    ((3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1)),
    ((4, 4), (1, 1), ((3, 3), (3, 3)), (1, 1)),
    ((9, 9), (1, 1), ((60, 80), (8, 30)), (1, 1)),
    ((11, 11), (1, 1), ((5, 5), (5, 5)), (1, 1)),
)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window, layout, machines):
    kernel, *rest = window
    rng = np.random.default_rng(len(str(window)))
    for shape in (
        (1, 20, 13, 19),
        (3, 9, 11, 12),
        (1, 5, 70, 11),
        (1, 4, 150, 81),
        (1, 130, 15, 12),
    ):
        wrong = wrong_results(
            rng, shape, kernel, window_of(*rest), np.float32, FORMATS[layout], machines
        )
        wrong = list(wrong)
        assert not wrong, (shape, wrong[:5])


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("stride", (1, 2))
def test_padding_takes_part(stride, layout, machines):
    """A weight of infinity times a zero of the padding is NaN."""
    x = FORMATS[layout](np.ones((1, 12, 9, 21), np.float32))
    for row, col in itertools.product(range(3), repeat=2):
        w = np.ones((12, 1, 3, 3), np.float32)
        w[:, :, row, col] = np.inf
        with np.errstate(invalid="ignore"):
            want = ref.conv_forward(
                x, w, groups=12, **window_of((stride,) * 2, ((1, 1), (1, 1)), (1, 1))
            )
        for machine in machines:
            got = striate.conv2d(x, w, stride=stride, padding=1, groups=12)
            np.testing.assert_array_equal(got, want, err_msg=f"{machine} {row} {col}")


@pytest.mark.parametrize("layout", FORMATS)
def test_bad_pixels_stay_where_they_are(layout, isas):
    """NaN reaches the outputs and the taps that see it, and no other channel, row or lane."""
    rng = np.random.default_rng(3)
    x, g = (FORMATS[layout](rng.standard_normal((2, 21, 9, 11)).astype(np.float32)) for _ in "xg")
    w = rng.standard_normal((21, 1, 3, 3)).astype(np.float32)
    x[1, 20, 8, 10] = np.nan
    touched = np.zeros(x.shape, bool)
    touched[1, 20, 7:, 9:] = True
    taps = np.zeros(w.shape, bool)
    taps[20, 0, 1:, 1:] = True  # the others never meet the last row or column
    for isa in isas:
        _core.set_isa(isa)
        y = striate.conv2d(x, w, padding=1, groups=21)
        np.testing.assert_array_equal(np.isnan(y), touched)
        dw = striate.conv2d_weight_grad(x, w.shape, g, padding=1, groups=21)
        np.testing.assert_array_equal(np.isnan(dw), taps)


@pytest.mark.parametrize("layout", ("contiguous", "channels_last"))
@pytest.mark.parametrize("direction", ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"))
def test_the_plan_chooses_it(direction, layout):
    for channels, size, stride in ((32, 112, 1), (64, 112, 2), (512, 14, 1), (1024, 7, 1)):
        plan = striate.explain(
            direction,
            (1, channels, size, size),
            (channels, 1, 3, 3),
            stride=stride,
            padding=1,
            groups=channels,
            memory_format=layout,
        )
        assert plan["chosen"] == "depthwise", (channels, size)
