"""Pooling and its gradients equal the oracle bit for bit, on every instruction set, 1-3 threads.

Maxima and sums of small integers are exact, and a mean is one correctly rounded division of such
a sum; only the gradient of a mean adds rounded shares, and has a tolerance where they do round.
"""

import numpy as np
import pytest
import reference as ref
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import LAYOUTS, integers, lay_out, pool_problem, rng_of
from striate import _core

SEED = 2
PROBLEMS = 600
BATCH = 100
BATCHES = pytest.mark.parametrize("first", range(0, PROBLEMS, BATCH))


def function(name, problem):
    kind, _, suffix = name.partition("_pool")
    return getattr(striate, f"{kind}_pool{problem.ndim}d{suffix}")


def pool_and_grad(pool, x, g, window):
    """As the tape computes them, which keeps taps rather than the indices of `return_indices`."""
    leaf = striate.Tensor(x, requires_grad=True)
    y = pool(leaf, **window)
    y.backward(g)
    return y.data, leaf.grad


def max_pool_mistakes(problem, machines):
    x, g = problem.input(), problem.grad_output()
    want, want_indices = ref.max_pool(x, **problem.window)
    want_grad = ref.scatter_add(x.shape, want_indices, g)
    for machine in machines:
        y, indices = function("max_pool", problem)(x, **problem.window, return_indices=True)
        alone = function("max_pool", problem)(x, **problem.window)
        grad = function("max_pool_input_grad", problem)(x.shape, indices, g)
        taped, taped_grad = pool_and_grad(function("max_pool", problem), x, g, problem.window)
        right = (
            np.array_equal(y, want)
            and np.array_equal(alone, want)
            and np.array_equal(indices, want_indices)
            and np.array_equal(grad, want_grad)
            and np.array_equal(taped, want)
            and np.array_equal(taped_grad, want_grad)
            and y.dtype == alone.dtype == grad.dtype == problem.dtype
            and indices.dtype == np.int64
        )
        if not right:
            yield f"max_pool {machine}: {problem}"
        if (y * g).sum(dtype=np.float64) != (x * grad).sum(dtype=np.float64):
            yield f"max_pool adjoint defect {machine}: {problem}"


@BATCHES
def test_max_pool(first, machines):
    wrong = [
        line
        for index in range(first, first + BATCH)
        for line in max_pool_mistakes(pool_problem(SEED, index, dilated=True), machines)
    ]
    assert not wrong, "\n".join(wrong[:10])


def avg_pool_mistakes(problem, machines):
    rng = rng_of(SEED + 9, problem.index)
    rules = {
        "count_include_pad": bool(rng.random() < 0.5),
        "divisor_override": (None, None, 1, 8)[rng.integers(4)],
    }
    window = {**problem.dense_window, **rules}
    x, g = problem.input(), problem.grad_output()
    want = ref.avg_pool(x, **window).astype(problem.dtype)
    want_grad = ref.avg_pool_input_grad(x.shape, g, **window)
    # Shares of a power of two are exact in any order of the additions; others round.
    exact = rules["divisor_override"] is not None
    room = 0 if exact else 32 * np.finfo(problem.dtype).eps
    for machine in machines:
        y = function("avg_pool", problem)(x, **window)
        grad = function("avg_pool_input_grad", problem)(x.shape, g, **window)
        if y.dtype != problem.dtype or not np.array_equal(y, want):
            yield f"avg_pool {rules} {machine}: {problem}"
        if grad.shape != x.shape or not np.allclose(grad, want_grad, rtol=room, atol=8 * room):
            yield f"avg_pool_input_grad {rules} {machine}: {problem}"


@BATCHES
def test_avg_pool(first, machines):
    wrong = [
        line
        for index in range(first, first + BATCH)
        for line in avg_pool_mistakes(pool_problem(SEED + 3, index, dilated=False), machines)
    ]
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize("ndim", (1, 2, 3))
def test_global_pools(ndim, machines):
    """They reduce every spatial axis to one pixel and keep the axes."""
    rng = np.random.default_rng(ndim)
    x = rng.integers(-3, 4, (2, 19, *(4, 8, 2)[:ndim])).astype(np.float32)
    axes = tuple(range(2, x.ndim))
    for layout in LAYOUTS:
        laid = lay_out(x, layout, rng)
        for machine in machines:
            largest, mean = striate.global_max_pool(laid), striate.global_avg_pool(laid)
            assert np.array_equal(largest, laid.max(axis=axes, keepdims=True)), (machine, layout)
            assert np.array_equal(mean, laid.mean(axis=axes, keepdims=True)), (machine, layout)


