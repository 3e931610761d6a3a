"""Losses against the float64 reference, their reductions, weights and ignored targets."""

import numpy as np
import pytest
import reference_losses as ref
import striate
from striate import Tensor, grad, nn

DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))


def close(dtype):
    return {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}


def draw(shape, dtype, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 2).astype(dtype)


def check_reductions(fn, want, dtype, mean=None):
    for reduction, value in (
        ("none", want),
        ("sum", want.sum()),
        ("mean", want.mean() if mean is None else mean),
    ):
        got = fn(reduction)
        assert got.dtype == dtype and np.shape(got) == np.shape(value)
        np.testing.assert_allclose(got, value, **close(dtype), err_msg=reduction)


REGRESSIONS = {
    "mse_loss": [({}, lambda e: e * e)],
    "l1_loss": [({}, abs)],
    "huber_loss": [
        ({}, lambda e: ref.huber(e, 1.0)),
        ({"delta": 0.3}, lambda e: ref.huber(e, 0.3)),
    ],
    "smooth_l1_loss": [
        ({}, lambda e: ref.huber(e, 1.0)),
        ({"beta": 2.5}, lambda e: ref.huber(e, 2.5) / 2.5),
        ({"beta": 0.0}, abs),
    ],
}


@DTYPES
@pytest.mark.parametrize("shape", ((), (5,), (3, 0), (2, 3, 4), (40_000,)))
@pytest.mark.parametrize("name", REGRESSIONS)
def test_losses_of_a_difference(name, shape, dtype):
    x, t, fn = draw(shape, dtype), draw(shape, dtype, 1), getattr(striate, name)
    for options, formula in REGRESSIONS[name]:
        want = ref.elementwise(lambda a, b, f=formula: f(float(a) - float(b)), x, t)
        if want.size:
            check_reductions(lambda r, o=options: fn(x, t, r, **o), want, dtype)
        else:
            assert fn(x, t, "sum", **options) == 0 and fn(x, t, "none").shape == shape


def test_l1_has_no_slope_where_there_is_no_error():
    x = Tensor(np.array([-2.0, 0.0, 3.0]), requires_grad=True)
    (dx,) = grad(striate.l1_loss(x, np.zeros(3), "sum"), [x])
    np.testing.assert_array_equal(dx, [-1, 0, 1])


# ---- class numbers -----------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("shape", ((6, 4), (3, 5, 7), (2, 3, 4, 5)))
@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("ignored", (None, -100, 1))
@pytest.mark.parametrize("smoothing", (0.0, 0.2))
def test_class_numbers(shape, weighted, ignored, smoothing, dtype):
    rng = np.random.default_rng(2)
    scores = draw(shape, dtype)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    if ignored is not None:
        target[0] = ignored
    weight = rng.uniform(0.2, 2, shape[1]).astype(dtype) if weighted else None
    options = {"weight": weight, "ignore_index": -100 if ignored is None else ignored}
    log_chances = ref.log_softmax(scores.astype(np.float64))
    counts = np.ones(shape[1]) if weight is None else weight.astype(np.float64)
    losses, shares = ref.weighted_nll(log_chances, target, counts, ignored, smoothing)
    check_reductions(
        lambda r: striate.cross_entropy(scores, target, r, **options, label_smoothing=smoothing),
        losses,
        dtype,
        losses.sum() / shares.sum(),
    )
    if not smoothing:
        logs = striate.log_softmax(scores, 1)
        check_reductions(
            lambda r: striate.nll_loss(logs, target, r, **options),
            losses,
            dtype,
            losses.sum() / shares.sum(),
        )


@DTYPES
@pytest.mark.parametrize("smoothing", (0.0, 0.3))
def test_probabilities_as_targets(smoothing, dtype):
    scores, target = draw((4, 3, 5), dtype), striate.softmax(draw((4, 3, 5), dtype, 1), 1)
    weight = np.array([0.5, 1, 2], dtype)
    mixed = target.astype(np.float64) * (1 - smoothing) + smoothing / 3
    log_chances = ref.log_softmax(scores.astype(np.float64))
    want = -(weight[:, None] * mixed * log_chances).sum(1)
    check_reductions(
        lambda r: striate.cross_entropy(
            scores, target, r, weight=weight, label_smoothing=smoothing
        ),
        want,
        dtype,
    )


