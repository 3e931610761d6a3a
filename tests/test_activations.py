"""The activations with a gradient from the input, and PReLU, against the float64 reference."""

import numpy as np
import pytest
import reference_activations as ref
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import LAYOUTS, lay_out
from striate import Tensor, grad, nn

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))
NAMES = pytest.mark.parametrize("name", ref.CURVES)


def slope_of(fn, x, g):
    """The gradient of <fn(x), g>, by the tape."""
    leaf = Tensor(x, requires_grad=True)
    (dx,) = grad(fn(leaf), [leaf], g)
    return dx


def close(dtype):
    """Relative, with what a value near a zero crossing loses in absolute terms."""
    return {"rtol": 2e-6, "atol": 2e-7} if dtype == np.float32 else {"rtol": 1e-14, "atol": 1e-15}


@DTYPES
@NAMES
def test_values_and_slopes(name, dtype, machines):
    """All tails of a vector, and magnitudes from 1e-6 to 1e3."""
    rng = np.random.default_rng(1)
    value, slope = ref.CURVES[name]
    fn = getattr(striate, name)
    values = rng.standard_normal(900) * 10.0 ** rng.uniform(-6, 2.5, 900)
    for size in (0, 1, 3, 8, 17, 31, 64, len(values)):
        x, g = values[:size].astype(dtype), rng.standard_normal(size).astype(dtype)
        wide = x.astype(np.float64)
        for machine in machines:
            y, dx = fn(x), slope_of(fn, x, g)
            assert y.dtype == dx.dtype == dtype
            np.testing.assert_allclose(y, value(wide), **close(dtype), err_msg=machine)
            np.testing.assert_allclose(
                dx,
                slope(wide) * g,
                rtol=2 * close(dtype)["rtol"],
                atol=1e-6 if dtype == np.float32 else 1e-14,
                err_msg=machine,
            )


@DTYPES
def test_gelu_by_tanh(dtype, machines):
    x = np.concatenate((np.linspace(-12, 12, 1001), [1e4, -1e4])).astype(dtype)
    value, slope = ref.GELU_TANH
    for machine in machines:
        fn = lambda x: striate.gelu(x, approximate="tanh")  # noqa: E731
        np.testing.assert_allclose(fn(x), value(x.astype(float)), **close(dtype), err_msg=machine)
        got = slope_of(fn, x, np.ones_like(x))
        tolerance = 2e-6 if dtype == np.float32 else 1e-14
        np.testing.assert_allclose(
            got, slope(x.astype(float)), rtol=tolerance, atol=tolerance, err_msg=machine
        )


@pytest.mark.parametrize("name", ("gelu", "silu", "mish", "softplus", "logsigmoid", "elu"))
def test_small_results_keep_their_relative_accuracy(name, isas):
    """In the tails and around 0, where a difference of nearly equal numbers would leave nothing."""
    for dtype, rtol, ends in (
        (np.float32, 2e-6, (-11.5, -1e-30)),
        (np.float64, 1e-13, (-36.0, -1e-300)),
    ):
        near = -np.geomspace(-ends[0], -ends[1], 1001).astype(dtype)
        x = np.concatenate((near, -near)) if name == "logsigmoid" else near
        want = ref.CURVES[name][0](x.astype(np.float64))
        for isa in isas:
            striate.set_isa(isa)
            got = getattr(striate, name)(x)
            np.testing.assert_allclose(got, want, rtol=rtol, atol=0, err_msg=isa)


@DTYPES
@NAMES
def test_infinities_take_the_limit_and_nan_stays(name, dtype, machines):
    x = np.array([-np.inf, np.inf] * 9 + [np.nan], dtype)
    (low, high), (low_slope, high_slope) = ref.LIMITS[name]
    fn = getattr(striate, name)
    for machine in machines:
        with np.errstate(all="raise"):
            y, dx = fn(x), slope_of(fn, x, np.ones_like(x))
        np.testing.assert_allclose(y, [low, high] * 9 + [np.nan], rtol=1e-6, err_msg=machine)
        np.testing.assert_allclose(dx[:-1], [low_slope, high_slope] * 9, rtol=1e-6, err_msg=machine)


