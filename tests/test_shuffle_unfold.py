"""Pixel and channel shuffles, im2col and col2im: exact for every layout, ISA and thread count."""

import numpy as np
import pytest
import reference_shapes as shapes
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import LAYOUTS, integers, lay_out, pick_layout, rng_of
from striate import Tensor

SEED = 51


def problem(index):
    """A rank, a factor an axis, and an image whose channels and axes both split by it."""
    rng = rng_of(SEED, index)
    rank = int(rng.integers(1, 4))
    factor = tuple(int(r) for r in rng.integers(1, 5, rank))
    channels = int(rng.integers(1, 6)) * int(np.prod(factor))
    size = tuple(int(n) * r for n, r in zip(rng.integers(1, 7, rank), factor, strict=True))
    shape = (int(rng.integers(0, 3)), channels, *size)
    dtype = rng.choice((np.float32, np.float64))
    return rng, lay_out(integers(rng, shape, dtype), pick_layout(rng), rng), factor


def check(op, want, x, rng, machines):
    """Result, gradient by the adjoint identity, on every machine."""
    for machine in machines:
        leaf = Tensor(x, requires_grad=True)
        y = op(leaf)
        np.testing.assert_array_equal(y.data, want, err_msg=f"{machine} {x.shape}")
        assert y.dtype == x.dtype
    g = integers(rng, want.shape, x.dtype)
    (grad,) = striate.grad(y, [leaf], g)
    assert (grad * x).sum(dtype=float) == (g * want).sum(dtype=float)
    return g, grad


def test_pixel_shuffle_and_back(machines):
    for index in range(30):
        rng, x, factor = problem(index)
        want = shapes.pixel_shuffle(x, factor)
        g, grad = check(lambda t, r=factor: striate.pixel_shuffle(t, r), want, x, rng, machines)
        np.testing.assert_array_equal(grad, shapes.pixel_unshuffle(g, factor))
        np.testing.assert_array_equal(striate.pixel_unshuffle(want, factor), x)
        want = shapes.pixel_unshuffle(x, factor)
        check(lambda t, r=factor: striate.pixel_unshuffle(t, r), want, x, rng, machines)


def test_channel_shuffle(machines):
    for index in range(30):
        rng, x, factor = problem(index)
        groups = int(np.prod(factor))
        want = shapes.channel_shuffle(x, groups)
        g, grad = check(lambda t, g=groups: striate.channel_shuffle(t, g), want, x, rng, machines)
        np.testing.assert_array_equal(grad, shapes.channel_shuffle(g, x.shape[1] // groups))


@pytest.mark.parametrize("r", (2, 3))
def test_shuffle_of_images_worth_threads(r, machines):
    x = np.arange(2 * 4 * r * r * 40 * 37, dtype=np.float32).reshape(2, 4 * r * r, 40, 37)
    want = shapes.pixel_shuffle(x, (r, r))
    for layout in ("contiguous", "channels_last"):
        laid = lay_out(x, layout, np.random.default_rng(0))
        for _ in machines:
            y = striate.pixel_shuffle(laid, r)
            np.testing.assert_array_equal(y, want)
            assert striate.memory_format(y) == layout
            np.testing.assert_array_equal(striate.pixel_unshuffle(y, r), x)


def test_shuffles_in_a_format_of_choice():
    x = np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6)
    for op in (striate.pixel_shuffle, striate.pixel_unshuffle, striate.channel_shuffle):
        y = op(x, 2, memory_format="channels_last")
        assert striate.memory_format(y) == "channels_last"
        np.testing.assert_array_equal(y, op(x, 2))


# ---- copies between any strides ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=0, max_size=6),
    st.randoms(use_true_random=False),
    st.sampled_from((np.float32, np.float64)),
)
def test_copy_of_any_transposition(shape, random, dtype):
    x = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    order, other = list(range(len(shape))), list(range(len(shape)))
    random.shuffle(order)
    random.shuffle(other)
    source = x.transpose(order)
    inverse = np.argsort(other)
    target = np.zeros([source.shape[i] for i in other], dtype).transpose(inverse)
    striate._core.copy("copy", source, target)
    np.testing.assert_array_equal(target, source)


