"""Batch norm, activations, softmax, linear and the loss against the float64 reference."""

import numpy as np
import pytest
import reference as ref
import striate
from problems import LAYOUTS, lay_out
from striate import _core

SHAPES = ((5, 3), (2, 7, 1), (3, 17, 9), (2, 5, 8, 9), (2, 33, 4, 3, 5))
DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))


def tolerance(dtype):
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}


def numbers(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


# ---- batch norm --------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_and_its_gradients(shape, dtype, machines):
    rng = np.random.default_rng(len(shape))
    channels = shape[1]
    x, g = numbers(rng, shape, dtype) * 3 + 1, numbers(rng, shape, dtype)
    weight, bias, mean = (numbers(rng, channels, dtype) for _ in range(3))
    var, eps = rng.uniform(0.5, 2, channels).astype(dtype), 1e-5
    batch_mean, batch_var = ref.batch_statistics(x.astype(np.float64))
    wide = [v.astype(np.float64) for v in (x, g, weight, bias, mean, var)]
    x64, g64, w64, b64, m64, v64 = wide
    train = ref.batch_norm(x64, batch_mean, batch_var, w64, b64, eps)
    infer = ref.batch_norm(x64, m64, v64, w64, b64, eps)
    grads = {
        True: ref.batch_norm_grad(x64, g64, batch_mean, batch_var, w64, eps, True),
        False: ref.batch_norm_grad(x64, g64, m64, v64, w64, eps, False),
    }
    close = tolerance(dtype)
    for layout in ("contiguous", "channels_last", "negative"):
        laid = lay_out(x, layout, rng)
        for machine in machines:
            line = f"{layout} {machine}"
            y, got_mean, got_var, _ = _core.batch_norm_train(laid, weight, bias, eps, False, None)
            np.testing.assert_allclose(y, train, **close, err_msg=line)
            np.testing.assert_allclose(got_mean, batch_mean, **close, err_msg=line)
            np.testing.assert_allclose(got_var, batch_var, **close, err_msg=line)
            y = striate.batch_norm(laid, mean, var, weight, bias, eps=eps)
            np.testing.assert_allclose(y, infer, **close, err_msg=line)
            for training, (m, v) in {True: (got_mean, got_var), False: (mean, var)}.items():
                got = _core.batch_norm_grad(laid, g, m, v, weight, None, eps, training, None)
                for ours, want in zip(got, grads[training], strict=True):
                    scale = 1 + np.abs(want).max()
                    np.testing.assert_allclose(
                        ours, want, rtol=0, atol=scale * close["rtol"], err_msg=line
                    )


@DTYPES
def test_batch_norm_gradient_is_of_the_statistics_that_were_used(dtype):
    """A call in training between a call in evaluation and its backward moves the arrays."""
    rng = np.random.default_rng(5)
    images, grad = numbers(rng, (3, 4, 5, 5), dtype), numbers(rng, (3, 4, 5, 5), dtype)
    mean, var = numbers(rng, 4, dtype), rng.uniform(0.5, 2, 4).astype(dtype)
    weight, bias = numbers(rng, 4, dtype), numbers(rng, 4, dtype)
    expected = _core.batch_norm_grad(images, grad, mean, var, weight, None, 1e-5, False, None)
    leaves = [striate.Tensor(v, requires_grad=True) for v in (images, weight, bias)]
    y = striate.batch_norm(leaves[0], mean, var, leaves[1], leaves[2])
    striate.batch_norm(images * 3 + 7, mean, var, training=True, momentum=0.9)
    y.backward(grad)
    for tensor, value in zip(leaves, expected, strict=True):
        np.testing.assert_array_equal(tensor.grad, value)


@pytest.mark.parametrize("name", ("running_mean", "running_var"))
@pytest.mark.parametrize("fault", ("read-only", "int", "list", "float64"))
def test_batch_norm_moves_both_running_statistics_or_neither(name, fault):
    x = numbers(np.random.default_rng(0), (3, 4, 5), np.float32)
    running = {"running_mean": np.zeros(4, np.float32), "running_var": np.ones(4, np.float32)}
    if fault == "read-only":
        running[name].flags.writeable = False
    elif fault == "list":
        running[name] = running[name].tolist()
    else:
        running[name] = running[name].astype(fault)
    before = {key: np.copy(value) for key, value in running.items()}
    with pytest.raises((TypeError, ValueError), match=f"batch_norm: .*{name}"):
        striate.batch_norm(x, **running, training=True)
    for key, value in running.items():
        np.testing.assert_array_equal(value, before[key])


@DTYPES
def test_batch_norm_moves_the_running_statistics(dtype):
    """running = (1 - momentum) running + momentum batch, with the unbiased variance, as PyTorch."""
    rng = np.random.default_rng(3)
    x = numbers(rng, (4, 3, 5, 5), dtype)
    mean, var = np.zeros(3, dtype), np.ones(3, dtype)
    striate.batch_norm(x, mean, var, training=True, momentum=0.3)
    batch_mean, batch_var = ref.batch_statistics(x.astype(np.float64))
    close = tolerance(dtype)
    np.testing.assert_allclose(mean, 0.3 * batch_mean, **close)
    np.testing.assert_allclose(var, 0.7 + 0.3 * batch_var * 100 / 99, **close)
    kept = mean.copy(), var.copy()
    striate.batch_norm(x, mean, var)
    np.testing.assert_array_equal((mean, var), kept)


def test_batch_norm_is_exact_on_integers(machines):
    """Every tail of channels and of rows; whole numbers stay whole where the variance is 1."""
    rng = np.random.default_rng(12)
    cases = [(channels, 1 + channels % 9) for channels in range(1, 68)]
    for channels, pixels in [*cases, (5, 8), (64, 8), (67, 8)]:
        x, g = (rng.integers(-9, 10, (2, channels, pixels)).astype(np.float32) for _ in range(2))
        weight, bias, mean = (rng.integers(-9, 10, channels).astype(np.float32) for _ in range(3))
        var = np.ones(channels, np.float32)
        gate = np.stack([weight, bias])
        across = (slice(None), None)
        deviation = x - mean[across]
        want = np.maximum(deviation * weight[across] + bias[across], 0)
        passed = np.where(want > 0, g, 0)
        sums = (passed * deviation).sum((0, 2)), passed.sum((0, 2))
        scaled = passed * weight[across]
        trained = scaled - weight[across] * (
            (deviation * sums[0][across] + sums[1][across]) / np.float32(2 * pixels)
        )
        for layout in ("contiguous", "channels_last"):
            laid, laid_g = lay_out(x, layout, rng), lay_out(g, layout, rng)
            for machine in machines:
                line = f"{channels} channels, {pixels} pixels, {layout} {machine}"
                got, _ = _core.batch_norm_infer(laid, mean, var, weight, bias, 0.0, True, None)
                np.testing.assert_array_equal(got, want, err_msg=line)
                for training, grad in ((False, scaled), (True, trained)):
                    got = _core.batch_norm_grad(
                        laid, laid_g, mean, var, weight, gate, 0.0, training, None
                    )
                    if not training or pixels & (pixels - 1) == 0:  # the division is exact
                        np.testing.assert_array_equal(got[0], grad, err_msg=line)
                    for ours, exact in zip(got[1:], sums, strict=True):
                        np.testing.assert_array_equal(ours, exact, err_msg=line)


def test_variance_far_from_zero_does_not_cancel():
    """Mean 10,000, deviation 1: sum(x^2) - mean^2 in float32 would leave nothing of it."""
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((8, 5, 30, 30)) + 1e4).astype(np.float32)
    _, mean, var, _ = _core.batch_norm_train(x, None, None, 1e-5, False, None)
    want_mean, want_var = ref.batch_statistics(x.astype(np.float64))
    np.testing.assert_allclose(mean, want_mean, rtol=1e-6)
    np.testing.assert_allclose(var, want_var, rtol=1e-3)


