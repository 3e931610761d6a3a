"""Residual and activation fused into a convolution: the same bits as one step after the other."""

import itertools

import numpy as np
import pytest
import reference as ref
import striate
from problems import conv_problem
from striate import Tensor, grad, gradcheck

RNG = np.random.default_rng(21)
STEPS = {
    "relu": striate.relu,
    "leaky_relu": lambda x: striate.leaky_relu(x, 0.01),
    "sigmoid": striate.sigmoid,
    "tanh": striate.tanh,
}
PROBLEMS = 300


def integers(shape, dtype=np.float32):
    return RNG.integers(-3, 4, shape).astype(dtype)


def layouts(array):
    """The same array, contiguous, channels-last, and sliced out of a larger one backwards."""
    yield array
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)[..., ::-2]
    wide[...] = array
    yield wide


def normal(array):
    """Denormals (of a sigmoid far to the left) are zero inside convolution, and only there."""
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, 0, array)


def fused(x, w, bias, residual, activation, **window):
    function = getattr(striate, f"conv{x.ndim - 2}d")
    return function(x, w, bias, residual=residual, activation=activation, exact=True, **window)


def test_random_problems_equal_the_oracle(machines):
    """relu(conv + bias + residual) on integers, for tails of channels and widths of all kinds."""
    for number in range(PROBLEMS):
        problem = conv_problem(22, number)
        x, w, bias, g = problem.arrays()
        total = ref.conv_forward(*(a.astype(np.int64) for a in (x, w, bias)), **problem.window)
        residual = integers(g.shape, problem.dtype)
        want = np.maximum(total + residual.astype(np.int64), 0)
        for machine in machines:
            got = fused(x, w, bias, residual, "relu", **problem.window)
            assert got.dtype == problem.dtype, f"{machine}: {problem}"
            assert np.array_equal(got, want), f"{machine}: {problem}"


