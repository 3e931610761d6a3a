"""Sum, p-norm, distance-weighted, channel and adaptive pools, and max unpooling, by the oracle."""

import numpy as np
import pytest
import reference as ref
import reference_shapes as shapes
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import integers, lay_out, pick_layout, rng_of
from striate import Tensor, ops

SEED = 41


def random_image(rng, rank, dtype=np.float32, smallest=3):
    shape = (int(rng.integers(0, 4)), int(rng.integers(1, 20)), *rng.integers(smallest, 10, rank))
    return lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)


def random_window(rng, rank):
    kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    return {
        "kernel_size": kernel,
        "stride": tuple(int(s) for s in rng.integers(1, 4, rank)),
        "padding": tuple((int(rng.integers(0, k // 2 + 1)),) * 2 for k in kernel),
        "ceil_mode": bool(rng.integers(2)),
    }


def cases(count, seed=SEED):
    for index in range(count):
        rng = rng_of(seed, index)
        yield rng, int(rng.integers(1, 4)), rng.choice((np.float32, np.float64))


# ---- sums and norms --------------------------------------------------------------------------


def test_sum_pool_is_exact_and_its_gradient_the_adjoint(machines):
    for rng, rank, dtype in cases(40):
        x, window = random_image(rng, rank, dtype), random_window(rng, rank)
        if x.shape[0] == 0:
            continue
        want = shapes.sum_pool(x, **window)
        pool = getattr(striate, f"sum_pool{rank}d")
        for machine in machines:
            np.testing.assert_array_equal(pool(x, **window), want, err_msg=f"{machine} {window}")
        leaf = Tensor(x, requires_grad=True)
        y = pool(leaf, **window)
        g = integers(rng, want.shape, dtype)
        (grad,) = striate.grad(y, [leaf], g)
        assert (grad * x).sum(dtype=float) == (g * want).sum(dtype=float)


@pytest.mark.parametrize("p", (1, 2, 3, 1.5))
@pytest.mark.parametrize("ceil_mode", (False, True))
def test_lp_pool(p, ceil_mode):
    for rng, rank, dtype in cases(12):
        x = np.abs(random_image(rng, rank, dtype))
        if x.shape[0] == 0:
            continue
        window = random_window(rng, rank)
        kernel, stride = window["kernel_size"], window["stride"]
        got = getattr(striate, f"lp_pool{rank}d")(x, p, kernel, stride, ceil_mode)
        want = shapes.lp_pool(x, p, kernel_size=kernel, stride=stride, ceil_mode=ceil_mode)
        np.testing.assert_allclose(got, want, rtol=2e-6)
        assert got.dtype == dtype


def test_lp_pool_takes_no_absolute_value():
    x = np.array([[[-3.0, 1, 2, 2]]])
    assert striate.lp_pool1d(x, 1, 2).tolist() == [[[-2, 4]]]
    odd = striate.lp_pool1d(x, 3, 2)
    assert np.isnan(odd[0, 0, 0]) and odd[0, 0, 1] == pytest.approx(16 ** (1 / 3))
    assert striate.lp_pool1d(x, 2, 2)[0, 0, 0] == pytest.approx(10**0.5)


def test_an_empty_window_of_an_lp_pool_has_no_gradient():
    x = Tensor(np.array([[[0.0, 0, 3, 4]]]), requires_grad=True)
    striate.lp_pool1d(x, 2, 2).sum().backward()
    np.testing.assert_allclose(x.grad, [[[0, 0, 0.6, 0.8]]])


def test_a_root_of_zero_has_slope_zero_for_small_norms():
    x = Tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    striate.lp_pool2d(x, 0.5, 2).sum().backward()
    np.testing.assert_array_equal(x.grad, np.zeros((1, 1, 4, 4)))
    x = Tensor(np.array([[[0.0, 4, 1, 4]]]), requires_grad=True)
    striate.lp_pool1d(x, 0.5, 2).sum().backward()
    np.testing.assert_allclose(x.grad, [[[0, 1, 3, 1.5]]])  # sqrt(sum / x)
    x = Tensor(np.array([[[0.0, 4.0]]]), requires_grad=True)
    (slope,) = striate.grad(striate.lp_pool1d(x, 1.5, 2).sum(), [x], create_graph=True)
    (bend,) = striate.grad((slope * slope).sum(), [x])
    assert np.isfinite(bend).all()


# ---- weighted by distance --------------------------------------------------------------------


@pytest.mark.parametrize("count_include_pad", (False, True))
def test_weighted_pool(count_include_pad):
    for rng, rank, dtype in cases(15):
        x, window = random_image(rng, rank, dtype), random_window(rng, rank)
        if x.shape[0] == 0:
            continue
        rules = {k: window[k] for k in ("kernel_size", "stride", "padding")}
        sigma = float(rng.uniform(0.5, 2))
        want = shapes.weighted_pool(x, **rules, sigma=sigma, count_include_pad=count_include_pad)
        got = getattr(striate, f"weighted_pool{rank}d")(
            x, **rules, sigma=sigma, count_include_pad=count_include_pad
        )
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        assert got.dtype == dtype


def test_weights_fall_with_the_distance_and_sum_to_one():
    nail = np.zeros((1, 1, 5, 5))
    nail[0, 0, 2, 2] = 1
    weights = striate.weighted_pool2d(nail, 3, stride=1)[0, 0]
    assert weights.sum() == pytest.approx(1)
    assert weights[1, 1] > weights[0, 1] > weights[0, 0] > 0
    np.testing.assert_array_equal(weights, weights.T)
    flat = striate.weighted_pool2d(nail, 3, 1, sigma=1e6)
    np.testing.assert_allclose(flat, striate.avg_pool2d(nail, 3, 1), rtol=1e-9)


@pytest.mark.parametrize("sigma", (1e-310, 1e-200, 1e-3))
@pytest.mark.parametrize("kernel", (3, 4))
def test_a_small_sigma_leaves_the_central_pixels(kernel, sigma):
    x = np.arange(64.0).reshape(1, 1, 8, 8)
    inner = (kernel - 1) // 2
    crop = x[:, :, inner : 8 - inner, inner : 8 - inner]
    want = crop if kernel % 2 else striate.avg_pool2d(crop, 2, 1)
    np.testing.assert_allclose(striate.weighted_pool2d(x, kernel, 1, sigma=sigma), want)


@pytest.mark.parametrize("kernel", (1, 2, 3, 4, 5))
def test_every_weighted_window_sees_the_input(kernel):
    x = np.ones((1, 1, kernel))
    y = striate.weighted_pool1d(x, kernel, 1, kernel // 2, sigma=0.3, count_include_pad=False)
    np.testing.assert_allclose(y, 1)
    with pytest.raises(ValueError, match=r"weighted_pool1d: padding .*at most half"):
        striate.weighted_pool1d(x, kernel, 1, kernel // 2 + 1)


# ---- channels --------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", (0, 1, 2, 3))
@pytest.mark.parametrize("last", (False, True))
def test_channel_max_pool(rank, last, machines):
    rng = np.random.default_rng(rank)
    x = rng.permutation(2 * 12 * 5**rank).reshape(2, 12, *(5,) * rank).astype(np.float32)
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for k in (1, 2, 3, 12):
        want = shapes.channel_max_pool(x, k)
        for machine in machines:
            got = striate.channel_max_pool(x, k)
            np.testing.assert_array_equal(got, want, err_msg=machine)
        if last and rank and got.shape[1] > 1:
            assert striate.memory_format(got) == "channels_last"
        leaf = Tensor(x, requires_grad=True)
        striate.channel_max_pool(leaf, k).sum().backward()
        np.testing.assert_array_equal(leaf.grad, np.repeat(want, k, 1) == x)


def test_of_equal_channels_the_first_wins():
    x = Tensor(np.ones((1, 4, 2, 2)), requires_grad=True)
    striate.channel_max_pool(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad[0, :, 0, 0], [1, 0, 1, 0])


# ---- unpooling -------------------------------------------------------------------------------


def test_max_unpool_is_exact_and_its_gradient_the_adjoint(machines):
    for rng, rank, dtype in cases(40):
        image = random_image(rng, rank, dtype)
        if image.shape[0] == 0:
            continue
        kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
        pool, unpool = (getattr(striate, f"max_{name}{rank}d") for name in ("pool", "unpool"))
        values, indices = pool(image, kernel, return_indices=True)
        x = lay_out(integers(rng, values.shape, dtype), pick_layout(rng), rng)
        indices = lay_out(indices, str(rng.choice(("contiguous", "channels_last"))), rng)
        want = shapes.max_unpool(x, indices, image.shape[2:])
        g = lay_out(integers(rng, want.shape, dtype), pick_layout(rng), rng)
        flat = g.reshape(*g.shape[:2], -1)
        want_grad = np.take_along_axis(flat, indices.reshape(*g.shape[:2], -1), 2).reshape(x.shape)
        assert (want * g).sum(dtype=float) == (x * want_grad).sum(dtype=float)
        for machine in machines:
            leaf = Tensor(x, requires_grad=True)
            y = unpool(leaf, indices, kernel, output_size=image.shape[2:])
            np.testing.assert_array_equal(y.data, want, err_msg=machine)
            (grad,) = striate.grad(y, [leaf], g)
            np.testing.assert_array_equal(grad, want_grad, err_msg=machine)


@pytest.mark.parametrize("last", (False, True))
def test_of_equal_indices_the_last_is_kept(last):
    x = np.arange(1.0, 13).reshape(1, 2, 6)
    indices = np.array([[[2, 0, 2, 2, 1, 0]] * 2])
    if last:
        x, indices = (np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2) for a in (x, indices))
    y = striate.max_unpool1d(x, indices, 1, output_size=(6,))
    np.testing.assert_array_equal(y, [[[6, 5, 4, 0, 0, 0], [12, 11, 10, 0, 0, 0]]])


def test_unpool_sizes():
    x, at = np.ones((1, 1, 3)), np.array([[[0, 1, 2]]])
    assert striate.max_unpool1d(x, at, 2).shape == (1, 1, 6)
    assert striate.max_unpool1d(x, at, 3, 2, 1).shape == (1, 1, 5)
    assert striate.max_unpool1d(x, at, 2, output_size=(7,)).shape == (1, 1, 7)
    assert striate.max_unpool1d(x, at, 2, output_size=(1, 1, 5)).shape == (1, 1, 5)


# ---- adaptive --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda rank: st.tuples(
            st.tuples(*[st.integers(1, 9)] * rank), st.tuples(*[st.integers(1, 11)] * rank)
        )
    ),
    st.booleans(),
)
def test_adaptive_pools(sizes, last):
    size, out = sizes
    rank = len(size)
    x = np.random.default_rng(size).integers(-3, 4, (2, 3, *size)).astype(np.float64)
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    mean = getattr(striate, f"adaptive_avg_pool{rank}d")(x, out)
    np.testing.assert_allclose(mean, shapes.adaptive_avg_pool(x, out), rtol=1e-14, atol=1e-14)
    want, want_at = shapes.adaptive_max_pool(x, out)
    got, at = getattr(striate, f"adaptive_max_pool{rank}d")(x, out, True)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(at, want_at)
    leaf = Tensor(x, requires_grad=True)
    g = np.random.default_rng(out).integers(-3, 4, want.shape).astype(np.float64)
    (grad,) = striate.grad(getattr(ops, f"adaptive_max_pool{rank}d")(leaf, out), [leaf], g)
    np.testing.assert_array_equal(grad, ref.scatter_add(x.shape, want_at, g))


def test_adaptive_pools_keep_axes_of_size_none():
    x = np.arange(24.0).reshape(1, 1, 4, 6)
    assert striate.adaptive_avg_pool2d(x, (None, 1)).shape == (1, 1, 4, 1)
    np.testing.assert_array_equal(striate.adaptive_max_pool2d(x, (2, None)), x[:, :, 1::2])
    np.testing.assert_array_equal(striate.adaptive_avg_pool2d(x, 1), striate.global_avg_pool(x))


def test_adaptive_max_pool_of_nan():
    x = np.array([[[1.0, np.nan, 3, 4, 5]]])
    y, at = striate.adaptive_max_pool1d(x, 3, True)
    np.testing.assert_array_equal(y, [[[np.nan, np.nan, 5]]])
    np.testing.assert_array_equal(at, [[[1, 1, 4]]])
    for layout in (lambda v: v, lambda v: np.moveaxis(np.moveaxis(v, 1, -1).copy(), -1, 1)):
        x = np.full((1, 2, 3, 40), -np.inf)
        x[0, 1, 0, 7] = x[0, 1, 2, 3] = np.nan  # of one window: the last in row-major order
        y, at = striate.adaptive_max_pool2d(layout(x), (1, 3), True)
        np.testing.assert_array_equal(y[0], [[[-np.inf] * 3], [[np.nan] + [-np.inf] * 2]])
        np.testing.assert_array_equal(at[0], [[[0, 13, 26]], [[83, 13, 26]]])


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("shape", ((2, 3, 11, 67), (1, 67, 9, 5), (3, 80, 7, 7), (2, 2, 40, 33)))
def test_adaptive_max_pool_on_every_machine(shape, dtype, machines):
    """Tails of columns and of channels, equal elements, any strides, both formats."""
    rng = np.random.default_rng(shape)
    x = rng.integers(-4, 5, shape).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    turned = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    wants = {out: shapes.adaptive_max_pool(x, out) for out in ((4, 3), (6, 1), (12, 80))}
    for machine in machines:
        for laid in (x, last, turned, np.asfortranarray(x)):
            for out, want in wants.items():
                got = striate.adaptive_max_pool2d(laid, out, True)
                for one, expected in zip(got, want, strict=True):
                    np.testing.assert_array_equal(one, expected, err_msg=str(machine))
                mean = striate.adaptive_avg_pool2d(laid, out)
                np.testing.assert_allclose(mean, shapes.adaptive_avg_pool(x, out), rtol=3e-7)


# ---- what the lectures say of pools ------------------------------------------------------------


def test_000_mean_poolings_gradient_is_a_channelwise_convolution_with_a_uniform_filter():
    """After padding by N - 1 zeros on every side; a flip does not change the filter."""
    rng = np.random.default_rng(0)
    g = rng.integers(-9, 10, (2, 3, 5, 6)).astype(np.float64)
    n = 4
    uniform = np.full((3, 1, n, n), 1 / n**2)
    spread = striate.convolve(g, uniform, padding="full", groups=3)
    back = striate.avg_pool2d_input_grad((2, 3, 8, 9), g, n, 1)
    np.testing.assert_array_equal(spread, back)


@pytest.mark.parametrize("stride", (2, 3))
def test_000_strided_pooling_is_stride_1_pooling_then_downsampling(stride):
    x = np.random.default_rng(0).integers(-9, 10, (2, 3, 11, 13)).astype(np.float32)
    for pool in (striate.max_pool2d, striate.avg_pool2d, striate.sum_pool2d):
        strided = pool(x, 3, stride)
        np.testing.assert_array_equal(striate.downsample(pool(x, 3, 1), stride), strided)
