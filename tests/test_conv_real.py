"""Convolution on real numbers: the same bits for any thread count, and the float32 error bound.

The bound, elementwise: |got - want| <= gamma_K (|x| conv |w|) + K 2^-126, where
gamma_K = K u / (1 - K u), u = 2^-24, for K products in the sum (Higham, Accuracy and
Stability of Numerical Algorithms, 3.1).
"""

import numpy as np
import pytest
import reference as ref
import striate
from problems import conv_problem
from striate import _core
from test_conv_exact import functions_of

UNIT = 2.0**-24

# (input, weight, stride, padding, groups): enough work that threads are really used.
CASES = {
    "dense": ((4, 32, 28, 28), (48, 32, 3, 3), 1, 1, 1),
    "first": ((2, 3, 64, 64), (24, 3, 7, 7), 2, 3, 1),
    "pointwise": ((4, 64, 20, 20), (64, 64, 1, 1), 1, 0, 1),
    "strided": ((4, 24, 29, 31), (40, 24, 3, 3), 2, 1, 1),
    "grouped": ((4, 32, 24, 24), (32, 8, 3, 3), 1, 1, 4),
    "depthwise": ((4, 48, 28, 28), (48, 1, 3, 3), 1, 1, 48),
    "line": ((4, 16, 700), (24, 16, 9), 1, 4, 1),
    "volume": ((2, 8, 12, 12, 12), (16, 8, 3, 3, 3), 1, 1, 1),
}


def strict_window(stride, padding, groups, ndim):
    return {
        "stride": (stride,) * ndim,
        "padding": ((padding, padding),) * ndim,
        "dilation": (1,) * ndim,
        "groups": groups,
    }


def results(x, w, bias, g, window, **keywords):
    forward, input_grad, weight_grad = functions_of(x.ndim - 2)
    return {
        "forward": forward(x, w, bias, **window, **keywords),
        "input_grad": input_grad(x.shape, w, g, **window, **keywords),
        "weight_grad": weight_grad(x, w.shape, g, **window, **keywords),
        "bias_grad": striate.conv_bias_grad(g),
    }


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("exact", (True, False))
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("layout", (np.ascontiguousarray, channels_last))
@pytest.mark.parametrize("case", CASES)
def test_same_bits_for_any_thread_count(case, layout, dtype, exact, isas):
    input_shape, weight_shape, stride, padding, groups = CASES[case]
    rng = np.random.default_rng(7)
    window = strict_window(stride, padding, groups, len(input_shape) - 2)
    x, w, bias = (
        rng.standard_normal(s).astype(dtype) for s in (input_shape, weight_shape, weight_shape[0])
    )
    x = layout(x)
    g = layout(rng.standard_normal(functions_of(x.ndim - 2)[0](x, w, **window).shape).astype(dtype))
    for isa in isas:
        _core.set_isa(isa)
        striate.set_num_threads(1)
        want = results(x, w, bias, g, window, exact=exact)
        for threads in (2, 3, 4, 1):
            striate.set_num_threads(threads)
            got = results(x, w, bias, g, window, exact=exact)
            for name in want:
                assert got[name].tobytes() == want[name].tobytes(), f"{name} {isa} {threads=}"


def scaled_error(got, want, magnitude, terms):
    """Largest error as a fraction of what the bound allows; at most 1 is a pass."""
    terms = max(terms, 1)
    gamma = terms * UNIT / (1 - terms * UNIT)
    room = gamma * magnitude + terms * 2.0**-126
    return float(np.max(np.abs(got - want) / room, initial=0.0)) if np.size(want) else 0.0


def scaled_errors(x, w, g, window, got):
    x64, w64, g64 = (a.astype(np.float64) for a in (x, w, g))
    ax, aw, ag = np.abs(x64), np.abs(w64), np.abs(g64)
    pixels = g.shape[0] * np.prod(g.shape[2:], dtype=int)
    taps = np.prod(w.shape[2:], dtype=int)
    zero_bias = np.zeros(len(w))
    return {
        "forward": scaled_error(
            got["forward"],
            ref.conv_forward(x64, w64, zero_bias, **window),
            ref.conv_forward(ax, aw, zero_bias, **window),
            w.shape[1] * taps + 1,
        ),
        "input_grad": scaled_error(
            got["input_grad"],
            ref.conv_input_grad(x.shape, w64, g64, **window),
            ref.conv_input_grad(x.shape, aw, ag, **window),
            w.shape[0] // window["groups"] * taps,
        ),
        "weight_grad": scaled_error(
            got["weight_grad"],
            ref.conv_weight_grad(x64, w.shape, g64, **window),
            ref.conv_weight_grad(ax, w.shape, ag, **window),
            pixels,
        ),
        "bias_grad": scaled_error(
            got["bias_grad"], ref.conv_bias_grad(g64), ref.conv_bias_grad(ag), pixels
        ),
    }


