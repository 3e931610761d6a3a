"""The form of arguments: what users may write, what it becomes, and how the rest is refused."""

import numpy as np
import pytest
import striate
from striate import Tensor, no_grad, ops

RNG = np.random.default_rng(0)
X = RNG.integers(-4, 5, (2, 3, 7, 6)).astype(np.float32)
W = RNG.integers(-4, 5, (4, 3, 3, 2)).astype(np.float32)
B = RNG.integers(-4, 5, 4).astype(np.float32)


def convolve(x, w, b, stride, padding, dilation):
    """2-d convolution in int64, by the formula."""
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), *padding))
    rows, columns = (
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    )
    y = np.zeros((len(x), len(w), rows, columns), np.int64) + b.astype(np.int64)[:, None, None]
    for u, v in np.ndindex(w.shape[2:]):
        taps = x[:, :, u * dilation[0] :, v * dilation[1] :][:, :, :: stride[0], :: stride[1]]
        tap = w[:, :, u, v].astype(np.int64)
        y += np.einsum("ncij,oc->noij", taps[:, :, :rows, :columns], tap)
    return y


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "numbers"),
    [
        (1, 0, 1, ((1, 1), ((0, 0), (0, 0)), (1, 1))),
        (2, 1, 1, ((2, 2), ((1, 1), (1, 1)), (1, 1))),
        ((2, 3), (1, 2), (1, 2), ((2, 3), ((1, 1), (2, 2)), (1, 2))),
        ([2, 1], [[0, 1], [2, 0]], 2, ((2, 1), ((0, 1), (2, 0)), (2, 2))),
        (np.int64(2), np.array([1, 0]), np.array(1), ((2, 2), ((1, 1), (0, 0)), (1, 1))),
        (1, (1, (0, 2)), 1, ((1, 1), ((1, 1), (0, 2)), (1, 1))),
        (2, "valid", 1, ((2, 2), ((0, 0), (0, 0)), (1, 1))),
        (1, "same", 1, ((1, 1), ((1, 1), (0, 1)), (1, 1))),
        (2, "same", 1, ((2, 2), ((1, 1), (0, 0)), (1, 1))),
        ((4, 1), "same", (2, 3), ((4, 1), ((1, 1), (1, 2)), (2, 3))),
    ],
    ids=str,
)
def test_numbers_become_tuples(stride, padding, dilation, numbers):
    want = convolve(X, W, B, *numbers)
    got = striate.conv2d(X, W, B, stride, padding, dilation)
    assert got.dtype == np.float32 and np.array_equal(got, want)