# ---- windows as columns ----------------------------------------------------------------------


def window_problem(index):
    rng = rng_of(SEED + 1, index)
    rank = int(rng.integers(1, 4))
    window = {
        "kernel_size": tuple(int(k) for k in rng.integers(1, 4, rank)),
        "dilation": tuple(int(d) for d in rng.integers(1, 4, rank)),
        "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2))),
        "stride": tuple(int(s) for s in rng.integers(1, 4, rank)),
    }
    room = [
        max(d * (k - 1) + 1 - low - high, 1)
        for k, d, (low, high) in zip(
            window["kernel_size"], window["dilation"], window["padding"], strict=True
        )
    ]
    size = tuple(r + int(n) for r, n in zip(room, rng.integers(0, 6, rank), strict=True))
    shape = (int(rng.integers(0, 3)), int(rng.integers(1, 4)), *size)
    return rng, shape, window


def test_unfold_and_fold_are_exact_and_adjoint(machines):
    for index in range(50):
        rng, shape, window = window_problem(index)
        dtype = rng.choice((np.float32, np.float64))
        x = lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)
        columns = shapes.unfold(x, **window)
        g = lay_out(integers(rng, columns.shape, dtype), pick_layout(rng), rng)
        images = shapes.fold(g, shape[2:], **window)
        assert (columns * g).sum(dtype=float) == (x * images).sum(dtype=float)
        for machine in machines:
            where = f"{index} {machine} {shape} {window}"
            leaf, column_leaf = Tensor(x, requires_grad=True), Tensor(g, requires_grad=True)
            y = striate.unfold(leaf, **window)
            np.testing.assert_array_equal(y.data, columns, err_msg=where)
            np.testing.assert_array_equal(striate.grad(y, [leaf], g)[0], images, err_msg=where)
            z = striate.fold(column_leaf, shape[2:], **window)
            np.testing.assert_array_equal(z.data, images, err_msg=where)
            back = striate.grad(z, [column_leaf], x)[0]
            np.testing.assert_array_equal(back, columns, err_msg=where)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_unfold_reads_any_layout(layout):
    rng = np.random.default_rng(0)
    x = lay_out(rng.integers(-3, 4, (2, 3, 8, 9)).astype(np.float32), layout, rng)
    want = shapes.unfold(
        x, kernel_size=(3, 2), dilation=(1, 2), padding=((1, 1), (0, 0)), stride=(2, 1)
    )
    got = striate.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1))
    np.testing.assert_array_equal(got, want)
    assert got.flags.c_contiguous


def test_convolution_is_a_product_with_the_columns():
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (2, 3, 7, 8)).astype(np.float64)
    w = rng.integers(-3, 4, (4, 3, 3, 2)).astype(np.float64)
    y = w.reshape(4, -1) @ striate.unfold(x, (3, 2), 1, 1, 2)
    np.testing.assert_array_equal(
        y.reshape(2, 4, 4, 5), striate.conv2d(x, w, stride=2, padding=1, exact=True)
    )


def test_fold_counts_the_windows_that_cover_a_pixel():
    columns = striate.unfold(np.ones((1, 1, 4, 5)), 3)
    count = striate.fold(columns, (4, 5), 3)
    np.testing.assert_array_equal(count[0, 0], np.outer([1, 2, 2, 1], [1, 2, 3, 2, 1]))


def test_fold_into_a_format_and_an_array():
    columns = np.arange(2 * 27 * 20, dtype=np.float32).reshape(2, 27, 20)
    want = striate.fold(columns, (6, 7), 3)
    last = striate.fold(columns, (6, 7), 3, memory_format="channels_last")
    assert striate.memory_format(last) == "channels_last"
    np.testing.assert_array_equal(last, want)
    out = np.empty_like(want)
    assert striate.fold(columns, (6, 7), 3, out=out) is out
    np.testing.assert_array_equal(out, want)
