"""Losses and their gradients beside PyTorch's, over a grid of options."""

import numpy as np
import pytest
import striate
from striate import Tensor, grad, nn

torch = pytest.importorskip("torch")
F = torch.nn.functional

REDUCTIONS = pytest.mark.parametrize("reduction", ("mean", "sum", "none"))
SHAPES = pytest.mark.parametrize("shape", ((6, 4), (3, 4, 5), (2, 4, 3, 5)))


def compare(ours, theirs, *values):
    leaves = [Tensor(v, requires_grad=True) for v in values]
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    loss, want = ours(*leaves), theirs(*tensors)
    np.testing.assert_allclose(loss.numpy(), want.detach(), rtol=1e-10, atol=1e-12)
    g = np.random.default_rng(9).standard_normal(want.shape)
    want.backward(torch.tensor(g))
    for got, tensor in zip(grad(loss, leaves, g), tensors, strict=True):
        np.testing.assert_allclose(got, tensor.grad, rtol=1e-8, atol=1e-11)


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


REGRESSIONS = (
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.5}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
)


@REDUCTIONS
@pytest.mark.parametrize("name, options", REGRESSIONS)
def test_losses_of_a_difference(name, options, reduction):
    compare(
        lambda x, t: getattr(striate, name)(x, t, reduction, **options),
        lambda x, t: getattr(F, name)(x, t, reduction=reduction, **options),
        draw((5, 7)),
        draw((5, 7), 1),
    )


@REDUCTIONS
@SHAPES
@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("ignore_index", (-100, 2))
@pytest.mark.parametrize("smoothing", (0.0, 0.1))
def test_class_numbers(shape, weighted, ignore_index, smoothing, reduction):
    target = np.random.default_rng(1).integers(0, 4, (shape[0], *shape[2:]))
    target[1] = ignore_index
    weight = np.array([0.5, 1.0, 2.0, 0.1]) if weighted else None
    theirs = {
        "weight": None if weight is None else torch.tensor(weight),
        "ignore_index": ignore_index,
        "reduction": reduction,
    }
    ours = {**theirs, "weight": weight}
    compare(
        lambda x: striate.cross_entropy(x, target, **ours, label_smoothing=smoothing),
        lambda x: F.cross_entropy(x, torch.tensor(target), **theirs, label_smoothing=smoothing),
        draw(shape),
    )
    if not smoothing:
        compare(
            lambda x: striate.nll_loss(x, target, **ours),
            lambda x: F.nll_loss(x, torch.tensor(target), **theirs),
            draw(shape),
        )


@REDUCTIONS
@SHAPES
@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("smoothing", (0.0, 0.1))
def test_probabilities(shape, weighted, smoothing, reduction):
    target = np.random.default_rng(1).random(shape)
    weight = np.array([0.5, 1.0, 2.0, 0.1]) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}
    compare(
        lambda x, t: striate.cross_entropy(x, t, weight=weight, **options),
        lambda x, t: F.cross_entropy(
            x, t, weight=None if weight is None else torch.tensor(weight), **options
        ),
        draw(shape),
        target,
    )


@REDUCTIONS
@pytest.mark.parametrize("weighted", (False, True))
def test_binary_cross_entropy(weighted, reduction):
    rng = np.random.default_rng(2)
    x, t = rng.random((5, 4)), rng.random((5, 4))
    weight = rng.random((5, 4)) if weighted else None
    other = None if weight is None else torch.tensor(weight)
    compare(
        lambda x, t: striate.binary_cross_entropy(x, t, reduction, weight=weight),
        lambda x, t: F.binary_cross_entropy(x, t, other, reduction=reduction),
        x,
        t,
    )
    x[0], t[0] = [0, 1, 0, 1], [0, 0, 1, 1]  # where PyTorch's gradient of the target is infinite
    compare(
        lambda x: striate.binary_cross_entropy(x, t, reduction, weight=weight),
        lambda x: F.binary_cross_entropy(x, torch.tensor(t), other, reduction=reduction),
        x,
    )
    positive = rng.random(4) if weighted else None
    compare(
        lambda x, t: striate.binary_cross_entropy_with_logits(
            x, t, reduction, weight=weight, pos_weight=positive
        ),
        lambda x, t: F.binary_cross_entropy_with_logits(
            x,
            t,
            other,
            reduction=reduction,
            pos_weight=None if positive is None else torch.tensor(positive),
        ),
        draw((5, 4)),
        t,
    )


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", ("mean", "batchmean", "sum", "none"))
@pytest.mark.parametrize("log_target", (False, True))
def test_kl_div(log_target, reduction):
    target = np.random.default_rng(3).random((4, 5))
    compare(
        lambda x, t: striate.kl_div(x, t, reduction, log_target),
        lambda x, t: F.kl_div(x, t, reduction=reduction, log_target=log_target),
        draw((4, 5)),
        np.log(target) if log_target else target,
    )


@pytest.mark.parametrize(
    "name", "MSELoss L1Loss HuberLoss SmoothL1Loss BCELoss BCEWithLogitsLoss KLDivLoss".split()
)
@pytest.mark.filterwarnings("ignore:reduction")
def test_modules_have_the_defaults_of_pytorch(name):
    x, t = np.random.default_rng(4).random((2, 6, 3))
    want = getattr(torch.nn, name)()(torch.tensor(x), torch.tensor(t))
    np.testing.assert_allclose(getattr(nn, name)()(x, t), want, rtol=1e-12)


@pytest.mark.parametrize("name", ("CrossEntropyLoss", "NLLLoss"))
def test_modules_of_class_numbers(name):
    x, target = draw((5, 3)), np.array([0, 2, -100, 1, 2])
    weight = np.array([1.0, 2.0, 0.5])
    ours = getattr(nn, name)(weight)
    theirs = getattr(torch.nn, name)(torch.tensor(weight))
    want = theirs(torch.tensor(x), torch.tensor(target))
    np.testing.assert_allclose(ours(x, target), want, rtol=1e-12)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
