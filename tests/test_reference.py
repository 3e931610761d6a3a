"""The oracles checked before they judge: against the definition in loops, and by adjointness."""

import numpy as np
import pytest
import reference as ref
from problems import conv_problem, integers, pool_problem, rng_of


def smallest_problems(count):
    """Problems of at most 3,000 products, dense enough to meet every feature."""
    index = 0
    while count:
        problem = conv_problem(31, index)
        index += 1
        if 0 < problem.multiply_adds <= 3000:
            count -= 1
            yield problem


def test_convolution_is_its_definition():
    for problem in smallest_problems(60):
        x, w, bias, g = (a.astype(np.int64) for a in problem.arrays())
        y, dx, dw = (np.zeros(a.shape, np.int64) for a in (g, x, w))
        for ix, iw, iy in ref.multiply_adds(x.shape, w.shape, **problem.window):
            y[iy] += x[ix] * w[iw]
            dx[ix] += w[iw] * g[iy]
            dw[iw] += x[ix] * g[iy]
        with_bias = y + bias.reshape(-1, *[1] * problem.ndim)
        np.testing.assert_array_equal(
            ref.conv_forward(x, w, bias, **problem.window), with_bias, str(problem)
        )
        np.testing.assert_array_equal(
            ref.conv_input_grad(x.shape, w, g, **problem.window), dx, str(problem)
        )
        np.testing.assert_array_equal(
            ref.conv_weight_grad(x, w.shape, g, **problem.window), dw, str(problem)
        )


def test_three_thousand_problems_cover_what_they_claim():
    """The generator reaches every feature often enough to mean something."""
    problems = [conv_problem(1, index) for index in range(3000)]
    wanted = {
        "1-d": lambda p: p.ndim == 1,
        "2-d": lambda p: p.ndim == 2,
        "3-d": lambda p: p.ndim == 3,
        "depthwise": lambda p: p.groups > 1 and p.weight_shape[:2] == (p.groups, 1),
        "multiplier": lambda p: p.weight_shape[1] == 1 and p.weight_shape[0] > p.groups > 1,
        "grouped": lambda p: p.groups > 1 and p.weight_shape[1] > 1,
        "strided": lambda p: max(p.stride) > 1,
        "dilated": lambda p: max(p.dilation) > 1,
        "asymmetric": lambda p: any(low != high for low, high in p.padding),
        "padding alone": lambda p: any(
            lo > d * k
            for (lo, _), d, k in zip(p.padding, p.dilation, p.weight_shape[2:], strict=True)
        ),
        "no image": lambda p: p.input_shape[0] == 0,
        "no input channel": lambda p: p.input_shape[1] == 0,
        "no output channel": lambda p: p.weight_shape[0] == 0,
        "no pixel": lambda p: 0 in p.input_shape[2:],
        "one pixel": lambda p: 1 in p.input_shape[2:],
        "float64": lambda p: p.dtype is np.float64,
        "wide": lambda p: p.weight_shape[0] > 32,
        **{
            layout: (lambda p, layout=layout: p.layouts[0] == layout)
            for layout in ("channels_last", "negative", "broadcast", "fortran", "misaligned")
        },
    }
    counts = {name: sum(map(test, problems)) for name, test in wanted.items()}
    assert min(counts.values()) >= 15, counts


@pytest.mark.parametrize("dilated", (True, False))
def test_pool_adjoints(dilated):
    """<pool(x), g> = <x, gradient(g)>, exactly for max, to rounding for average."""
    for index in range(100):
        problem = pool_problem(32, index, dilated=dilated)
        x, g = problem.input().astype(np.int64), problem.grad_output().astype(np.int64)
        if dilated:
            y, indices = ref.max_pool(x, **problem.window)
            grad = ref.scatter_add(x.shape, indices, g)
            assert (y * g).sum() == (x * grad).sum(), str(problem)
            for n, c in np.ndindex(*x.shape[:2]):
                np.testing.assert_array_equal(x[n, c].ravel()[indices[n, c]], y[n, c], str(problem))
        else:
            y = ref.avg_pool(x, **problem.dense_window)
            grad = ref.avg_pool_input_grad(x.shape, g, **problem.dense_window)
            assert (y * g).sum() == pytest.approx((x * grad).sum(), abs=1e-9), str(problem)