@pytest.mark.parametrize("groups", [1, 2, 16])
@pytest.mark.parametrize("activation", [None, *STEPS])
def test_layouts_and_activations_equal_the_separate_steps(machines, activation, groups):
    window = {"padding": 1, "groups": groups}
    x, residual, w = (
        integers((2, 16, 9, 11)),
        integers((2, 48, 9, 11)),
        integers((48, 16 // groups, 3, 3)),
    )
    bias = integers(48)
    for machine in machines:
        step = STEPS.get(activation, lambda y: y)
        want = normal(step(striate.conv2d(x, w, bias, exact=True, **window) + residual))
        for image, added in itertools.product(layouts(x), layouts(residual)):
            got = fused(image, w, bias, added, activation, **window)
            assert np.array_equal(normal(got), want), machine
        for out in layouts(np.full(want.shape, np.nan, np.float32)):
            got = fused(x, w, bias, residual, activation, out=out, **window)
            assert got is out and np.array_equal(normal(out), want), machine
        want = normal(step(striate.conv2d(x, w, exact=True, **window)))
        assert np.array_equal(normal(fused(x, w, None, None, activation, **window)), want), machine


@pytest.mark.parametrize("activation", STEPS)
def test_algorithms_that_round_agree_with_the_separate_steps(machines, activation):
    """Without exact=True a plan may take Winograd, whose sums are the same either way."""
    x, w = RNG.standard_normal((2, 32, 29, 31)), RNG.standard_normal((32, 32, 3, 3))
    residual, bias = RNG.standard_normal((2, 32, 29, 31)), RNG.standard_normal(32)
    x, w, residual, bias = (a.astype(np.float32) for a in (x, w, residual, bias))
    for machine in machines:
        got = striate.conv2d(x, w, bias, padding=1, residual=residual, activation=activation)
        want = STEPS[activation](striate.conv2d(x, w, bias, padding=1) + residual)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-4, err_msg=machine)


def test_without_channels_and_by_the_naive_road():
    nothing = fused(
        np.zeros((1, 0, 4, 4), np.float32),
        np.zeros((3, 0, 3, 3), np.float32),
        np.float32([1, -1, 2]),
        -np.ones((1, 3, 2, 2), np.float32),
        "relu",
    )
    assert np.array_equal(nothing[0, :, 0, 0], [0, 0, 1])
    x, w, residual = integers((1, 3, 6, 6)), integers((4, 3, 3, 3)), integers((1, 4, 4, 4))
    naive = striate.conv2d(x, w, residual=residual, activation="relu", workspace=0)
    assert np.array_equal(naive, fused(x, w, None, residual, "relu"))


@pytest.mark.parametrize("activation", [None, *STEPS])
def test_gradients(activation):
    shapes = [(2, 3, 5, 4), (4, 3, 3, 2), (4,), (2, 4, 3, 3)]
    leaves = [Tensor(RNG.standard_normal(shape), requires_grad=True) for shape in shapes]

    def function(x, w, b, r):
        return striate.conv2d(x, w, b, residual=r, activation=activation)

    assert gradcheck(function, leaves)


def test_second_gradients_go_through_the_fused_call():
    x = Tensor(RNG.standard_normal((1, 2, 4, 4)), requires_grad=True)
    w = Tensor(RNG.standard_normal((3, 2, 3, 3)), requires_grad=True)

    def slope(x, w):
        y = striate.conv2d(x, w, activation="tanh").sum()
        (dx,) = grad(y, [x], create_graph=True)
        return (dx * dx).sum()

    assert gradcheck(slope, [x, w])


def test_tensors_that_record_nothing_take_the_fused_call_too():
    x, w = integers((1, 2, 5, 5)), integers((3, 2, 3, 3))
    want = fused(x, w, None, None, "relu")
    weight = Tensor(w, requires_grad=True)
    with striate.no_grad():
        quiet = striate.conv2d(Tensor(x), weight, activation="relu")
    loud = striate.conv2d(Tensor(x), weight, activation="relu")
    assert not quiet.requires_grad and loud.requires_grad
    assert np.array_equal(quiet.numpy(), want) and np.array_equal(loud.numpy(), want)


def test_bad_calls_are_refused():
    x, w = integers((1, 2, 5, 5)), integers((3, 2, 3, 3))
    for activation in ("gelu", 3, x):
        with pytest.raises(ValueError, match="conv2d: activation must be None, 'relu'"):
            striate.conv2d(x, w, activation=activation)
    with pytest.raises(ValueError, match=r"conv2d: residual must have shape \(1, 3, 3, 3\)"):
        striate.conv2d(x, w, residual=integers((1, 3, 3, 4)))
    with pytest.raises(TypeError, match="input is float32, but residual is float64"):
        striate.conv2d(x, w, residual=np.zeros((1, 3, 3, 3)))
    residual = integers((1, 3, 3, 3))
    with pytest.raises(ValueError, match="out shares memory with an input"):
        striate.conv2d(x, w, residual=residual, out=residual)


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weight_and_bias_gradients_of_one_pass_are_those_made_apart(dtype, groups):
    x = RNG.integers(-3, 4, (3, 8, 9, 10)).astype(dtype)
    w = RNG.integers(-3, 4, (16, 8 // groups, 3, 3)).astype(dtype)
    grad = RNG.integers(-3, 4, (3, 16, 9, 10)).astype(dtype)
    bias = np.zeros(16, dtype)

    def gradients(*wanted):
        tensors = [Tensor(a, requires_grad=wish) for a, wish in wanted]
        y = striate.conv2d(x, *tensors, padding=1, groups=groups, exact=True)
        y.backward(grad)
        return [t.grad for t in tensors]

    both = gradients((w, True), (bias, True))
    alone = gradients((w, True), (bias, False))[0], gradients((w, False), (bias, True))[1]
    for got, want in zip(both, alone, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(both[1], grad.sum((0, 2, 3)))
