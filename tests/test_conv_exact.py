"""Convolution and its gradients equal the int64 oracle bit for bit.

3,000 random problems (problems.py) on small integers, each under every instruction set of this
machine and 1, 2 and 3 threads: forward, input, weight and bias gradient, and the adjoint identity
<conv(x, w), g> = <x, dx> = <w, dw> with a defect of exactly 0. A failure names the problem by a
line that makes it again.
"""

import itertools

import numpy as np
import pytest
import reference as ref
import striate
from problems import conv_problem

SEED = 1
PROBLEMS = 3000
BATCH = 100


def functions_of(ndim):
    """(forward, input gradient, weight gradient) for that many spatial axes."""
    return (
        getattr(striate, f"conv{ndim}d"),
        getattr(striate, f"conv{ndim}d_input_grad"),
        getattr(striate, f"conv{ndim}d_weight_grad"),
    )


def oracle(problem, x, w, bias, g):
    x, w, bias, g = (a.astype(np.int64) for a in (x, w, bias, g))
    return {
        "forward": ref.conv_forward(x, w, bias, **problem.window),
        "input_grad": ref.conv_input_grad(x.shape, w, g, **problem.window),
        "weight_grad": ref.conv_weight_grad(x, w.shape, g, **problem.window),
        "bias_grad": ref.conv_bias_grad(g),
    }


def computed(problem, x, w, bias, g):
    forward, input_grad, weight_grad = functions_of(problem.ndim)
    window = {**problem.window, "exact": True}
    return {
        "forward": forward(x, w, bias, **window),
        "input_grad": input_grad(x.shape, w, g, **window),
        "weight_grad": weight_grad(x, w.shape, g, **window),
        "bias_grad": striate.conv_bias_grad(g),
    }


def wrong_results(problem, machines):
    """Yield a line for every result that is not the oracle's, on whichever machine."""
    arrays = problem.arrays()
    copies = [a.copy() for a in arrays]
    want = oracle(problem, *copies)
    for machine in machines:
        got = computed(problem, *arrays)
        for name, result in got.items():
            if result.dtype != problem.dtype or not np.array_equal(result, want[name]):
                yield f"{name} {machine}: {problem}"
        y, dx, dw, db = (result.astype(np.int64) for result in got.values())
        x, w, bias, g = (a.astype(np.int64) for a in copies)
        product = (y * g).sum() - (bias * db).sum()
        defects = product - (x * dx).sum(), product - (w * dw).sum()
        if defects != (0, 0):
            yield f"adjoint defects {defects} {machine}: {problem}"
    if not all(np.array_equal(a, copy) for a, copy in zip(arrays, copies, strict=True)):
        yield f"an input was modified: {problem}"


@pytest.mark.parametrize("first", range(0, PROBLEMS, BATCH))
def test_bit_equal_to_the_int64_oracle(first, machines):
    wrong = [
        line
        for index in range(first, first + BATCH)
        for line in wrong_results(conv_problem(SEED, index), machines)
    ]
    assert not wrong, "\n".join(wrong[:10])


# Channel counts around every vector width and tile, where tails go wrong.
TAILS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65)


@pytest.mark.parametrize("channels_last", (False, True))
@pytest.mark.parametrize("out_channels", TAILS)
def test_every_tail_of_channels_and_pixels(out_channels, channels_last, isas):
    """Widths 1..19 for each channel count: every remainder of a register tile both ways."""
    rng = np.random.default_rng(out_channels)
    window = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    channels = int(rng.integers(1, 20))
    w = rng.integers(-3, 4, (out_channels, channels, 3, 3))
    for width in range(1, 20):
        x, g = (
            rng.integers(-3, 4, (1, channels, 2, width)),
            rng.integers(-3, 4, (1, out_channels, 2, width)),
        )
        want = (
            ref.conv_forward(x, w, **window),
            ref.conv_input_grad(x.shape, w, g, **window),
            ref.conv_weight_grad(x, w.shape, g, **window),
        )
        x32, w32, g32 = (a.astype(np.float32) for a in (x, w, g))
        if channels_last:
            x32, g32 = (np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in (x32, g32))
        for isa in isas:
            striate._core.set_isa(isa)
            got = (
                striate.conv2d(x32, w32, padding=1, exact=True),
                striate.conv2d_input_grad(x.shape, w32, g32, padding=1, exact=True),
                striate.conv2d_weight_grad(x32, w.shape, g32, padding=1, exact=True),
            )
            for name, ours, oracle in zip(
                ("forward", "input_grad", "weight_grad"), got, want, strict=True
            ):
                assert np.array_equal(ours, oracle), f"{name} {isa} {channels=} {width=}"