# ---- activations -------------------------------------------------------------------------

ACTIVATIONS = {
    "relu": ref.relu,
    "leaky_relu": lambda x: ref.leaky_relu(x, 0.01),
    "sigmoid": ref.sigmoid,
    "tanh": np.tanh,
}
SPECIAL = (
    0.0,
    -0.0,
    1e-40,
    -1e-40,
    1e-6,
    88.8,
    -88.8,
    104.0,
    -104.0,
    750.0,
    -750.0,
    3e38,
    -3e38,
    np.inf,
    -np.inf,
)


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, dtype, machines):
    """All tails of a vector, the whole range of exponents, the ends of the line."""
    rng = np.random.default_rng(5)
    values = np.concatenate((SPECIAL, rng.standard_normal(900) * 10.0 ** rng.uniform(-6, 3, 900)))
    close = (
        {"rtol": 4e-6, "atol": 1e-37} if dtype == np.float32 else {"rtol": 1e-14, "atol": 1e-300}
    )
    for size in (0, 1, 3, 8, 17, 31, 64, len(values)):
        x = values[:size].astype(dtype)
        want = ACTIVATIONS[name](x.astype(np.float64))
        for machine in machines:
            got = getattr(striate, name)(x)
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, **close, err_msg=machine)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_passes_through_an_activation(name, isas):
    """As in PyTorch, ReLU included: max(NaN, 0) must not hide it."""
    for isa in isas:
        _core.set_isa(isa)
        for size in range(1, 40):
            x = np.linspace(-2, 2, size).astype(np.float32)
            x[size // 2] = np.nan
            np.testing.assert_array_equal(np.isnan(getattr(striate, name)(x)), np.isnan(x))


SLOPES = {
    "relu": lambda y: (y > 0).astype(y.dtype),
    "leaky_relu": lambda y: np.where(y > 0, 1, 0.01),
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}
SETTINGS = {"leaky_relu": (0.01,)}  # what a gradient of the core takes besides arrays


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradient(name, dtype, machines):
    rng = np.random.default_rng(6)
    for layout in LAYOUTS:
        if layout in ("misaligned",):
            continue  # striate.ops aligns before the core sees it
        x = lay_out(numbers(rng, (2, 5, 4, 7), dtype), layout, rng)
        g = numbers(rng, x.shape, dtype)
        y = getattr(striate, name)(x)
        want = SLOPES[name](y.astype(np.float64)) * g
        for machine in machines:
            got = getattr(_core, f"{name}_grad")(y, g, *SETTINGS.get(name, ()), None)
            np.testing.assert_allclose(got, want, **tolerance(dtype), err_msg=f"{layout} {machine}")


@DTYPES
@pytest.mark.parametrize("slope", (0.25, 2.0))
def test_leaky_relu_is_exact_on_integers(slope, dtype, machines):
    rng = np.random.default_rng(11)
    for size in (*range(40), 70_000):  # every tail, and a size that threads share
        x, g = (rng.integers(-9, 10, size) for _ in range(2))
        want, want_grad = ref.leaky_relu(x, slope), np.where(x > 0, 1, slope) * g
        for step in (1, -2):
            x_, g_ = x.astype(dtype)[::step], g.astype(dtype)[::step]
            for machine in machines:
                line = f"size={size} step={step} {machine}"
                y = striate.leaky_relu(x_, slope)
                np.testing.assert_array_equal(y, want[::step], err_msg=line)
                got = _core.leaky_relu_grad(y, g_, slope, None)
                np.testing.assert_array_equal(got, want_grad[::step], err_msg=line)


# ---- softmax and loss --------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize(
    "shape, axis",
    (((4, 10), 1), ((4, 10), 0), ((3, 5, 6, 7), 1), ((3, 5, 6, 7), -1), ((2, 3, 70), 2), ((9,), 0)),
)
def test_softmax_and_log_softmax(shape, axis, dtype, machines):
    rng = np.random.default_rng(7)
    x, g = numbers(rng, shape, dtype) * 5, numbers(rng, shape, dtype)
    x64, g64 = x.astype(np.float64), g.astype(np.float64)
    want, want_log = ref.softmax(x64, axis), ref.log_softmax(x64, axis)
    inner = (g64 * want).sum(axis=axis, keepdims=True)
    want_grad = want * (g64 - inner)
    want_log_grad = g64 - want * g64.sum(axis=axis, keepdims=True)
    close, at = tolerance(dtype), axis % len(shape)
    for machine in machines:
        y, log = striate.softmax(x, axis), striate.log_softmax(x, axis)
        np.testing.assert_allclose(y, want, **close, err_msg=machine)
        np.testing.assert_allclose(log, want_log, **close, err_msg=machine)
        got = _core.softmax_grad(y, g, at, None)
        np.testing.assert_allclose(got, want_grad, **close, err_msg=machine)
        got = _core.log_softmax_grad(log, g, at, None)
        np.testing.assert_allclose(got, want_log_grad, **close, err_msg=machine)


