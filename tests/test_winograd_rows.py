"""Winograd's convolution along the width alone, in all three directions.

Its rounding error may be four times that of direct summation, no more, and its bits do not depend
on the number of threads. (tests/native/check_conv.cc forces it over tails, strides and layouts;
tests/test_bench_harness.py over the layers of all case files.)
"""

import numpy as np
import pytest
import reference as ref
import striate
from striate import _core

# (input shape, output channels, kernel, stride, padding): which way through the work.
CASES = {
    "long sums": ((2, 96, 28, 28), 96, (5, 5), (1, 1), (2, 2)),
    "short sums": ((2, 8, 60, 61), 16, (5, 5), (1, 1), (2, 2)),
    "blocks of channels": ((1, 300, 14, 14), 40, (5, 5), (1, 1), (2, 2)),
    "regions of a gradient": ((2, 16, 120, 121), 24, (5, 5), (1, 1), (2, 2)),
    "small images": ((9, 32, 7, 7), 64, (5, 5), (1, 1), (2, 2)),
    "stride 2": ((2, 130, 30, 31), 100, (3, 3), (2, 2), (1, 1)),
    "7 x 7, stride 2": ((2, 16, 21, 38), 24, (7, 7), (2, 2), (3, 3)),
    "stride of the height alone": ((2, 40, 27, 26), 48, (5, 4), (2, 1), (1, 0)),
    "no padding": ((2, 33, 19, 24), 35, (4, 5), (1, 1), (0, 0)),
}
WAYS = ("", "_input_grad", "_weight_grad")


def arrays(case, layout=np.ascontiguousarray):
    shape, oc, kernel, stride, padding = CASES[case]
    rng = np.random.default_rng(7)
    weight = rng.standard_normal((oc, shape[1], *kernel), dtype=np.float32)
    x = rng.standard_normal(shape, dtype=np.float32)
    window = {"stride": stride, "padding": padding}
    y = striate.conv2d(x, weight, **window)
    grad = rng.standard_normal(y.shape, dtype=np.float32)
    return layout(x), weight, layout(grad), window


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def run(way, x, weight, grad, window, **keywords):
    if way == "":
        return striate.conv2d(x, weight, **window, **keywords)
    if way == "_input_grad":
        return striate.conv2d_input_grad(x.shape, weight, grad, **window, **keywords)
    return striate.conv2d_weight_grad(x, weight.shape, grad, **window, **keywords)


def exact_result(way, x, weight, grad, window):
    x, weight, grad = (a.astype(np.float64) for a in (x, weight, grad))
    (ph, pw) = window["padding"]
    window = {**window, "padding": ((ph, ph), (pw, pw)), "dilation": (1, 1), "groups": 1}
    if way == "":
        return ref.conv_forward(x, weight, None, **window)
    if way == "_input_grad":
        return ref.conv_input_grad(x.shape, weight, grad, **window)
    return ref.conv_weight_grad(x, weight.shape, grad, **window)


def test_every_way_through_the_work_is_chosen_somewhere(isas):
    for isa in isas:
        _core.set_isa(isa)
        for way in WAYS:
            chosen = []
            for shape, oc, kernel, stride, padding in CASES.values():
                weight = (oc, shape[1], *kernel)
                window = {"stride": stride, "padding": padding}
                chosen.append(striate.explain(f"conv2d{way}", shape, weight, **window)["chosen"])
            assert chosen.count("winograd_rows") >= 4, (isa, way, chosen)


@pytest.mark.parametrize("layout", (np.ascontiguousarray, channels_last))
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_error_at_most_four_times_that_of_direct_summation(case, way, layout, isas):
    problem = arrays(case, layout)
    want = exact_result(way, *problem)
    for isa in isas:
        _core.set_isa(isa)
        error = np.abs(run(way, *problem) - want)
        direct = np.abs(run(way, *problem, exact=True) - want)
        rms, largest = np.sqrt(np.mean(error**2) / np.mean(direct**2)), error.max() / direct.max()
        assert 0 < rms <= 4 and largest <= 4, (isa, rms, largest)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_same_bits_for_any_thread_count(case, way, isas):
    for layout in (np.ascontiguousarray, channels_last):
        problem = arrays(case, layout)
        for isa in isas:
            _core.set_isa(isa)
            striate.set_num_threads(1)
            want = run(way, *problem).tobytes()
            for threads in (2, 3):
                striate.set_num_threads(threads)
                assert run(way, *problem).tobytes() == want, (isa, threads)


@pytest.mark.parametrize("case", ("short sums", "stride 2", "small images"))
def test_bias_addend_and_activation(case, isas):
    for layout in (np.ascontiguousarray, channels_last):
        x, weight, grad, window = arrays(case, layout)
        bias = np.linspace(-1, 1, len(weight), dtype=np.float32)
        plain = exact_result("", x, weight, grad, window)
        want = np.maximum(plain + bias[:, None, None] + grad, 0)
        for isa in isas:
            _core.set_isa(isa)
            got = striate.conv2d(x, weight, bias, **window, residual=grad, activation="relu")
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-3)


def test_groups(isas):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 64, 28, 28), dtype=np.float32)
    weight = rng.standard_normal((96, 32, 5, 5), dtype=np.float32)
    halves = [
        exact_result(
            "",
            x[:, i * 32 : i * 32 + 32],
            weight[i * 48 : i * 48 + 48],
            x,
            {"stride": (1, 1), "padding": (2, 2)},
        )
        for i in range(2)
    ]
    for isa in isas:
        _core.set_isa(isa)
        told = striate.explain("conv2d", x.shape, weight.shape, padding=2, groups=2)
        assert told["chosen"] == "winograd_rows", isa
        got = striate.conv2d(x, weight, padding=2, groups=2)
        np.testing.assert_allclose(got, np.concatenate(halves, 1), rtol=1e-4, atol=1e-3)