@pytest.mark.parametrize("ndim", (1, 2, 3))
def test_conv_transpose(ndim, machines):
    """The transposed convolution of ours against the scatter of the reference, bias included."""
    rng = np.random.default_rng(ndim)
    function = getattr(striate, f"conv_transpose{ndim}d")
    for _ in range(60):
        groups, size = int(rng.integers(1, 4)), tuple(rng.integers(1, 7, ndim))
        kernel, stride = tuple(rng.integers(1, 5, ndim)), tuple(rng.integers(1, 4, ndim))
        dilation = tuple(rng.integers(1, 3, ndim))
        extra = tuple(int(rng.integers(0, s)) for s in stride)
        padding = tuple((int(p), int(p)) for p in rng.integers(0, 2, ndim))
        shortest = min(
            (n - 1) * s - 2 * p + d * (k - 1) + 1 + e
            for n, s, (p, _), d, k, e in zip(
                size, stride, padding, dilation, kernel, extra, strict=True
            )
        )
        if shortest < 1:
            continue
        channels, of_group = groups * int(rng.integers(1, 10)), int(rng.integers(1, 10))
        x = rng.integers(-3, 4, (2, channels, *size))
        w = rng.integers(-3, 4, (channels, of_group, *kernel))
        bias = rng.integers(-3, 4, of_group * groups)
        window = {
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
        }
        want = ref.conv_transpose(x, w, bias, **window)
        x32, w32, b32 = (a.astype(np.float32) for a in (x, w, bias))
        for machine in machines:
            got = function(x32, w32, b32, **window, exact=True)
            assert np.array_equal(got, want), f"{machine} {x.shape} {w.shape} {window}"


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_padding_by_name(size, stride):
    """Padding "same": ceil(n / stride) pixels, the odd one last; "valid": no padding."""
    rng = np.random.default_rng(size)
    for kernel in range(1, 6):
        x = rng.integers(-3, 4, (1, 2, size))
        w = rng.integers(-3, 4, (3, 2, kernel))
        window = {"stride": (stride,), "dilation": (1,)}
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        same = ((total // 2, total - total // 2),)
        x32, w32 = x.astype(np.float32), w.astype(np.float32)
        got = striate.conv1d(x32, w32, stride=stride, padding="same", exact=True)
        assert got.shape[2] == -(-size // stride)
        assert np.array_equal(got, ref.conv_forward(x, w, padding=same, **window))
        if kernel <= size:
            got = striate.conv1d(x32, w32, stride=stride, padding="valid", exact=True)
            assert np.array_equal(got, ref.conv_forward(x, w, padding=((0, 0),), **window))


def test_wide_kernels_and_strides_in_groups():
    """A tile of many columns would need a slab of 2^31 elements; tiles shrink instead."""
    kernel = 270_000
    x, w = np.ones((1, 4, 2), np.float32), np.ones((4, 1, kernel), np.float32)
    y = striate.conv1d(x, w, stride=kernel, padding=(256 * kernel - 2) // 2, groups=4)
    assert y.shape == (1, 4, 256)
    assert y.sum() == 4 * 2


@pytest.mark.parametrize("stride, kernel", ((10**6, 2_000), (40_000, 40_000), (7, 40_000)))
def test_input_gradient_of_wide_strides(stride, kernel):
    """As many phases as taps, not as the stride has positions."""
    w = np.arange(1, kernel + 1, dtype=np.float64).reshape(1, 1, -1)
    size = max(stride, kernel)
    dx = striate.conv1d_input_grad((1, 1, size), w, np.ones((1, 1, 1)), stride=stride)
    np.testing.assert_array_equal(dx[0, 0, :kernel], w[0, 0])
    assert not dx[0, 0, kernel:].any()


@pytest.mark.parametrize("channels_last", (False, True))
@pytest.mark.parametrize(
    "size, kernel, stride, padding",
    ((5, 5, 1, (0, 0)), (5, 3, 3, (0, 0)), (4, 6, 2, (1, 1)), (2, 4, 1, (2, 0)), (1, 3, 1, (1, 1))),
)
def test_one_output(size, kernel, stride, padding, channels_last, machines):
    """Kernels that cover the image, or step over what is left of it."""
    rng = np.random.default_rng(size + kernel)
    x, w = rng.integers(-4, 5, (9, 18, size, size)), rng.integers(-4, 5, (20, 18, kernel, kernel))
    g = rng.integers(-4, 5, (9, 20, 1, 1))
    form = {"stride": (stride, stride), "padding": (padding, padding), "dilation": (1, 1)}
    want = (
        ref.conv_forward(x, w, **form),
        ref.conv_input_grad(x.shape, w, g, **form),
        ref.conv_weight_grad(x, w.shape, g, **form),
    )
    assert want[0].shape == g.shape
    floats = [a.astype(np.float32) for a in (x, w, g)]
    if channels_last:
        floats = [np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in floats]
    x, w, g = floats
    for machine in machines:
        got = (
            striate.conv2d(x, w, **form, exact=True),
            striate.conv2d_input_grad(x.shape, w, g, **form, exact=True),
            striate.conv2d_weight_grad(x, w.shape, g, **form, exact=True),
        )
        for result, expected in zip(got, want, strict=True):
            np.testing.assert_array_equal(result, expected, err_msg=str(machine))


@pytest.mark.parametrize("channels_last", (False, True))
@pytest.mark.parametrize("out_channels", (600, 1100))
def test_input_gradient_of_a_stride_over_many_channels(out_channels, channels_last, machines):
    # More channels than one block of the reduction holds, while phases of the stride share a tile.
    rng = np.random.default_rng(out_channels)
    w = rng.integers(-3, 4, (out_channels, 20, 3, 3)).astype(np.float32)
    g = rng.integers(-3, 4, (2, out_channels, 4, 4)).astype(np.float32)
    if channels_last:
        g = np.ascontiguousarray(g.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    window = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    want = ref.conv_input_grad((2, 20, 7, 7), w.astype(np.int64), g.astype(np.int64), **window)
    for machine in machines:
        got = striate.conv2d_input_grad((2, 20, 7, 7), w, g, exact=True, **window)
        assert np.array_equal(got, want), machine


@pytest.mark.parametrize("channels", ((1, 64), (3, 37), (16, 6), (9, 1)))
@pytest.mark.parametrize("width", (8, 14, 33, 67))
def test_short_sums_and_few_channels(channels, width, machines):
    # Lanes are pixels there: ends of rows, padding above and below, biases of rows.
    ic, oc = channels
    rng = np.random.default_rng(width)
    x = rng.integers(-3, 4, (2, ic, 9, width)).astype(np.float32)
    w = rng.integers(-3, 4, (oc, ic, 5, 3)).astype(np.float32)
    bias = rng.integers(-3, 4, oc).astype(np.float32)
    window = {"stride": (1, 1), "padding": ((4, 4), (1, 1)), "dilation": (1, 1)}
    want = ref.conv_forward(*(a.astype(np.int64) for a in (x, w, bias)), **window)
    for machine in machines:
        assert np.array_equal(striate.conv2d(x, w, bias, exact=True, **window), want), machine


@pytest.mark.parametrize("ndim", (1, 2, 3))
@pytest.mark.parametrize("images", (13, 40, 64))
@pytest.mark.parametrize("channels", ((1, 6), (6, 16), (3, 5), (17, 9)))
def test_images_as_lanes(channels, images, ndim, machines):
    # Most taps are on padding, so that batches of small images go that way.
    ic, oc = channels
    rng = np.random.default_rng(images + ndim)
    conv = getattr(striate, f"conv{ndim}d")
    grad = getattr(striate, f"conv{ndim}d_input_grad")
    for stride, dilation, groups, dtype in (
        (1, 1, 1, np.float32),
        (2, 1, 2, np.float32),
        (1, 2, 1, np.float64),
        (3, 2, 1, np.float32),
    ):
        shape = (images, ic * groups, 4, 5, 3)[: ndim + 2]
        x = rng.integers(-3, 4, shape).astype(dtype)
        w = rng.integers(-3, 4, (oc * groups, ic, 5, 3, 4)[: ndim + 2]).astype(dtype)
        bias = rng.integers(-3, 4, oc * groups).astype(dtype)
        window = {
            "stride": (stride,) * ndim,
            "padding": ((4, 3), (1, 2), (5, 4))[:ndim],
            "dilation": (dilation,) * ndim,
            "groups": groups,
        }
        exact = [a.astype(np.int64) for a in (x, w, bias)]
        want = ref.conv_forward(*exact, **window)
        g = rng.integers(-3, 4, want.shape).astype(dtype)
        want_grad = ref.conv_input_grad(shape, exact[1], g.astype(np.int64), **window)
        for machine in machines:
            for view in (lambda a: a, channels_inside, every_other):
                got = conv(view(x), w, bias, exact=True, **window)
                assert np.array_equal(got, want), (machine, window)
                got = grad(shape, w, view(g), exact=True, **window)
                assert np.array_equal(got, want_grad), (machine, window)


def channels_inside(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def every_other(a):
    """The same values, backwards in memory and with gaps."""
    spaced = np.zeros((len(a) * 2, *a.shape[1:-1], a.shape[-1] * 2), a.dtype)[::-2, ..., ::-2]
    spaced[...] = a
    return spaced


@pytest.mark.parametrize("images", (1, 40))
@pytest.mark.parametrize("channels, out_channels", ((1, 1), (1, 8), (16, 2), (3, 64), (40, 48)))
def test_padding_takes_part_in_every_kind_of_tile(channels, out_channels, images, machines):
    """A weight of infinity times a zero of the padding is NaN, wherever the lanes lie."""
    height, width = (8, 20) if images == 1 else (2, 3)
    x = np.ones((images, channels, height, width), np.float32)
    for row, col in itertools.product(range(3), repeat=2):
        w = np.ones((out_channels, channels, 3, 3), np.float32)
        w[:, :, row, col] = np.inf
        want = np.full((images, out_channels, height, width), np.inf, np.float32)
        if row != 1:
            want[:, :, 0 if row == 0 else -1] = np.nan
        if col != 1:
            want[..., 0 if col == 0 else -1] = np.nan
        for machine in machines:
            for last in (False, True):
                image = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
                image = np.moveaxis(image, -1, 1) if last else image
                got = striate.conv2d(image, w, padding=1, exact=True)
                np.testing.assert_array_equal(got, want, err_msg=f"{machine} {row} {col} {last}")