# ---- long rows ---------------------------------------------------------------------------

ROWS = (  # kernel, stride, padding, dilation
    (2, 2, 0, 1),
    (3, 2, 0, 1),
    (3, 2, 1, 1),
    (3, 1, 1, 1),
    (2, 1, 1, 1),
    (3, 3, 1, 1),
    (5, 2, 2, 1),
    (4, 3, 2, 1),
    (7, 5, 3, 1),
    (3, 2, 1, 2),
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 67), st.integers(7, 12), st.integers(7, 150)),
    row=st.sampled_from(ROWS),
    ceil_mode=st.booleans(),
    layout=st.sampled_from(("contiguous", "channels_last", "offset", "negative")),
    dtype=st.sampled_from((np.float32, np.float64)),
    nans=st.sampled_from((0, 0.001, 0.2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_pools_of_long_rows(size, row, ceil_mode, layout, dtype, nans, seed, machines):
    """Rows of several vectors and any rest, with ties, infinities and NaN."""
    rng = np.random.default_rng(seed)
    kernel, stride, padding, dilation = row
    window = {
        "kernel_size": (kernel,) * 2,
        "stride": (stride,) * 2,
        "padding": ((padding, padding),) * 2,
        "ceil_mode": ceil_mode,
    }
    holes = {"dilation": (dilation,) * 2}
    whole = lay_out(integers(rng, size, dtype), layout, rng)
    special = rng.choice(np.array((np.nan, np.inf, -np.inf), dtype), size)
    x = lay_out(np.where(rng.random(size) < nans, special, whole), layout, rng)
    want, indices = ref.max_pool(x, **window, **holes)
    g = lay_out(integers(rng, want.shape, dtype), layout, rng)
    want_grad = ref.scatter_add(size, indices, g)
    rules = {"count_include_pad": bool(seed % 2)}
    mean = ref.avg_pool(whole, **window, **rules).astype(dtype)
    shares = lay_out(integers(rng, mean.shape, dtype), layout, rng)
    mean_grad = ref.avg_pool_input_grad(size, shares, **window, **rules)
    room = 32 * np.finfo(dtype).eps
    for machine in machines:
        y, places = striate.max_pool2d(x, **window, **holes, return_indices=True)
        np.testing.assert_array_equal(y, want, machine)
        np.testing.assert_array_equal(places, indices, machine)
        np.testing.assert_array_equal(striate.max_pool2d(x, **window, **holes), want, machine)
        taped, grad = pool_and_grad(striate.max_pool2d, x, g, window | holes)
        np.testing.assert_array_equal(taped, want, machine)
        np.testing.assert_array_equal(grad, want_grad, machine)
        got = striate.avg_pool2d(whole, **window, **rules)
        np.testing.assert_array_equal(got, mean, machine)
        grad = striate.avg_pool2d_input_grad(size, shares, **window, **rules)
        np.testing.assert_allclose(grad, mean_grad, room, 8 * room, err_msg=machine)


def test_taps_are_kept_for_gradients_where_they_serve():
    """A byte an output; windows with holes, or of more taps than bytes can tell, keep indices."""
    x = striate.Tensor(np.zeros((1, 2, 40, 40), np.float32), requires_grad=True)
    cases = {"taps": (3, 2, 1, 1), "holes": (3, 2, 1, 2), "many": (16, 16, 0, 1)}
    made = {name: striate.max_pool2d(x, *window) for name, window in cases.items()}
    kept = {name: y._node.saved["places"].dtype for name, y in made.items()}
    assert kept == {"taps": np.uint8, "holes": np.int64, "many": np.int64}


def test_channels_last_pixels_of_every_few_channels(machines):
    """Vectors that are wider than a pixel write into the next one, and never out of the result."""
    guard = 64
    for channels in range(2, 20):
        rng = np.random.default_rng(channels)
        for kernel, stride, padding in ((2, 2, 0), (3, 1, 1), (2, 1, 0), (3, 2, 1), (4, 1, 2)):
            pads = ((padding, padding),) * 2
            window = {"kernel_size": (kernel,) * 2, "stride": (stride,) * 2, "padding": pads}
            whole = lay_out(integers(rng, (2, channels, 7, 9), np.float32), "channels_last", rng)
            holed = np.where(rng.random(whole.shape) < 0.02, np.float32(np.nan), whole)
            pools = (
                (striate.max_pool2d, whole, ref.max_pool(whole, **window, dilation=(1, 1))[0]),
                (striate.max_pool2d, holed, ref.max_pool(holed, **window, dilation=(1, 1))[0]),
                (striate.avg_pool2d, whole, ref.avg_pool(whole, **window).astype(np.float32)),
            )
            for pool, x, want in pools:
                n, c, h, w = want.shape
                block = np.empty(want.size + 2 * guard, np.float32)
                out = block[guard:-guard].reshape(n, h, w, c).transpose(0, 3, 1, 2)
                for machine in machines:
                    block[:] = 77
                    pool(x, **window, out=out)
                    line = f"{pool.__name__} {channels=} {window} {machine}"
                    np.testing.assert_array_equal(out, want, line)
                    assert (block[:guard] == 77).all() and (block[-guard:] == 77).all(), line


# ---- NaN, infinities, denormals ----------------------------------------------------------


def test_nan_wins_everywhere_alike(machines):
    """The same NaN and the same index for every tail, layout, instruction set and thread count."""
    window = {
        "kernel_size": (3, 3),
        "stride": (2, 2),
        "padding": ((1, 1), (1, 1)),
        "dilation": (1, 1),
        "ceil_mode": True,
    }
    for channels in (1, 3, 7, 8, 9, 15, 16, 17, 33):
        rng = np.random.default_rng(channels)
        x = rng.standard_normal((2, channels, 9, 11)).astype(np.float32)
        special = rng.choice((np.nan, np.inf, -np.inf, -0.0), x.shape)
        x = np.where(rng.random(x.shape) < 0.15, special, x).astype(np.float32)
        want, want_indices = ref.max_pool(x, **window)
        for layout in ("contiguous", "channels_last", "transposed", "negative"):
            laid = lay_out(x, layout, rng)
            for machine in machines:
                y, indices = striate.max_pool2d(laid, **window, return_indices=True)
                np.testing.assert_array_equal(y, want, f"{channels=} {layout} {machine}")
                np.testing.assert_array_equal(
                    indices, want_indices, f"{channels=} {layout} {machine}"
                )
                alone = striate.max_pool2d(laid, **window)
                np.testing.assert_array_equal(alone, want, f"{channels=} {layout} {machine}")


def test_minus_infinity_is_found_and_padding_is_not():
    """A window of -inf alone answers -inf at its first pixel, not at a padded one."""
    x = np.full((1, 9, 4, 4), -np.inf, np.float32)
    y, indices = striate.max_pool2d(x, 2, padding=1, return_indices=True)
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(indices[0, 0], [[0, 1, 3], [4, 5, 7], [12, 13, 15]])


def test_maximum_of_denormals(machines):
    """Pooling compares denormals as the numbers they are: flushed, they would all tie."""
    tiny = np.float32(1e-42)
    x = np.array([1, 3, 2, 5, 4, 7, 6, 9] * 8, np.float32).reshape(1, 4, 4, 4) * tiny
    want, _ = ref.max_pool(
        x, kernel_size=(2, 2), stride=(2, 2), padding=((0, 0),) * 2, dilation=(1, 1)
    )
    for machine in machines:
        assert np.array_equal(striate.max_pool2d(x, 2), want), machine


def test_ties_go_to_the_first_pixel(machines):
    """PyTorch's rule; lecture 001 would pay every tied pixel, lecture 000 picks one."""
    x = np.zeros((1, 17, 6, 6), np.float32)
    for machine in machines:
        _, indices = striate.max_pool2d(x, 3, return_indices=True)
        np.testing.assert_array_equal(indices[0, 0], [[0, 3], [18, 21]], machine)
        assert (indices == indices[:, :1]).all(), machine


@pytest.mark.parametrize("layout", ("contiguous", "channels_last"))
def test_same_bits_for_any_thread_count(layout, isas):
    rng = np.random.default_rng(4)
    x = lay_out(rng.standard_normal((4, 35, 61, 59)).astype(np.float32), layout, rng)
    g = lay_out(rng.standard_normal((4, 35, 31, 30)).astype(np.float32), layout, rng)
    for isa in isas:
        _core.set_isa(isa)
        bits = set()
        for threads in (1, 2, 3, 4):
            striate.set_num_threads(threads)
            y, indices = striate.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
            mean = striate.avg_pool2d(x, 3, stride=2, padding=1)
            window = {"kernel_size": 3, "stride": 2, "padding": 1}
            grads = (
                striate.max_pool2d_input_grad(x.shape, indices, g),
                *pool_and_grad(striate.max_pool2d, x, g, window),
                striate.avg_pool2d_input_grad(x.shape, g, 3, stride=2, padding=1),
            )
            bits.add(b"".join(a.tobytes() for a in (y, indices, mean, *grads)))
        assert len(bits) == 1, isa
