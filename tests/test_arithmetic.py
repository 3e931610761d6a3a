"""Native arithmetic of two arrays, and the fused addition and ReLU, against NumPy."""

import numpy as np
import pytest
import striate
from problems import lay_out
from striate import Tensor, _core

OPS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "add_relu": lambda a, b: np.maximum(a + b, 0),
}
LAYOUTS = ("contiguous", "channels_last", "negative", "transposed", "sliced", "offset", "broadcast")
DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))


def numbers(rng, shape, dtype):
    return np.asarray(rng.integers(1, 9, shape) * rng.choice((-0.5, 1), shape), dtype)


@DTYPES
@pytest.mark.parametrize("name", OPS)
def test_any_size_and_layout_to_the_bit(name, dtype, machines):
    rng = np.random.default_rng(0)
    native = getattr(_core, name)
    for shape in ((0,), (), (1,), (7,), (33,), (3, 5, 67), (2, 16, 31, 33)):
        first, second = LAYOUTS[rng.integers(7)], LAYOUTS[rng.integers(7)]
        a, b = numbers(rng, shape, dtype), numbers(rng, shape, dtype)
        if len(shape) > 2:
            a, b = lay_out(a, first, rng), lay_out(b, second, rng)
        want = OPS[name](a, b)
        for machine in machines:
            got = native(a, b, None)
            assert got.shape == shape and got.dtype == dtype
            assert np.array_equal(got, want), f"{shape} {first} {second} {machine}"


@pytest.mark.parametrize(
    "shape, other",
    [
        ((4, 5, 6), ()),
        ((4, 5, 6), (1,)),
        ((4, 5, 6), (6,)),
        ((4, 5, 6), (5, 1)),
        ((4, 5, 6), (4, 1, 1)),
        ((0, 5), (5,)),
    ],
)
@pytest.mark.parametrize("name", OPS)
def test_either_operand_may_repeat(name, shape, other):
    rng = np.random.default_rng(1)
    a, b = numbers(rng, shape, np.float32), numbers(rng, other, np.float32)
    native, want = getattr(_core, name), OPS[name]
    assert np.array_equal(native(a, b, None), want(a, b))
    assert np.array_equal(native(b, a, None), want(b, a))


@pytest.mark.parametrize("shape, other", [((4, 3), (4,)), ((4, 1), (1, 4)), ((4, 3), (2, 3))])
def test_what_no_operand_has_the_shape_of_is_refused(shape, other):
    with pytest.raises(ValueError, match=r"add: shapes .* do not fit"):
        _core.add(np.ones(shape), np.ones(other), None)


@pytest.mark.parametrize("layout", ("contiguous", "channels_last", "negative"))
def test_in_place_but_not_across(layout):
    rng = np.random.default_rng(2)
    x = numbers(rng, (2, 3, 5, 7), np.float32)
    y = numbers(rng, x.shape, np.float32)
    for place in (0, 1):
        operands = [
            lay_out(x, layout, rng).copy(order="K"),
            lay_out(y, layout, rng).copy(order="K"),
        ]
        out = operands[place]
        assert striate.add_relu(*operands, out=out) is out
        assert np.array_equal(out, np.maximum(x + y, 0))
    out = x.copy()
    assert np.array_equal(striate.relu(out, out=out), np.maximum(x, 0))
    long = np.zeros(20, np.float32)
    with pytest.raises(ValueError, match="add_relu: out shares memory"):
        striate.add_relu(long[:-1], np.ones(19, np.float32), out=long[1:])


@pytest.mark.parametrize("size", (1, 1 << 15))  # NumPy's and ours
@pytest.mark.parametrize("symbol", ("+", "-", "*", "/"))
def test_tensors_of_all_sizes_give_numpys_numbers_and_gradients(symbol, size, machines):
    rng = np.random.default_rng(3)
    shape = (size, 2, 3)
    for other in (shape, (2, 1), ()):
        a, b, g = (numbers(rng, s, np.float64) for s in (shape, other, shape))
        of_a = {"+": g, "-": g, "*": g * b, "/": g / b}[symbol]
        of_b = {"+": g, "-": -g, "*": g * a, "/": -g * a / b**2}[symbol]
        lead = of_b.ndim - b.ndim
        repeated = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(b.shape) if n == 1)
        of_b = of_b.sum(axis=repeated).reshape(b.shape)
        for machine in machines:
            x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
            z = eval(f"x {symbol} y")
            assert np.array_equal(z.numpy(), eval(f"a {symbol} b")), machine
            z.backward(g)
            assert np.allclose(x.grad, of_a, rtol=1e-13, atol=0), machine
            assert np.allclose(y.grad, of_b, rtol=1e-10, atol=1e-8), machine


@DTYPES
def test_add_relu_and_its_gradient(dtype, machines):
    rng = np.random.default_rng(4)
    a, b, g = (rng.integers(-3, 4, (2, 5, 7, 9)).astype(dtype) for _ in range(3))
    for machine in machines:
        x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
        z = striate.add_relu(x, y)
        assert np.array_equal(z.numpy(), np.maximum(a + b, 0)), machine
        z.backward(g)
        assert np.array_equal(x.grad, g * (a + b > 0)), machine
        assert np.array_equal(y.grad, x.grad) and not np.shares_memory(x.grad, y.grad), machine


def test_add_relu_keeps_nan_and_refuses_other_shapes():
    x = np.array([np.nan, 1, -np.inf], np.float32)
    assert np.array_equal(striate.add_relu(x, x), [np.nan, 2, 0], equal_nan=True)
    with pytest.raises(ValueError, match=r"add_relu: input and other must have one shape"):
        striate.add_relu(x, x[:1])
    with pytest.raises(TypeError, match="add_relu"):
        striate.add_relu(x, x.astype(np.float64))
