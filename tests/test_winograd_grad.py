"""The weight gradient by Winograd's algorithm, in each of its three orders of work.

Its rounding error may be four times that of direct summation, no more, and its bits do not depend
on the number of threads. (tests/native/check_conv.cc forces it over tails, strides and layouts.)
"""

import numpy as np
import pytest
import reference as ref
import striate
from striate import _core

# (input, output channels): how ops/conv_winograd_grad.cc goes through the work.
CASES = {
    "parts": ((4, 64, 56, 56), 64),
    "two chunks": ((2, 48, 40, 37), 100),
    "points": ((8, 128, 28, 28), 128),
    "batches": ((4, 130, 56, 56), 150),
    "chunks": ((2, 192, 14, 14), 160),
    "one image": ((1, 256, 14, 14), 256),
}
WINDOW = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def problem(case):
    (n, ic, h, w), oc = CASES[case]
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, ic, h, w), dtype=np.float32)
    g = rng.standard_normal((n, oc, h, w), dtype=np.float32)
    return x, (oc, ic, 3, 3), g


def weight_grad(x, shape, g, **keywords):
    return striate.conv2d_weight_grad(x, shape, g, padding=1, **keywords)


@pytest.mark.parametrize("case", CASES)
def test_chosen(case, isas):
    x, shape, _ = problem(case)
    for isa in isas:
        _core.set_isa(isa)
        plan = striate.explain("conv2d_weight_grad", x.shape, shape, padding=1)
        assert plan["chosen"].startswith("winograd"), isa


@pytest.mark.parametrize("layout", (np.ascontiguousarray, channels_last))
@pytest.mark.parametrize("case", CASES)
def test_error_at_most_four_times_that_of_direct_summation(case, layout, isas, record_property):
    x, shape, g = problem(case)
    x, g = layout(x), layout(g)
    want = ref.conv_weight_grad(x.astype(np.float64), shape, g.astype(np.float64), **WINDOW)
    for isa in isas:
        _core.set_isa(isa)
        error = np.abs(weight_grad(x, shape, g) - want)
        direct = np.abs(weight_grad(x, shape, g, exact=True) - want)
        rms, largest = np.sqrt(np.mean(error**2) / np.mean(direct**2)), error.max() / direct.max()
        record_property(isa, (rms, largest))
        assert 0 < rms <= 4 and largest <= 4, (isa, rms, largest)


@pytest.mark.parametrize("layout", (np.ascontiguousarray, channels_last))
@pytest.mark.parametrize("case", CASES)
def test_same_bits_for_any_thread_count(case, layout, isas):
    x, shape, g = problem(case)
    x, g = layout(x), layout(g)
    for isa in isas:
        _core.set_isa(isa)
        striate.set_num_threads(1)
        want = weight_grad(x, shape, g).tobytes()
        for threads in (2, 3):
            striate.set_num_threads(threads)
            assert weight_grad(x, shape, g).tobytes() == want, (isa, threads)


@pytest.mark.parametrize("case", CASES)
def test_any_strides_give_the_same_bits(case):
    x, shape, g = problem(case)
    want = weight_grad(x, shape, g).tobytes()
    room = np.full((*g.shape[:3], 2 * g.shape[3]), np.nan, np.float32)
    room[..., ::2] = g
    assert weight_grad(x, shape, room[..., ::2]).tobytes() == want
    flipped = np.ascontiguousarray(x[:, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    assert weight_grad(flipped, shape, g).tobytes() == want