@pytest.mark.parametrize("n", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_gives_ceil_and_pads_the_end(n, stride, kernel, dilation):
    x = np.arange(1.0, n + 1.0)[None, None]
    w = np.ones((1, 1, kernel))
    y = striate.conv1d(x, w, None, stride, "same", dilation)
    size = -(-n // stride)
    total = max((size - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
    low = total // 2
    taps = [[i * stride + u * dilation - low for u in range(kernel)] for i in range(size)]
    want = [sum(t + 1.0 for t in row if 0 <= t < n) for row in taps]
    assert y[0, 0].tolist() == want


def test_the_gradients_take_the_same_forms():
    y = striate.conv2d(X, W, None, 2, "same")
    forms = [("same",), ((1, (0, 0)),), (((1, 1), (0, 0)),)]
    inputs = [striate.conv2d_input_grad(X.shape, W, y, 2, *form) for form in forms]
    weights = [striate.conv2d_weight_grad(X, W.shape, y, 2, *form) for form in forms]
    for given in (inputs, weights):
        assert all(np.array_equal(given[0], other) for other in given)
    assert np.array_equal(striate.conv_bias_grad(y), y.sum((0, 2, 3)))
    # <conv(x, w), y> = <x, d_input(y)> = <w, d_weight(y)>, exactly
    product = (y.astype(np.float64) ** 2).sum()
    assert product == (X * inputs[0].astype(np.float64)).sum()
    assert product == (W * weights[0].astype(np.float64)).sum()


def test_conv_transpose_is_the_transposed_convolution():
    x = RNG.integers(-3, 4, (2, 4, 3, 4)).astype(np.float64)
    w = RNG.integers(-3, 4, (4, 2, 3, 2)).astype(np.float64)
    y = striate.conv_transpose2d(x, w, None, (2, 3), (1, 0), (1, 2))
    assert y.shape == (2, 2, 6, 13)
    g = RNG.integers(-3, 4, y.shape).astype(np.float64)
    assert (y * g).sum() == (x * striate.conv2d(g, w, None, (2, 3), (1, 0))).sum()
    biased = striate.conv_transpose2d(x, w, np.array([5.0, -1.0]), (2, 3), (1, 0), (1, 2))
    assert np.array_equal(biased, y + np.array([5.0, -1.0])[:, None, None])
    grouped = striate.conv_transpose2d(x, w, groups=2)
    halves = [striate.conv_transpose2d(x[:, s], w[s]) for s in (slice(0, 2), slice(2, 4))]
    assert np.array_equal(grouped, np.concatenate(halves, 1))


# ---- dtypes and array-likes ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(dtype):
    x, w = X.astype(dtype), W.astype(dtype)
    assert striate.conv2d(x, w).dtype == dtype
    assert striate.conv2d(Tensor(x), w).dtype == dtype


def test_kinds_of_operands():
    want = striate.conv2d(X, W, B)
    assert type(want) is np.ndarray
    assert type(striate.conv2d(Tensor(X), W, B)) is Tensor
    assert type(striate.conv2d(X, Tensor(W), B)) is Tensor
    locked = X.copy()
    locked.flags.writeable = False
    misaligned = np.frombuffer(b"\0" + X.tobytes(), X.dtype, offset=1).reshape(X.shape)
    for x in (locked, misaligned, X.astype(">f4"), np.asfortranarray(X), memoryview(X)):
        assert np.array_equal(striate.conv2d(x, W, B), want)
    lists = striate.conv2d(X.astype(float).tolist(), W.astype(float).tolist())
    assert lists.dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X.astype(int), W), TypeError, "conv2d: input has dtype int64"),
        ((X, W.astype(np.float16)), TypeError, "conv2d: weight has dtype float16"),
        ((X, W.astype(bool)), TypeError, "conv2d: weight has dtype bool"),
        ((X.astype(object), W), TypeError, "conv2d: input has dtype object"),
        ((np.ma.masked_array(X), W), TypeError, "conv2d: input is a masked array"),
        ((X, np.ones((1, 1)).view(np.matrix)), TypeError, "conv2d: weight is a numpy.matrix"),
        ((X, W.astype(np.float64)), TypeError, "conv2d: input is float32, but weight is float64"),
        ((X, W, B.astype(np.float64)), TypeError, "input is float32, but bias is float64"),
        ((X, W, None, 1.5), TypeError, "conv2d: stride must be an int, got 1.5"),
        ((X, W, None, True), TypeError, "conv2d: stride must be an int, got True"),
        ((X, W, None, "2"), TypeError, "conv2d: stride must be an int, got '2'"),
        ((X, W, None, (1, 2, 3)), ValueError, r"stride must be an int or 2 ints, got \(1, 2, 3\)"),
        ((X, W, None, 2**63), ValueError, "stride must fit in 64 bits"),
        ((X, W, None, 1, "most"), ValueError, "padding must be numbers or one of"),
        ((X, W, None, 1, (1, 2, 3)), ValueError, "padding must be an int, 2 ints or 2 pairs"),
        ((X, W, None, 1, ((1, 2, 3), 1)), ValueError, "padding must be an int or 2 ints"),
        ((X, W, None, 1, 0.5), TypeError, "padding must be an int, got 0.5"),
        ((X, W, None, 1, -(2**64)), ValueError, "padding must fit in 64 bits"),
        ((X, W, None, 1, 0, None), TypeError, "dilation must be an int, got None"),
        ((X, W, None, 1, 0, 1, 1.0), TypeError, "groups must be an int, got 1.0"),
        # meaning, checked in C++
        ((X, W, None, 0), ValueError, "conv2d: stride"),
        ((X, W, None, 0, "same"), ValueError, "conv2d: stride"),
        ((X, W, None, 1, -1), ValueError, "conv2d: padding"),
        ((X, W, None, 1, 2**62), ValueError, "conv2d"),
        ((X, W, None, 1, 0, 0), ValueError, "conv2d: dilation"),
        ((X, W, None, 1, 0, 1, 0), ValueError, "conv2d: groups"),
        ((X, W[:, :2]), ValueError, "conv2d: input"),
        ((X[0], W), ValueError, "conv2d: input"),
        ((X[0], W, None, 1, "same"), ValueError, "conv2d: input"),
        ((X, W[0]), ValueError, "conv2d"),
        ((X, W, B[:2]), ValueError, "conv2d: bias"),
        ((X[:, :, :2], W), ValueError, "conv2d"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_calls_of_conv2d(arguments, error, message):
    with pytest.raises(error, match=message):
        striate.conv2d(*arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.conv2d(X, W, memory_format="nhwc"), ValueError, "memory_format must be None"),
        (lambda: ops.conv2d(X, W, out=[]), TypeError, "conv2d: out must be a numpy.ndarray"),
        (lambda: ops.conv2d(X, W, out=Tensor(X)), TypeError, "out must be a numpy.ndarray"),
        (lambda: ops.conv2d_input_grad(3, W, X), TypeError, "input_shape must be a tuple of ints"),
        (lambda: ops.conv2d_input_grad((1.0, 2), W, X), TypeError, "input_shape must be an int"),
        (lambda: ops.conv2d_weight_grad(X, "ab", X), TypeError, "weight_shape must be a tuple"),
        (lambda: ops.conv_transpose2d(X, W), ValueError, "conv_transpose2d"),
        (lambda: ops.conv_transpose2d(X, X[0]), ValueError, "weight must have 4 dimensions"),
        (lambda: ops.conv_transpose2d(X, W.swapaxes(0, 1), None, 2, 0, 2), ValueError,
         "output_padding must be at least 0 and smaller than stride"),
        (lambda: ops.conv_transpose2d(X, W.swapaxes(0, 1), padding="same"), ValueError,
         "padding must be numbers or 'valid'"),
        (lambda: ops.conv_transpose2d(X, W.swapaxes(0, 1), padding=9), ValueError,
         "padding must be smaller"),
        (lambda: ops.max_pool2d(X, 2.0), TypeError, "max_pool2d: kernel_size must be an int"),
        (lambda: ops.max_pool2d(X, (2, 2, 2)), ValueError, "max_pool2d: kernel_size must be an"),
        (lambda: ops.max_pool2d(X.astype(int), 2), TypeError, "max_pool2d: input has dtype int64"),
        (lambda: ops.max_pool2d_input_grad(X.shape, X, X), TypeError, "indices must be int64"),
        (lambda: ops.avg_pool2d(X, 2, divisor_override=1.5), TypeError, "divisor_override must be"),
        (lambda: ops.global_avg_pool(X[0, 0]), ValueError, "must have 1 to 3 spatial axes"),
        (lambda: ops.downsample(X, 1.5), TypeError, "downsample: factor must be an int"),
        (lambda: ops.upsample_zeros(X, 2, (1, 2, 3)), ValueError, "output_size must be an int or"),
        (lambda: ops.interpolate(X), ValueError, "give one of size and scale_factor"),
        (lambda: ops.interpolate(X, 2, 2.0), ValueError, "give one of size and scale_factor"),
        (lambda: ops.interpolate(X, 2, mode="quintic"), ValueError, "mode must be 'nearest', "),
        (lambda: ops.interpolate(X, 2, mode="trilinear"), ValueError, "mode must be 'nearest'"),
        (lambda: ops.interpolate(X, 2, align_corners=True), ValueError, "align_corners has no"),
        (lambda: ops.interpolate(X, scale_factor=-1.0), ValueError, "scale_factor must be"),
        (lambda: ops.interpolate(X, scale_factor=np.nan), ValueError, "scale_factor must be"),
        (lambda: ops.pad(X, (1, 2, 3)), ValueError, "pad: padding must be an int, 2 ints"),
        (lambda: ops.pad(X, 1, value="x"), TypeError, "pad: value must be a number, got 'x'"),
        (lambda: ops.interpolate(X, scale_factor="2"), TypeError, "scale_factor must be a number"),
        (lambda: ops.interpolate(X, scale_factor=(2, 2, 2)), ValueError, "number or 2 numbers"),
        (lambda: ops.dropout(X, None), TypeError, "dropout: p must be a number, got None"),
        (lambda: ops.batch_norm(X, B[:3], B[:3], eps="0"), TypeError, "eps must be a number"),
        (lambda: ops.linear(X, W[:, 0, 0]), ValueError, r"linear: input \(2, 3, 7, 6\) and weight"),
        (lambda: ops.linear(X[0, 0], B), ValueError, "linear"),
        (lambda: ops.softmax(X, 4), ValueError, "softmax: dim must be an axis of 4 dimensions"),
        (lambda: ops.log_softmax(X, 1.0), TypeError, "log_softmax: dim must be an int"),
        (lambda: ops.dropout(X, 1.5), ValueError, r"dropout: p must be a probability"),
        (lambda: ops.batch_norm(X, None, None), ValueError, "give running_mean and running_var"),
        (lambda: ops.batch_norm(X, B, B), ValueError, "has 3 channels, but running_mean has shape"),
        (lambda: ops.batch_norm(X[:1, :, :1, :1], None, None, training=True), ValueError,
         "more than one value a channel"),
        (lambda: ops.batch_norm(X, B[:3], B[:3], eps=-1.0), ValueError, "eps must not be negative"),
        (lambda: ops.cross_entropy(X[0, 0], np.zeros(7)), TypeError, "target must be integers"),
        (lambda: ops.cross_entropy(X[0, 0], [0] * 6), ValueError, "does not fit target"),
        (lambda: ops.cross_entropy(X[0, 0], [6] + [0] * 6), ValueError, "class 6, but .* 6 "),
        (lambda: ops.cross_entropy(X[0, 0], [-1] + [0] * 6), ValueError, "target names class -1"),
        (lambda: ops.mse_loss(X, X[0]), ValueError, "must have one shape"),
        (lambda: ops.mse_loss(X, X, "max"), ValueError, "reduction must be 'mean', 'sum' or"),
        (lambda: striate.explain("conv2d", (3, 3), (3, 3)), ValueError, "must have 4 axes"),
        (lambda: striate.explain("conv9d", X.shape, W.shape), ValueError, "op must be one of"),
        (lambda: striate.set_num_threads(0), ValueError, "threads"),
        (lambda: striate.set_num_threads(1.5), TypeError, "count must be an int"),
    ],
)  # fmt: skip
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- out= and memory formats ---------------------------------------------------------------------


def test_out_is_filled_and_returned():
    want = striate.conv2d(X, W)
    out = np.empty_like(want)
    assert striate.conv2d(X, W, out=out) is out and np.array_equal(out, want)
    out = np.empty(B.shape, np.float32)
    assert striate.conv_bias_grad(want, out=out) is out


def test_out_and_recording_exclude_each_other():
    out = np.empty(striate.conv2d(X, W).shape, np.float32)
    w = Tensor(W, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"conv2d: out= cannot be used with a Tensor that requi"):
        striate.conv2d(X, w, out=out)
    with no_grad():
        assert striate.conv2d(X, w, out=out).numpy() is out


def test_linear_takes_any_leading_axes_and_out():
    x, w = X[:, :, :, :5], RNG.integers(-3, 4, (2, 5)).astype(np.float32)
    want = x @ w.T
    assert np.array_equal(striate.linear(x, w), want)
    assert np.array_equal(striate.linear(x[0, 0, 0], w), want[0, 0, 0])
    out = np.empty(want.shape, np.float32)
    assert striate.linear(x, w, out=out) is out and np.array_equal(out, want)
    with pytest.raises(ValueError, match="out must be C-contiguous"):
        striate.linear(x, w, out=np.empty(want.shape[::-1], np.float32).T)


def test_memory_format_is_forced():
    y = striate.conv2d(X, W, memory_format="channels_last")
    assert striate.memory_format(y) == "channels_last"
    assert np.array_equal(y, striate.conv2d(X, W))


# ---- what is easily got wrong --------------------------------------------------------------------


def test_inputs_are_never_modified():
    x, w, b = X.copy(), W.copy(), B.copy()
    y = striate.conv2d(x, w, b)
    ops.relu(y)
    ops.dropout(y, 0.5, rng=0)
    ops.cross_entropy(y, np.zeros((2, *y.shape[2:]), int))
    assert np.array_equal(x, X) and np.array_equal(w, W) and np.array_equal(b, B)
    assert np.array_equal(y, striate.conv2d(X, W, B))


def test_cross_entropy_is_stable():
    scores = np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32)
    losses = ops.cross_entropy(scores, [1, 0], "none")
    assert losses.tolist() == [1e4, 1e4]
    assert ops.cross_entropy(scores, [0, 1]) == 0.0