def test_softmax_of_huge_logits_is_finite(machines):
    x = np.array([[1e4, 1e4 + 1, -1e4], [-3e38, 3e38, 0]], np.float32)
    for machine in machines:
        np.testing.assert_allclose(
            striate.softmax(x, 1),
            ref.softmax(x.astype(float), 1),
            rtol=1e-5,
            atol=1e-30,
            err_msg=machine,
        )
        assert np.isfinite(striate.log_softmax(x[:1], 1)).all()


@DTYPES
def test_cross_entropy(dtype):
    rng = np.random.default_rng(8)
    logits, target = numbers(rng, (7, 5), dtype), rng.integers(0, 5, 7)
    want = ref.cross_entropy(logits.astype(np.float64), target)
    np.testing.assert_allclose(striate.cross_entropy(logits, target), want, **tolerance(dtype))
    np.testing.assert_allclose(
        striate.cross_entropy(logits, target, reduction="sum"), want * 7, **tolerance(dtype)
    )


# ---- linear ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows, features, outputs",
    (
        (0, 3, 4),
        (1, 1, 1),
        (1, 300, 17),
        (7, 5, 3),
        (64, 33, 65),
        (130, 64, 48),
        (3, 0, 4),
        (3, 4, 0),
    ),
)
def test_linear_is_exact_on_integers(rows, features, outputs, machines):
    rng = np.random.default_rng(rows)
    x, w, b, g = (
        rng.integers(-3, 4, s)
        for s in ((rows, features), (outputs, features), outputs, (rows, outputs))
    )
    for dtype in (np.float32, np.float64):
        x_, w_, b_, g_ = (v.astype(dtype) for v in (x, w, b, g))
        for machine in machines:
            assert np.array_equal(striate.linear(x_, w_, b_), ref.linear(x, w, b)), machine
            assert np.array_equal(striate.linear(x_, w_), ref.linear(x, w)), machine
            assert np.array_equal(_core.linear_input_grad(w_, g_, None), g @ w), machine
            assert np.array_equal(_core.linear_weight_grad(x_, g_, None), g.T @ x), machine


