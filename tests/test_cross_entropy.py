"""Softmax cross-entropy with class numbers, and its gradient, against float64 NumPy."""

import numpy as np
import pytest
import reference as ref
import striate
from problems import lay_out
from striate import Tensor, _core, gradcheck

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))
LAYOUTS = ("contiguous", "channels_last", "negative", "transposed", "sliced", "offset")
# Rows packed side by side, rows of whole and of ragged registers, images, work for several threads.
SHAPES = (
    *((7, classes) for classes in (1, 2, 10, 31, 32, 33, 47, 64, 67)),
    *((rows, 5) for rows in (1, 2, 15, 16, 17, 33)),
    (3, 1000),
    (2, 3, 5),
    (2, 19, 5, 9),
    (2, 70, 3, 4),
    (1, 3, 2, 3, 4),
    (700, 33),
    (2, 21, 40, 41),
)


def expected(scores, target, grad):
    """Losses and the gradient of ``(losses * grad).sum()``, in float64."""
    rows = np.moveaxis(scores.astype(np.float64), 1, -1)
    logs, hot = ref.log_softmax(rows, -1), np.eye(rows.shape[-1])[target]
    gradient = (np.exp(logs) - hot) * grad[..., None]
    return -np.take_along_axis(logs, target[..., None], -1)[..., 0], np.moveaxis(gradient, -1, 1)


def problem(shape, seed, scale=3.0):
    rng = np.random.default_rng(seed)
    rows = (shape[0], *shape[2:])
    target = rng.integers(0, shape[1], rows)
    return rng.normal(size=shape) * scale, target, rng.normal(size=rows)


@DTYPES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_losses_and_gradient_of_any_shape_layout_and_machine(shape, dtype, machines):
    scores, target, grad = problem(shape, len(shape))
    scores, grad = scores.astype(dtype), grad.astype(dtype)
    losses, gradient = expected(scores, target, grad)
    close = {"rtol": 2e-6, "atol": 4e-6} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    rng = np.random.default_rng(1)
    for layout in LAYOUTS:
        laid = lay_out(scores, layout, rng)
        bits = {}
        for machine in machines:
            x = Tensor(laid, requires_grad=True)
            got = striate.cross_entropy(x, target, "none")
            got.backward(grad)
            line = f"{layout} {machine}"
            np.testing.assert_allclose(got.numpy(), losses, **close, err_msg=line)
            np.testing.assert_allclose(x.grad, gradient, **close, err_msg=line)
            of_isa = bits.setdefault(machine.split()[0], set())
            of_isa.add(got.numpy().tobytes() + x.grad.tobytes())
        assert all(len(seen) == 1 for seen in bits.values()), layout


@pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
@pytest.mark.parametrize("shape", ((6, 4), (2, 5, 3, 4)))
def test_reductions(shape, reduction):
    scores, target, _ = problem(shape, 2)
    losses, _ = expected(scores, target, np.ones(target.shape))
    want, weight = {
        "mean": (losses.mean(), 1 / target.size),
        "sum": (losses.sum(), 1.0),
        "none": (losses, 1.0),
    }[reduction]
    x = Tensor(scores, requires_grad=True)
    got = striate.cross_entropy(x, target, reduction)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-13)
    np.testing.assert_allclose(striate.cross_entropy(scores, target, reduction), want, rtol=1e-13)
    got.backward(np.ones(got.shape))
    _, gradient = expected(scores, target, np.full(target.shape, weight))
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
@pytest.mark.parametrize("layout", ("contiguous", "channels_last"))
@pytest.mark.parametrize("shape", ((3, 4), (2, 3, 2, 2), (2, 40)))
def test_gradcheck(shape, layout, reduction):
    scores, target, _ = problem(shape, 3, scale=1.0)
    leaf = Tensor(lay_out(scores, layout, None), requires_grad=True)
    assert gradcheck(lambda x: striate.cross_entropy(x, target, reduction), [leaf])


@DTYPES
@pytest.mark.parametrize("classes", (3, 33))  # packed, and a row of registers
def test_extreme_scores(classes, dtype, machines):
    most = float(np.finfo(dtype).max)
    scores = np.zeros((6, classes), dtype)
    scores[0, 0] = most  # certain, and right
    scores[1, 0] = most  # certain, and wrong
    scores[2] = -most
    scores[3, 1:] = -np.inf  # forbidden classes
    scores[4, 1] = -np.inf  # the class itself is forbidden
    scores[5] = 1e4
    target = np.array([0, 1, 1, 0, 1, 2])
    want = [0, most, np.log(classes), 0, np.inf, np.log(classes)]
    for machine in machines:
        x = Tensor(scores, requires_grad=True)
        losses = striate.cross_entropy(x, target, "none")
        np.testing.assert_allclose(losses.numpy(), want, rtol=1e-6, err_msg=machine)
        losses.backward(np.ones(6, dtype))
        assert np.isfinite(x.grad).all(), machine
        assert np.abs(x.grad.sum(1)).max() < 1e-5, machine
        assert x.grad[1, 0] == 1 and x.grad[1, 1] == -1 and not x.grad[[0, 3]].any(), machine