def test_certain_probabilities_are_class_numbers():
    scores, labels = draw((5, 4), np.float64), np.array([3, 0, 1, 1, 2])
    np.testing.assert_allclose(
        striate.cross_entropy(scores, np.eye(4)[labels]), striate.cross_entropy(scores, labels)
    )


@pytest.mark.parametrize("fn", (striate.cross_entropy, striate.nll_loss))
def test_an_ignored_row_may_hold_anything(fn):
    scores = np.log(np.array([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]))
    scores[1:] = [[-np.inf, 0], [np.nan, np.nan]]
    leaf = Tensor(scores, requires_grad=True)
    loss = fn(leaf, [1, -100, -100])
    np.testing.assert_allclose(loss.item(), -np.log(0.75))
    (dx,) = grad(loss, [leaf])
    assert (dx[1:] == 0).all() and np.isfinite(dx).all()


def test_an_ignored_row_may_hold_anything_with_weights_and_smoothing():
    scores = np.array([[0.5, 1.0], [np.nan, np.inf]])
    leaf = Tensor(scores, requires_grad=True)
    options = {"weight": np.array([1.0, 3.0]), "label_smoothing": 0.1}
    loss = striate.cross_entropy(leaf, [1, -100], **options)
    assert loss.item() == striate.cross_entropy(scores[:1], [1], **options)
    (dx,) = grad(loss, [leaf])
    assert np.isfinite(dx).all() and (dx[1] == 0).all() and (dx[0] != 0).all()


@pytest.mark.parametrize("fn", (striate.cross_entropy, striate.nll_loss))
def test_a_weight_of_classes_that_would_learn_is_refused(fn):
    weight = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"weight has no gradient.*detach"):
        fn(np.zeros((1, 2)), [0], weight=weight)
    assert fn(np.zeros((1, 2)), [0], weight=weight.detach()) == fn(np.zeros((1, 2)), [0])
    with striate.no_grad():
        fn(np.zeros((1, 2)), [0], weight=weight)


@pytest.mark.parametrize("first", ("input", "target"))
def test_binary_cross_entropy_has_mixed_second_derivatives(first):
    """d2L / dx dt = -1 / (x (1 - x)), in both orders."""
    x, t = (Tensor(np.array([value]), requires_grad=True) for value in (0.3, 0.6))
    order = (x, t) if first == "input" else (t, x)
    (slope,) = grad(striate.binary_cross_entropy(x, t), [order[0]], create_graph=True)
    (mixed,) = grad(slope, [order[1]])
    np.testing.assert_allclose(mixed, [-1 / (0.3 * 0.7)])


def test_the_mean_of_nothing_is_nan():
    scores = np.zeros((2, 3), np.float32)
    assert np.isnan(striate.cross_entropy(scores, [-100, -100]))
    assert striate.cross_entropy(scores, [-100, -100], "sum") == 0


# ---- yes or no ---------------------------------------------------------------------------


@DTYPES
def test_binary_cross_entropy(dtype):
    x = np.concatenate(([0, 1, 0, 1], np.random.default_rng(3).random(50))).astype(dtype)
    t = np.concatenate(([0, 0, 1, 1], np.random.default_rng(4).random(50))).astype(dtype)
    weight = np.linspace(0, 2, 54, dtype=dtype)
    wide = ref.elementwise(ref.binary, x.astype(float), t.astype(float))
    assert wide[1] == wide[2] == 100
    check_reductions(lambda r: striate.binary_cross_entropy(x, t, r), wide, dtype)
    check_reductions(
        lambda r: striate.binary_cross_entropy(x, t, r, weight=weight), wide * weight, dtype
    )