@pytest.mark.parametrize("case", CASES)
def test_error_bound(case, isas, record_property):
    input_shape, weight_shape, stride, padding, groups = CASES[case]
    input_shape = (1, *input_shape[1:])
    rng = np.random.default_rng(8)
    window = strict_window(stride, padding, groups, len(input_shape) - 2)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (input_shape, weight_shape))
    bias = np.zeros(len(w), np.float32)
    g = rng.standard_normal(functions_of(x.ndim - 2)[0](x, w, **window).shape).astype(np.float32)
    for isa in isas:
        _core.set_isa(isa)
        errors = scaled_errors(x, w, g, window, results(x, w, bias, g, window, exact=True))
        record_property(isa, errors)
        assert max(errors.values()) <= 1, (isa, errors)


def test_error_bound_on_random_problems(isas):
    """Data over 30 orders of magnitude, so that products are denormal; 300 problems."""
    for index in range(300):
        problem = conv_problem(21, index)
        if problem.dtype is np.float64:
            continue
        rng = np.random.default_rng(index)
        x, w, g = (
            (rng.standard_normal(a.shape) * 10.0 ** rng.uniform(-20, 10, a.shape)).astype(a.dtype)
            for a in (
                np.empty(problem.input_shape, np.float32),
                np.empty(problem.weight_shape, np.float32),
                np.empty(problem.output_shape, np.float32),
            )
        )
        bias = np.zeros(len(w), np.float32)
        for isa in isas:
            _core.set_isa(isa)
            got = results(x, w, bias, g, problem.window, exact=True)
            errors = scaled_errors(x, w, g, problem.window, got)
            assert max(errors.values()) <= 1, f"{isa} {errors} {problem}"


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_nan_and_infinity_land_where_the_definition_puts_them(value, isas):
    """One bad pixel reaches the outputs whose window holds it, and no other."""
    rng = np.random.default_rng(9)
    window = strict_window(1, 1, 1, 2)
    x = rng.standard_normal((2, 5, 9, 11)).astype(np.float32)
    w = rng.uniform(0.5, 1.5, (19, 5, 3, 3)).astype(np.float32)
    x[1, 3, 4, 6] = value
    touched = np.zeros((2, 19, 9, 11), bool)
    touched[1, :, 3:6, 5:8] = True
    for isa in isas:
        _core.set_isa(isa)
        for layout in (np.ascontiguousarray, channels_last):
            y = striate.conv2d(layout(x), w, **window, exact=True)
            np.testing.assert_array_equal(~np.isfinite(y), touched)
            if not np.isnan(value):
                np.testing.assert_array_equal(y[touched], value)


@pytest.mark.parametrize("kernel", (3, 4, 5))
@pytest.mark.parametrize("channels, out_channels", ((16, 32), (37, 19), (8, 67)))
def test_weights_lie_in_memory_as_they_like(channels, out_channels, kernel, isas):
    """Packing by any road: the same bits."""
    rng = np.random.default_rng(channels + kernel)
    x = rng.standard_normal((2, channels, 9, 11)).astype(np.float32)
    w = rng.standard_normal((out_channels, channels, kernel, kernel)).astype(np.float32)
    for isa in isas:
        _core.set_isa(isa)
        for exact in (False, True):
            y = striate.conv2d(x, w, padding=1, exact=exact)
            dx = striate.conv2d_input_grad(x.shape, w, y, padding=1, exact=exact)
            form = {"padding": 1, "exact": exact, "memory_format": "contiguous"}
            for view in (channels_last(w), np.asfortranarray(w), w[::-1, ::-1].copy()[::-1, ::-1]):
                np.testing.assert_array_equal(striate.conv2d(x, view, **form), y)
                got = striate.conv2d_input_grad(x.shape, view, y, **form)
                np.testing.assert_array_equal(got, dx)


@pytest.mark.parametrize("kernel, stride, padding", ((11, 4, 0), (11, 4, 2), (7, 2, 3), (7, 2, 0)))
@pytest.mark.parametrize("last", (False, True))
def test_strides_as_channels(kernel, stride, padding, last, isas):
    """Sums of the phases of a strided layer, whichever algorithm runs inside."""
    rng = np.random.default_rng(kernel + padding)
    form = {"stride": stride, "padding": padding}
    x, w = rng.standard_normal((2, 3, 61, 58)), rng.standard_normal((64, 3, kernel, kernel))
    pads = ((padding, padding), (padding, padding))
    pairs = {"stride": (stride, stride), "padding": pads, "dilation": (1, 1)}
    y = ref.conv_forward(x, w, **pairs)
    g = rng.standard_normal(y.shape)
    dx = ref.conv_input_grad(x.shape, w, g, **pairs)
    dw = ref.conv_weight_grad(x, w.shape, g, **pairs)
    x, w, g = (a.astype(np.float32) for a in (x, w, g))
    if last:
        x, g = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (x, g))
    for isa in isas:
        _core.set_isa(isa)
        plan = striate.explain("conv2d_input_grad", x.shape, w.shape, stride, padding)
        assert plan["chosen"] == "polyphase"
        for got, want in (
            (striate.conv2d(x, w, **form), y),
            (striate.conv2d_input_grad(x.shape, w, g, **form), dx),
            (striate.conv2d_weight_grad(x, w.shape, g, **form), dw),
        ):
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-5 * np.abs(want).max())