@pytest.mark.parametrize("classes", (3, 33))
@pytest.mark.parametrize("wrong", (np.nan, np.inf, "none"))
def test_a_row_without_a_finite_maximum_is_nan_and_others_are_not(classes, wrong, machines):
    for at in (0, 1, classes - 1):
        scores = np.ones((18, classes), np.float32)
        if wrong == "none":
            scores[4] = -np.inf
        else:
            scores[4, at] = wrong
        for machine in machines:
            x = Tensor(scores, requires_grad=True)
            losses = striate.cross_entropy(x, np.ones(18, int), "none")
            losses.backward(np.ones(18, np.float32))
            assert np.flatnonzero(np.isnan(losses.numpy())).tolist() == [4], machine
            assert np.flatnonzero(np.isnan(x.grad).any(1)).tolist() == [4], machine


@pytest.mark.parametrize(
    "target, error, match",
    [
        ([0, 3], ValueError, r"target names class 3, but input \(2, 3\) has 3 classes"),
        ([-1, 0], ValueError, "target names class -1"),
        ([0, 1 << 62], ValueError, "target names class"),
        (np.array([0, (1 << 64) - 1], np.uint64), ValueError, "target names class"),
        ([0], ValueError, r"does not fit target of shape \(1,\)"),
        ([[0, 1]], ValueError, "does not fit target"),
        (0, ValueError, r"does not fit target of shape \(\)"),
        ([0.0, 1.0], TypeError, "target must be integers"),
        ([True, False], TypeError, "target must be integers"),
        (np.ma.array([0, 1], mask=[0, 1]), TypeError, "target must be integers"),
    ],
)
def test_bad_targets(target, error, match):
    for scores in (np.zeros((2, 3)), Tensor(np.zeros((2, 3)), requires_grad=True)):
        with pytest.raises(error, match=f"cross_entropy: .*{match}"):
            striate.cross_entropy(scores, target)


def test_the_core_itself_never_follows_a_bad_target():
    scores, kept, grad = np.zeros((2, 3)), np.zeros((2, 2)), np.ones(2)
    for bad in (np.array([0, 3]), np.array([-1, 0]), np.array([0])):
        with pytest.raises(ValueError, match="cross_entropy"):
            _core.cross_entropy_forward("cross_entropy", scores, bad)
        with pytest.raises(ValueError, match="cross_entropy_grad"):
            _core.cross_entropy_grad(scores, bad, kept, grad, None)
    good = np.array([0, 2])
    with pytest.raises(TypeError, match="C-contiguous int64"):
        _core.cross_entropy_forward("cross_entropy", scores, np.array([0, 9, 2, 9])[::2])
    with pytest.raises(TypeError, match="target"):
        _core.cross_entropy_forward("cross_entropy", scores, np.array([0.0, 2.0]))
    with pytest.raises(ValueError, match="kept"):
        _core.cross_entropy_grad(scores, good, kept[:1], grad, None)
    with pytest.raises(ValueError, match="grad_output"):
        _core.cross_entropy_grad(scores, good, kept, grad[:1], None)


@pytest.mark.parametrize("kind", (np.int8, np.uint8, np.int32, np.uint64, ">i4", ">i8"))
def test_any_integers_in_any_order_are_class_numbers(kind):
    scores, target, _ = problem((6, 5), 4)
    want = striate.cross_entropy(scores, target)
    assert striate.cross_entropy(scores, target.astype(kind)) == want
    assert striate.cross_entropy(scores, np.repeat(target, 2).astype(kind)[::2]) == want


def test_no_rows():
    for shape in ((0, 3), (2, 3, 0)):
        x = Tensor(np.zeros(shape), requires_grad=True)
        target = np.zeros((shape[0], *shape[2:]), int)
        assert striate.cross_entropy(x, target, "none").shape == target.shape
        total = striate.cross_entropy(x, target, "sum")
        assert total.numpy() == 0.0
        total.backward()
        assert x.grad.shape == shape
    with pytest.raises(ValueError, match=r"target names class 0, but .* 0 classes"):
        striate.cross_entropy(np.zeros((2, 0)), [0, 0])
