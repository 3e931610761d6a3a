"""Padding that mirrors, repeats or wraps, its gradient, and the words and modes of convolutions."""

import numpy as np
import pytest
import reference as ref
import reference_shapes as shapes
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import integers, lay_out, pick_layout, rng_of
from striate import Tensor, nn, ops

MODES = ("reflect", "replicate", "circular")
SEED = 31


def problem(index):
    """A random image and padding that every mode takes; now and then a crop."""
    rng = rng_of(SEED, index)
    rank = int(rng.integers(1, 4))
    shape = (int(rng.integers(0, 4)), int(rng.integers(1, 36)), *rng.integers(2, 9, rank))
    most = min(shape[2:]) - 1
    padding = tuple((int(a), int(b)) for a, b in rng.integers(-most // 2, most + 1, (rank, 2)))
    dtype = rng.choice((np.float32, np.float64))
    return rng, lay_out(integers(rng, shape, dtype), pick_layout(rng), rng), padding


@pytest.mark.parametrize("mode", MODES)
def test_pad_and_its_gradient_are_exact(mode, machines):
    for index in range(40):
        rng, x, padding = problem(index)
        want = shapes.pad(x, padding, mode)
        g = lay_out(integers(rng, want.shape, x.dtype), pick_layout(rng), rng)
        want_grad = shapes.pad_grad(x.shape, g, padding, mode)
        assert (want * g).sum(dtype=float) == (x * want_grad).sum(dtype=float)
        for machine in machines:
            leaf = Tensor(x, requires_grad=True)
            y = striate.pad(leaf, padding, mode)
            where = f"{index} {machine} {x.shape} {padding}"
            np.testing.assert_array_equal(y.data, want, err_msg=where)
            (grad,) = striate.grad(y, [leaf], g)
            np.testing.assert_array_equal(grad, want_grad, err_msg=where)
            assert y.dtype == grad.dtype == x.dtype


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODES),
    st.integers(2, 40),
    st.tuples(st.integers(-1, 39), st.integers(-1, 39)),
    st.sampled_from((1, 2, 17)),
    st.booleans(),
)
def test_one_axis_of_any_size(mode, n, pair, channels, last):
    pair = tuple(min(p, n - 1) for p in pair)
    x = np.arange(2 * channels * n, dtype=np.float32).reshape(2, channels, n)
    if last:
        x = np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)
    got = striate.pad(x, (pair,), mode)
    np.testing.assert_array_equal(got, shapes.pad(x, (pair,), mode))


def test_special_numbers_are_copied_bit_by_bit():
    x = np.array([[[-0.0, np.nan, np.inf, 1e-45, -np.inf]]], np.float32)
    y = striate.pad(x, 4, "circular")
    assert y.tobytes() == np.concatenate([x[..., 1:], x, x[..., :4]], -1).tobytes()


def test_empty_images():
    assert striate.pad(np.ones((0, 3, 4)), 2, "reflect").shape == (0, 3, 8)
    assert striate.pad(np.ones((2, 0, 4, 4)), 2, "replicate").shape == (2, 0, 8, 8)


def test_out_is_filled():
    out = np.zeros((1, 1, 5), np.float32)
    y = striate.pad(np.arange(3, dtype=np.float32)[None, None], 1, "reflect", out=out)
    assert y is out
    np.testing.assert_array_equal(out[0, 0], [1, 0, 1, 2, 1])


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(1)
    x = Tensor(rng.standard_normal((3, 40, 60, 50)).astype(np.float32), requires_grad=True)
    bits = set()
    for threads in (1, 2, 3):
        striate.set_num_threads(threads)
        y = striate.pad(x, 20, "replicate")
        (grad,) = striate.grad(y, [x], y.data)
        bits.add(y.data.tobytes() + grad.tobytes())
    assert len(bits) == 1


# ---- words of convolutions -------------------------------------------------------------------


def image(*shape):
    return np.random.default_rng(2).integers(-3, 4, shape).astype(np.float64)


@pytest.mark.parametrize("dilation", (1, 2, 3))
@pytest.mark.parametrize("k", (1, 2, 3, 4, 5))
def test_half_and_full_padding(k, dilation):
    """Half keeps the size for odd kernels; full lets every tap see every pixel."""
    x, w = image(1, 2, 13, 14), image(3, 2, k, k)
    past = dilation * (k - 1)
    full = striate.conv2d(x, w, padding="full", dilation=dilation)
    np.testing.assert_array_equal(full, striate.conv2d(x, w, padding=past, dilation=dilation))
    assert full.shape[2:] == (13 + past, 14 + past)
    half = striate.conv2d(x, w, padding="half", dilation=dilation)
    assert half.shape[2:] == ((13, 14) if past % 2 == 0 else (14, 15))
    np.testing.assert_array_equal(
        half, striate.conv2d(x, w, padding=(past + 1) // 2, dilation=dilation)
    )


@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("dilation", (1, 2, 4))
def test_causal_convolution_sees_no_later_input(dilation, stride):
    x, w = image(2, 3, 20), image(4, 3, 3)
    y = striate.conv1d(x, w, padding="causal", dilation=dilation, stride=stride)
    padded = np.pad(x, ((0, 0), (0, 0), (2 * dilation, 0)))
    window = {"stride": (stride,), "padding": ((0, 0),), "dilation": (dilation,)}
    np.testing.assert_array_equal(y, ref.conv_forward(padded, w, **window))
    changed = x.copy()
    changed[..., 11:] += 1
    later = striate.conv1d(changed, w, padding="causal", dilation=dilation, stride=stride)
    same = -(-11 // stride)
    np.testing.assert_array_equal(later[..., :same], y[..., :same])
    assert (later[..., same:] != y[..., same:]).any()
    grad = striate.conv1d_input_grad(
        x.shape, w, y, padding="causal", dilation=dilation, stride=stride
    )
    assert (grad * x).sum() == (y * y).sum()


def test_causal_layer_keeps_the_length():
    layer = nn.Conv1d(2, 3, 3, padding="causal", dilation=4, rng=0)
    x = image(1, 2, 9).astype(np.float32)
    assert layer(x).shape == (1, 3, 9)
    assert "padding='causal'" in repr(layer)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("padding", (2, "same"))
def test_padding_mode_of_layers(mode, rank, padding):
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[rank]
    layer = conv(2, 3, 4, padding=padding, padding_mode=mode, rng=0, dtype=np.float64)
    x = image(2, 2, *(6, 7, 5)[:rank])
    pair = (2, 2) if padding == 2 else (1, 2)
    want = getattr(ops, f"conv{rank}d")(
        shapes.pad(x, (pair,) * rank, mode), layer.weight.data, layer.bias.data
    )
    np.testing.assert_allclose(layer(x).data, want, rtol=1e-12, atol=1e-12)
    assert f"padding_mode='{mode}'" in repr(layer)


def test_padding_layers_take_the_last_axis_first():
    x = image(1, 2, 5, 6)
    got = nn.ReflectionPad2d((1, 2, 3, 4))(x)
    np.testing.assert_array_equal(got, shapes.pad(x, ((3, 4), (1, 2)), "reflect"))
    y = image(1, 2, 5, 6, 7)
    got = nn.ConstantPad3d((1, 0, 2, 0, 3, 0), 7)(y)
    np.testing.assert_array_equal(got, ref.pad(y, ((3, 0), (2, 0), (1, 0)), 7))