def test_linear_takes_any_leading_axes():
    rng = np.random.default_rng(9)
    x, w = rng.integers(-3, 4, (2, 3, 4, 5)), rng.integers(-3, 4, (6, 5))
    got = striate.linear(x.astype(np.float32), w.astype(np.float32))
    np.testing.assert_array_equal(got, x @ w.T)
    got = striate.linear(x[0, 0, 0].astype(np.float32), w.astype(np.float32))
    np.testing.assert_array_equal(got, w @ x[0, 0, 0])


# ---- threads -----------------------------------------------------------------------------


def test_same_bits_for_any_thread_count(isas):
    rng = np.random.default_rng(10)
    x, g = (numbers(rng, (8, 19, 61, 60), np.float32) for _ in range(2))
    rows, w = numbers(rng, (300, 257), np.float32), numbers(rng, (129, 257), np.float32)
    upstream = numbers(rng, (300, 129), np.float32)
    for isa in isas:
        _core.set_isa(isa)
        bits = set()
        for threads in (1, 2, 3, 4):
            striate.set_num_threads(threads)
            y, mean, var, _ = _core.batch_norm_train(x, None, None, 1e-5, False, None)
            results = (
                y,
                mean,
                var,
                *_core.batch_norm_grad(x, g, mean, var, None, None, 1e-5, True, None),
                striate.sigmoid(x),
                striate.softmax(x, 1),
                striate.log_softmax(x, 3),
                striate.linear(rows, w),
                _core.linear_input_grad(w, upstream, None),
                _core.linear_weight_grad(rows, upstream, None),
            )
            bits.add(b"".join(a.tobytes() for a in results))
        assert len(bits) == 1, isa