def test_max_pool_rules():
    """Ties, NaN, padding and the ragged edge, by hand."""
    window = {"kernel_size": (2,), "stride": (2,), "padding": ((0, 0),), "dilation": (1,)}
    x = np.array([[[4.0, 4.0, np.nan, 7.0, -np.inf]]])
    y, indices = ref.max_pool(x, **window)
    np.testing.assert_array_equal(y, [[[4, np.nan]]])
    np.testing.assert_array_equal(indices, [[[0, 2]]])
    y, indices = ref.max_pool(x, **window, ceil_mode=True)
    np.testing.assert_array_equal(y, [[[4, np.nan, -np.inf]]])
    np.testing.assert_array_equal(indices, [[[0, 2, 4]]])


def test_avg_pool_divisors():
    """Windows of 3 over 1 2 3 4, padding 1, stride 2; the last one hangs over the edge."""
    window = {"kernel_size": (3,), "stride": (2,), "padding": ((1, 1),), "ceil_mode": True}
    x = np.array([[[1, 2, 3, 4]]])
    np.testing.assert_allclose(ref.avg_pool(x, **window), [[[1, 3, 2]]])
    np.testing.assert_allclose(ref.avg_pool(x, **window, count_include_pad=False), [[[1.5, 3, 4]]])
    np.testing.assert_allclose(ref.avg_pool(x, **window, divisor_override=2), [[[1.5, 4.5, 2]]])


def test_interpolation_by_hand():
    """The rows that PyTorch prints for [1, 2, 3] and [1, 2]."""
    x = np.array([[[1.0, 2.0]]])
    np.testing.assert_allclose(ref.interpolate(x, (4,), "linear"), [[[1, 1.25, 1.75, 2]]])
    np.testing.assert_allclose(
        ref.interpolate(x, (4,), "linear", align_corners=True), [[[1, 4 / 3, 5 / 3, 2]]]
    )
    np.testing.assert_allclose(ref.interpolate(x, (5,), "nearest"), [[[1, 1, 1, 2, 2]]])


def test_conv_transpose_by_hand():
    x, w = np.array([[[1, 2]]]), np.array([[[1, 10, 100]]])
    y = ref.conv_transpose(
        x, w, np.array([5]), stride=(2,), padding=((0, 0),), output_padding=(1,), dilation=(1,)
    )
    np.testing.assert_array_equal(y, [[[6, 15, 107, 25, 205, 5]]])


def test_batch_norm_grad_is_the_slope():
    rng = rng_of(33, 0)
    x, g, weight = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2, 4)), rng.normal(size=2)
    for training in (True, False):
        fixed = ref.batch_statistics(x)

        def loss(x, weight, training=training, fixed=fixed):
            mean, var = ref.batch_statistics(x) if training else fixed
            return (ref.batch_norm(x, mean, var, weight, np.zeros(2), 1e-5) * g).sum()

        dx, dw, db = ref.batch_norm_grad(x, g, *fixed, weight, 1e-5, training)
        for argument, grad in ((0, dx), (1, dw)):
            step = rng.normal(size=grad.shape)
            ends = []
            for h in (1e-6, -1e-6):
                arguments = [x, weight]
                arguments[argument] = arguments[argument] + h * step
                ends.append(loss(*arguments))
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx((grad * step).sum(), rel=1e-6)
        np.testing.assert_allclose(db, g.sum(axis=(0, 2)))


def test_integers_stay_integers():
    rng = rng_of(34, 0)
    x, w = integers(rng, (1, 2, 5)), integers(rng, (3, 2, 3))
    window = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,)}
    assert ref.conv_forward(x, w, **window).dtype == np.int64
    assert ref.conv_input_grad(x.shape, w, integers(rng, (1, 3, 5)), **window).dtype == np.int64