def test_batch_norm_updates_its_running_statistics():
    x = RNG.normal(size=(4, 3, 5, 2))
    mean, var = np.zeros(3), np.ones(3)
    y = ops.batch_norm(x, mean, var, training=True, momentum=0.25)
    assert np.allclose(mean, 0.25 * x.mean((0, 2, 3)))
    assert np.allclose(var, 0.75 + 0.25 * x.var((0, 2, 3), ddof=1))
    assert np.allclose(y.mean((0, 2, 3)), 0.0) and np.allclose(y.var((0, 2, 3)), 1.0, atol=1e-4)


@pytest.mark.parametrize("shape", ((2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 4, 5)))
@pytest.mark.parametrize("whole_channels", (False, True))
def test_dropout_keeps_the_memory_format(shape, whole_channels):
    fn = getattr(ops, f"dropout{len(shape) - 2}d") if whole_channels else ops.dropout
    x = np.ones(shape, np.float32)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    y, z = fn(x, 0.5, rng=3), fn(last, 0.5, rng=3)
    assert y.flags.c_contiguous and np.moveaxis(z, 1, -1).flags.c_contiguous
    assert 0 < (z == 0).sum() < z.size


def test_dropout_keeps_the_mean_and_repeats_with_its_rng():
    x = np.ones((100, 100), np.float32)
    y = ops.dropout(x, 0.25, rng=3)
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1.0 / 0.75)}
    assert abs(y.mean() - 1.0) < 0.02
    assert np.array_equal(y, ops.dropout(x, 0.25, rng=3))
    assert not np.array_equal(y, ops.dropout(x, 0.25, rng=4))
    assert ops.dropout(x, 1.0).max() == 0.0 and ops.dropout(x, 0.9, training=False) is x


def test_num_threads_comes_back():
    before = striate.get_num_threads()
    with pytest.raises(KeyError), striate.num_threads(1):
        assert striate.get_num_threads() == 1
        raise KeyError
    assert striate.get_num_threads() == before


def test_explain_names_the_choice():
    told = striate.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), padding="same")
    assert told["chosen"] == "tiles"
    assert told["output_shape"] == (1, 4, 8, 8)
    declined = {row["name"]: row["declined"] for row in told["candidates"]}
    assert declined["tiles"] is None and "lanes" in declined["groups"]
    costs = {row["name"]: row["predicted"] for row in told["candidates"]}
    assert costs["tiles"] > 0 and costs["groups"] is None and costs["reference"] is None
    assert list(declined)[-1] == "reference"
    deep = striate.explain("conv2d_weight_grad", (1, 32, 8, 8), (32, 1, 3, 3), groups=32)
    assert deep["chosen"] == "groups"