@DTYPES
def test_binary_cross_entropy_of_scores(dtype):
    x, t = draw((6, 4), dtype), np.random.default_rng(5).random((6, 4)).astype(dtype)
    chances = 1 / (1 + np.exp(-x.astype(float)))
    want = ref.elementwise(ref.binary, chances, t.astype(float))
    fn = striate.binary_cross_entropy_with_logits
    check_reductions(lambda r: fn(x, t, r), want, dtype)
    positive = np.array([1, 2, 0.5, 3], dtype)
    yes, no = -t * np.log(chances), -(1 - t) * np.log1p(-chances)
    check_reductions(lambda r: fn(x, t, r, pos_weight=positive), positive * yes + no, dtype)
    check_reductions(lambda r: fn(x, t, r, weight=positive[:1]), want, dtype)


def test_scores_far_out_are_finite_and_their_slope_is_the_error():
    x = Tensor(np.array([-1e4, 1e4, -800.0, 3.0]), requires_grad=True)
    t = np.array([1.0, 0.0, 0.0, 0.25])
    loss = striate.binary_cross_entropy_with_logits(x, t, "sum")
    np.testing.assert_allclose(loss.item(), 2e4 + np.log1p(np.exp(-3)) + 0.75 * 3)
    (dx,) = grad(loss, [x])
    np.testing.assert_allclose(dx, striate.sigmoid(x.numpy()) - t)


# ---- divergence --------------------------------------------------------------------------


@DTYPES
def test_kl_div(dtype):
    x = striate.log_softmax(draw((5, 4), dtype), 1)
    t = striate.softmax(draw((5, 4), dtype, 1), 1)
    t[0] = [1, 0, 0, 0]
    want = ref.elementwise(ref.kl, x.astype(float), t.astype(float))
    check_reductions(lambda r: striate.kl_div(x, t, r), want, dtype)
    np.testing.assert_allclose(striate.kl_div(x, t, "batchmean"), want.sum() / 5, **close(dtype))
    logs = striate.log_softmax(draw((5, 4), dtype, 1), 1)
    want = np.exp(logs.astype(float)) * (logs - x)
    check_reductions(lambda r: striate.kl_div(x, logs, r, log_target=True), want, dtype)


# ---- several tasks -----------------------------------------------------------------------


def test_a_class_and_the_corners_of_a_box():
    """Lecture 004: the class loss plus the L2 loss of 8 box coordinates, 4 corners."""
    scores, label = draw((2, 3), np.float64), np.array([2, 0])
    corners, found = draw((2, 8), np.float64, 1), draw((2, 8), np.float64, 2)
    leaves = [Tensor(v, requires_grad=True) for v in (scores, found)]
    heads = {"class": leaves[0], "box": leaves[1]}
    loss = nn.MultiTaskLoss(
        {
            "class": nn.CrossEntropyLoss(reduction="sum"),
            "box": nn.MSELoss(reduction="sum"),
        },
        {"box": 0.25},
    )
    total = loss(heads, {"class": label, "box": corners})
    squares = ((found - corners) ** 2).sum()
    parts = -ref.log_softmax(scores)[[0, 1], label].sum(), squares
    np.testing.assert_allclose(total.item(), parts[0] + 0.25 * parts[1])
    d_scores, d_box = grad(total, leaves)
    np.testing.assert_allclose(d_box, 0.25 * 2 * (found - corners))
    np.testing.assert_allclose(d_scores, np.exp(ref.log_softmax(scores)) - np.eye(3)[label])
    each = loss.parts(heads, {"class": label, "box": corners})
    np.testing.assert_allclose([part.item() for part in each.values()], parts)


@pytest.mark.parametrize("name", ["tasks", "weights", "training"])
def test_a_task_with_the_name_of_an_attribute_is_refused(name):
    with pytest.raises(ValueError, match=f"MultiTaskLoss has an attribute '{name}' already"):
        nn.MultiTaskLoss({name: nn.MSELoss()})