@NAMES
def test_nan_at_any_place_stays_where_it_is(name, isas):
    for isa in isas:
        striate.set_isa(isa)
        for size in range(1, 40):
            x = np.linspace(-2, 2, size).astype(np.float32)
            x[size // 2] = np.nan
            np.testing.assert_array_equal(np.isnan(getattr(striate, name)(x)), np.isnan(x))


@pytest.mark.parametrize("options", ({"beta": 0.5}, {"beta": 3.0, "threshold": 5.0}))
def test_softplus_with_options(options):
    x = np.linspace(-30, 30, 301)
    fn = lambda x: striate.softplus(x, **options)  # noqa: E731
    np.testing.assert_allclose(fn(x), ref.softplus(x, **options), rtol=1e-14)
    got = slope_of(fn, x, np.ones_like(x))
    np.testing.assert_allclose(got, ref.softplus_slope(x, **options), rtol=1e-14)


@DTYPES
@pytest.mark.parametrize("name", ("relu6", "hardsigmoid", "hardswish"))
def test_lines_are_exact_on_integers(name, dtype, machines):
    rng = np.random.default_rng(2)
    value, slope = ref.CURVES[name]
    for size in (*range(40), 70_000):
        x = rng.integers(-9, 10, size).astype(dtype)
        for machine in machines:
            y = getattr(striate, name)(x)
            dx = slope_of(getattr(striate, name), x, np.full(size, 6, dtype))
            if name == "relu6":
                np.testing.assert_array_equal(y, value(x), err_msg=machine)
            np.testing.assert_allclose(y, value(x.astype(float)), rtol=3e-7, err_msg=machine)
            np.testing.assert_allclose(dx, slope(x.astype(float)) * 6, rtol=3e-7, atol=1e-6)


@NAMES
def test_every_layout_and_into_out(name):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 5, 4, 7)).astype(np.float32)
    fn = getattr(striate, name)
    want = fn(x)
    for layout in LAYOUTS:
        laid = lay_out(x, layout, rng)
        np.testing.assert_array_equal(fn(laid), fn(np.ascontiguousarray(laid)), err_msg=layout)
    own = x.copy()
    assert fn(own, out=own) is own
    np.testing.assert_array_equal(own, want)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_and_strides(data):
    """Slices, steps backwards and permuted axes; gradients that lie otherwise."""
    rank = data.draw(st.integers(0, 5))
    shape = data.draw(st.lists(st.integers(0, 9), min_size=rank, max_size=rank))
    steps = data.draw(st.lists(st.sampled_from((1, 2, -1, -3)), min_size=rank, max_size=rank))
    order = data.draw(st.permutations(range(rank)))
    name = data.draw(st.sampled_from(sorted(ref.CURVES)))
    rng = np.random.default_rng(rank)
    whole = rng.standard_normal([n * abs(s) for n, s in zip(shape, steps, strict=True)]) * 3
    x = whole[tuple(slice(None, None, s) for s in steps)].transpose(order)
    g = np.array(rng.standard_normal(x.shape), order="F")
    value, slope = ref.CURVES[name]
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(getattr(striate, name)(x), value(x), **close)
    np.testing.assert_allclose(slope_of(getattr(striate, name), x, g), slope(x) * g, **close)


# ---- PReLU -------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("layout", ("contiguous", "channels_last", "negative"))
@pytest.mark.parametrize(
    "shape", ((7,), (5, 3), (2, 7, 1), (3, 17, 9), (2, 5, 8, 9), (2, 3, 4, 3, 5))
)
def test_prelu_is_exact_on_integers(shape, layout, dtype, machines):
    rng = np.random.default_rng(len(shape))
    x, g = (rng.integers(-6, 7, shape) for _ in range(2))
    if len(shape) > 2:
        x = lay_out(x, layout, rng)
    for weights in {1, shape[1] if len(shape) > 1 else 1}:
        weight = rng.integers(-3, 4, weights)
        want = ref.prelu(x, weight)
        slope = weight if weights == 1 else weight.reshape(-1, *(1,) * (len(shape) - 2))
        want_dx = np.where(x > 0, g, slope * g)
        want_dw = ref.prelu_weight_grad(x, g, weights == 1)
        for machine in machines:
            leaves = [Tensor(v.astype(dtype), requires_grad=True) for v in (x, weight)]
            y = striate.prelu(*leaves)
            np.testing.assert_array_equal(y.numpy(), want, err_msg=machine)
            dx, dw = grad(y, leaves, g.astype(dtype))
            np.testing.assert_array_equal(dx, want_dx, err_msg=machine)
            np.testing.assert_array_equal(dw, want_dw, err_msg=machine)


@pytest.mark.parametrize("count", (1, 4))
def test_prelu_of_no_images(count):
    x = striate.Tensor(np.zeros((0, 4, 3), np.float32), requires_grad=True)
    weight = striate.Tensor(np.ones(count, np.float32), requires_grad=True)
    y = striate.prelu(x, weight)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad.shape == x.shape and np.array_equal(weight.grad, np.zeros(count))


def test_prelu_of_nan():
    x = np.array([[np.nan, 1, -1]], np.float32)
    y = striate.prelu(x, np.array([0.5], np.float32))
    np.testing.assert_array_equal(y, [[np.nan, 1, -0.5]])


@DTYPES
@pytest.mark.parametrize("shape", ((0, 3), (0, 3, 4, 5), (2, 3, 0), (0, 1), (0,), (2, 0, 4)))
def test_prelu_of_nothing(shape, dtype):
    channels = shape[1] if len(shape) > 1 else 1
    for slopes in {1, channels}:
        x = Tensor(np.empty(shape, dtype), requires_grad=True)
        weight = Tensor(np.ones(slopes, dtype), requires_grad=True)
        y = striate.prelu(x, weight)
        assert y.shape == shape and y.dtype == dtype
        y.sum().backward()
        assert x.grad.shape == shape
        np.testing.assert_array_equal(weight.grad, np.zeros(slopes, dtype))


# ---- dropout of channels -----------------------------------------------------------------


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_whole_channels_are_dropped(rank):
    fn = getattr(striate, f"dropout{rank}d")
    x = np.ones((40, 50, *(3,) * rank), np.float32)
    y = fn(x, 0.25, rng=7)
    channels = y.reshape(2000, -1)
    assert (channels == channels[:, :1]).all()
    np.testing.assert_allclose(np.unique(channels), [0, 1 / 0.75], rtol=1e-6)
    assert abs((channels[:, 0] == 0).mean() - 0.25) < 0.04
    np.testing.assert_array_equal(y, fn(x, 0.25, rng=7))
    assert fn(x, 0.25, training=False) is x
    leaf = Tensor(x, requires_grad=True)
    (dx,) = grad(fn(leaf, 0.25, rng=7), [leaf], x)
    np.testing.assert_array_equal(dx, y)
    layer = getattr(nn, f"Dropout{rank}d")(0.25, rng=7)
    np.testing.assert_array_equal(layer(x), y)
    assert layer.eval()(x) is x
