"""Group, layer, instance and local response normalisation against the float64 reference."""

import itertools

import numpy as np
import pytest
import reference_norms as ref
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import lay_out
from striate import Tensor, _core, grad, nn

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))
SHAPES = ((5, 6), (3, 12, 1), (3, 12, 9), (2, 8, 8, 9), (20, 4, 3, 3), (2, 36, 4, 3, 5))


def tolerance(dtype):
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}


def numbers(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


@DTYPES
@pytest.mark.parametrize("shape", SHAPES)
def test_group_norm_and_its_gradients(shape, dtype, machines):
    rng = np.random.default_rng(len(shape))
    x, g = numbers(rng, shape, dtype) * 3 + 1, numbers(rng, shape, dtype)
    weight, bias = numbers(rng, shape[1], dtype), numbers(rng, shape[1], dtype)
    wide = [v.astype(np.float64) for v in (x, g, weight, bias)]
    eps = 1e-3  # groups of one or two elements have next to no variance
    close = tolerance(dtype)
    for groups in (1, 2, shape[1]):
        want = ref.group_norm(wide[0], groups, wide[2], wide[3], eps)
        wants = ref.group_norm_grad(wide[0], wide[1], groups, wide[2], eps)
        for layout in ("contiguous", "channels_last", "negative"):
            laid = lay_out(x, layout, rng) if len(shape) > 2 else x
            for machine in machines:
                line = f"groups={groups} {layout} {machine}"
                leaves = [Tensor(v, requires_grad=True) for v in (laid, weight, bias)]
                y = striate.group_norm(leaves[0], groups, *leaves[1:], eps=eps)
                np.testing.assert_allclose(y.numpy(), want, **close, err_msg=line)
                for got, expected in zip(grad(y, leaves, g), wants, strict=True):
                    scale = 1 + np.abs(expected).max()
                    np.testing.assert_allclose(
                        got, expected, rtol=0, atol=scale * close["rtol"], err_msg=line
                    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_group_norm_of_any_shape_and_strides(data):
    """Slices, steps backwards and permuted axes of a random array."""
    rank = data.draw(st.integers(2, 5))
    groups, group = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    spatial = data.draw(st.lists(st.integers(1, 7), min_size=rank - 2, max_size=rank - 2))
    shape = (data.draw(st.integers(1, 4)), groups * group, *spatial)
    steps = data.draw(st.lists(st.sampled_from((1, 2, -1)), min_size=rank, max_size=rank))
    order = data.draw(st.permutations(range(rank)))
    rng = np.random.default_rng(rank)
    stored = [shape[axis] * abs(step) for axis, step in zip(order, steps, strict=True)]
    whole = rng.standard_normal(stored)[tuple(slice(None, None, s) for s in steps)]
    x = whole.transpose(np.argsort(order))
    g, weight = np.asfortranarray(rng.standard_normal(shape)), rng.standard_normal(shape[1])
    leaves = [Tensor(v, requires_grad=True) for v in (x, weight, np.zeros(shape[1]))]
    y = striate.group_norm(leaves[0], groups, *leaves[1:], eps=0.1)
    want = ref.group_norm(x, groups, weight, np.zeros(shape[1]), 0.1)
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-10, atol=1e-11)
    for got, expected in zip(
        grad(y, leaves, g), ref.group_norm_grad(x, g, groups, weight, 0.1), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


def test_group_norm_has_the_same_bits_for_any_thread_count(isas):
    rng = np.random.default_rng(3)
    for shape, groups in (((8, 32, 20, 21), 8), ((2, 24, 33, 40), 1), ((40, 6, 5, 5), 6)):
        x, g = (numbers(rng, shape, np.float32) for _ in range(2))
        for layout in ("contiguous", "channels_last"):
            laid, up = lay_out(x, layout, rng), lay_out(g, layout, rng)
            for isa in isas:
                _core.set_isa(isa)
                bits = set()
                for threads in (1, 2, 3, 4):
                    striate.set_num_threads(threads)
                    y, mean, var = _core.group_norm("n", laid, groups, None, None, 1e-5, None)
                    parts = _core.group_norm_grad("n", laid, up, groups, mean, var, None, 1e-5)
                    bits.add(b"".join(a.tobytes() for a in (y, mean, var, *parts)))
                assert len(bits) == 1, (isa, layout, shape)


def test_group_norm_far_from_zero_does_not_cancel():
    x = (np.random.default_rng(4).standard_normal((4, 8, 30, 30)) + 1e4).astype(np.float32)
    x[:, 1] += 50  # channels of a group may lie apart
    got = striate.group_norm(x, 2)
    want = ref.group_norm(x.astype(np.float64), 2, np.ones(8), np.zeros(8), 1e-5)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("layout", ("contiguous", "channels_last"))
def test_formats_are_kept(layout):
    x = lay_out(np.random.default_rng(1).standard_normal((2, 6, 4, 5)), layout, None)
    for y in (
        striate.group_norm(x, 3),
        striate.instance_norm(x),
        striate.layer_norm(x, (6, 4, 5)),
        striate.local_response_norm(x, 3),
        striate.normalize(x),
    ):
        assert y.strides == x.strides


@DTYPES
@pytest.mark.parametrize(
    "shape, inner", (((7, 5), 5), ((2, 3, 4), (3, 4)), ((2, 3, 4, 5), 5), ((6,), 6), ((0, 3), 3))
)
def test_layer_norm(shape, inner, dtype):
    rng = np.random.default_rng(5)
    inner_shape = (inner,) if isinstance(inner, int) else inner
    axes = tuple(range(len(shape) - len(inner_shape), len(shape)))
    x, g = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
    w, b = numbers(rng, inner_shape, dtype), numbers(rng, inner_shape, dtype)
    leaves = [Tensor(v, requires_grad=True) for v in (x, w, b)]
    y = striate.layer_norm(leaves[0], inner, *leaves[1:])
    wide = x.astype(np.float64)
    normal = ref.standard(wide, axes, 1e-5)
    close = tolerance(dtype)
    np.testing.assert_allclose(y.numpy(), normal * w + b, **close)
    dx, dw, db = grad(y, leaves, g)
    lead = tuple(range(axes[0]))
    np.testing.assert_allclose(dx, ref.standard_grad(wide, g * w, axes, 1e-5), **close)
    np.testing.assert_allclose(dw, (g * normal).sum(lead), **close)
    np.testing.assert_allclose(db, g.sum(lead), **close)


@DTYPES
@pytest.mark.parametrize("count", (1, 3, 8, 31, 64, 67, 768, 1500))
@pytest.mark.parametrize("rows", (1, 5, 130))
def test_layer_norm_of_rows(rows, count, dtype, machines):
    """Tails of registers, blocks of sums and of rows, with and without weight and bias."""
    rng = np.random.default_rng(count)
    x, g = numbers(rng, (rows, count), dtype) * 3 + 1, numbers(rng, (rows, count), dtype)
    weight, bias = numbers(rng, count, dtype), numbers(rng, count, dtype)
    eps, close = 1e-2, tolerance(dtype)
    wide = [v.astype(np.float64) for v in (x, g, weight, bias)]
    normal = ref.standard(wide[0], 1, eps)
    wants = [
        ref.standard_grad(wide[0], wide[1] * wide[2], (1,), eps),
        (wide[1] * normal).sum(0),
        wide[1].sum(0),
    ]
    for machine in machines:
        leaves = [Tensor(v, requires_grad=True) for v in (x, weight, bias)]
        y = striate.layer_norm(leaves[0], count, *leaves[1:], eps=eps)
        want = normal * wide[2] + wide[3]
        np.testing.assert_allclose(y.numpy(), want, **close, err_msg=str(machine))
        for got, expected in zip(grad(y, leaves, g), wants, strict=True):
            scale = 1 + np.abs(expected).max()
            np.testing.assert_allclose(
                got, expected, rtol=0, atol=scale * close["rtol"], err_msg=str(machine)
            )
        half = striate.layer_norm(x, count, bias=bias, eps=eps)
        np.testing.assert_allclose(half, normal + wide[3], **close)
        half = striate.layer_norm(x[::-1], count, weight, eps=eps)
        np.testing.assert_allclose(half[::-1], normal * wide[2], **close)


@pytest.mark.parametrize("shape, inner", (((3, 6, 4, 5), 3), ((3, 4, 4), 2), ((2, 3, 4, 5), 2)))
def test_layer_norm_of_any_order_of_axes(shape, inner):
    rng = np.random.default_rng(11)
    axes, size = tuple(range(len(shape) - inner, len(shape))), shape[len(shape) - inner :]
    w, b, g = rng.standard_normal(size), rng.standard_normal(size), rng.standard_normal(shape)
    for order in itertools.permutations(range(len(shape))):
        stored = rng.standard_normal([shape[axis] for axis in order])
        x = stored.transpose(np.argsort(order))
        leaves = [Tensor(v, requires_grad=True) for v in (x, w, b)]
        y = striate.layer_norm(leaves[0], size, *leaves[1:])
        normal = ref.standard(x, axes, 1e-5)
        np.testing.assert_allclose(y.numpy(), normal * w + b, **tolerance(np.float64))
        (dx,) = grad(y, leaves[:1], g)
        np.testing.assert_allclose(dx, ref.standard_grad(x, g * w, axes, 1e-5), rtol=0, atol=1e-11)


def test_layer_norm_of_long_rows():
    """Rows that leave the cache take the passes of group norm."""
    rng = np.random.default_rng(12)
    x, w, b = rng.standard_normal((2, 1 << 17)), *rng.standard_normal((2, 1 << 17))
    want = ref.standard(x, 1, 1e-5) * w + b
    np.testing.assert_allclose(striate.layer_norm(x, 1 << 17, w, b), want, rtol=1e-9, atol=1e-10)


def test_layer_norm_has_the_same_bits_for_any_thread_count(isas):
    rng = np.random.default_rng(13)
    x, g = numbers(rng, (700, 131), np.float32), numbers(rng, (700, 131), np.float32)
    w = numbers(rng, 131, np.float32)
    for isa in isas:
        _core.set_isa(isa)
        bits = set()
        for threads in (1, 2, 3, 4):
            striate.set_num_threads(threads)
            y, mean, var = _core.group_norm("n", x, 1, w, None, 1e-5, None)
            parts = _core.group_norm_grad("n", x, g, 1, mean, var, w, 1e-5)
            bits.add(b"".join(a.tobytes() for a in (y, mean, var, *parts)))
        assert len(bits) == 1, isa


def test_layer_norm_far_from_zero_does_not_cancel():
    x = (np.random.default_rng(14).standard_normal((4, 3000)) + 1e4).astype(np.float32)
    x[0, 0] = 3e4  # an element that lies apart
    want = ref.standard(x.astype(np.float64), 1, 1e-5)
    np.testing.assert_allclose(striate.layer_norm(x, 3000), want, rtol=1e-5, atol=1e-5)
    for spoilt in (np.nan, np.inf):
        x[1, 7] = spoilt
        rows = np.isnan(striate.layer_norm(x, 3000))
        assert rows[1].all() and not rows[[0, 2, 3]].any()


@DTYPES
def test_instance_norm_moves_its_running_statistics(dtype):
    rng = np.random.default_rng(6)
    x = numbers(rng, (4, 3, 5, 6), dtype) + 2
    mean, var = np.zeros(3, dtype), np.ones(3, dtype)
    y = striate.instance_norm(x, mean, var, momentum=0.3)
    close = tolerance(dtype)
    np.testing.assert_allclose(y, ref.standard(x.astype(float), (2, 3), 1e-5), **close)
    np.testing.assert_allclose(mean, 0.3 * x.mean((2, 3)).mean(0), **close)
    unbiased = x.var((2, 3), ddof=1).mean(0)
    np.testing.assert_allclose(var, 0.7 + 0.3 * unbiased, **close)
    kept = mean.copy(), var.copy()
    got = striate.instance_norm(x, mean, var, use_input_stats=False)
    np.testing.assert_array_equal((mean, var), kept)
    np.testing.assert_array_equal(got, striate.batch_norm(x, mean, var))


@DTYPES
@pytest.mark.parametrize("layout", ("contiguous", "channels_last", "negative"))
@pytest.mark.parametrize("size", (1, 2, 3, 4, 5, 11))
def test_local_response_norm(size, layout, dtype):
    rng = np.random.default_rng(7)
    x = lay_out(numbers(rng, (2, 7, 3, 4), dtype) * 3, layout, rng)
    for average in (True, False):
        options = (size, 0.1, 0.6, 1.5, average)
        want = ref.local_response_norm(x.astype(np.float64), *options)
        got = striate.local_response_norm(x, *options)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, **tolerance(dtype))


def test_krizhevskys_formula_and_pytorchs_differ_by_the_size():
    x = np.random.default_rng(8).standard_normal((2, 9, 4, 4))
    theirs = striate.local_response_norm(x, 5, 1e-4, 0.75, 2.0, average=False)
    np.testing.assert_allclose(theirs, striate.local_response_norm(x, 5, 5e-4, 0.75, 2.0))


@DTYPES
@pytest.mark.parametrize("p", (1.0, 2.0, 3.5, np.inf))
def test_normalize(p, dtype):
    x = np.random.default_rng(9).standard_normal((3, 5, 4)).astype(dtype)
    x[1, :, 2] = 0
    for dim in (0, 1, -1):
        want = ref.normalize(x.astype(np.float64), p, dim, 1e-12)
        got = striate.normalize(x, p, dim)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, **tolerance(dtype))
    spoilt = np.array([[1.0, np.nan], [3.0, 4.0]], dtype)
    assert np.isnan(striate.normalize(spoilt, p)).tolist() == [[True, True], [False, False]]
    leaf = Tensor(x, requires_grad=True)
    (dx,) = grad(striate.normalize(leaf, p, 1, 0.5), [leaf], np.ones_like(x))
    np.testing.assert_allclose(dx[1, :, 2], 2)  # shorter than eps: x / eps
    assert np.isfinite(dx).all()


def test_layers_keep_what_they_track():
    layer = nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
    x = np.random.default_rng(10).standard_normal((2, 3, 4, 5)).astype(np.float32)
    layer(x)
    assert (layer.running_mean != 0).all()
    expected = striate.batch_norm(x, layer.running_mean, layer.running_var)
    np.testing.assert_allclose(layer.eval()(x).numpy(), expected, rtol=1e-6)


def test_layer_norm_takes_any_integer():
    x = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(striate.layer_norm(x, np.int64(4)), striate.layer_norm(x, (4,)))


def test_a_zero_has_no_share_in_the_slope_of_a_small_norm():
    """1 / (1 + sqrt(2)) ** 2 = 0.1716 for the zero: what PyTorch gives."""
    x = Tensor(np.array([[0.0, 1.0, 2.0]]), requires_grad=True)
    (striate.normalize(x, 0.5) * np.array([[1.0, 2.0, 3.0]])).sum().backward()
    assert np.isfinite(x.grad).all()
    assert x.grad[0, 0] == pytest.approx(1 / (1 + np.sqrt(2)) ** 2)
    assert (x.grad * x.data).sum() == pytest.approx(0)  # length does not matter
