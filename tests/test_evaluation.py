"""Metrics, crops, ensembles, freezing and new heads."""

import numpy as np
import pytest
import striate
from hypothesis import given
from hypothesis import strategies as st
from striate import Tensor, nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.models import fashion_cnn
from striate.training import (
    Ensemble,
    MultiCrop,
    confusion_matrix,
    count_correct,
    evaluate,
    fit,
    precision,
    recall,
    ten_crop,
    top_k_correct,
)


def probabilities(scores):
    e = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


# ---- metrics -------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 7), st.data())
def test_top_k_against_a_stable_sort(seed, n, classes, data):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (n, classes)).astype(np.float32)  # with many ties
    labels = rng.integers(0, classes, n)
    k = data.draw(st.integers(1, classes))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = sum(label in row for label, row in zip(labels, best, strict=True))
    assert top_k_correct(scores, labels, k) == expected
    if k == 1:
        assert expected == count_correct(Tensor(scores), labels)


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_beyond_the_classes_is_refused(k):
    with pytest.raises(ValueError, match=rf"top_k_correct: k must be in 1\.\.3 classes, got {k}"):
        top_k_correct(np.zeros((2, 3)), np.zeros(2, int), k)


@pytest.mark.parametrize("dtype", (np.int8, np.uint8, np.uint64))
def test_labels_of_any_integers_have_room_for_the_square_of_the_classes(dtype):
    labels = np.arange(20, dtype=dtype)
    found = evaluate(nn.Identity(), [(Tensor(np.eye(20)), labels)], top_k=(1, 3))
    assert np.array_equal(found.confusion, np.eye(20)) and found.top_k == {1: 1.0, 3: 1.0}
    assert np.array_equal(confusion_matrix(labels, labels, 20), np.eye(20))


def test_classes_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"predicted classes must lie in 0..2, got 1..3"):
        confusion_matrix(np.array([0, 1]), np.array([1, 3]), 3)
    with pytest.raises(ValueError, match=r"true classes must lie in 0..2, got -1..1"):
        confusion_matrix(np.array([-1, 1]), np.array([1, 2]), 3)
    with pytest.raises(TypeError, match="true classes must be whole numbers, got float64"):
        confusion_matrix(np.array([0.5]), np.array([1]), 3)
    with pytest.raises(ValueError, match=r"top_k_correct: labels must lie in 0..1, got 2..2"):
        top_k_correct(np.zeros((1, 2)), np.array([2]), 1)
    with pytest.raises(TypeError, match=r"k must be an int, got 1.5"):
        top_k_correct(np.zeros((1, 2)), np.array([1]), 1.5)


def test_a_score_of_nan_is_not_among_the_highest():
    scores = np.array([[np.nan, 1, 2], [np.nan] * 3, [0, np.nan, 5]])
    labels = np.array([0, 1, 2])
    assert [top_k_correct(scores, labels, k) for k in (1, 2)] == [0, 1]


def test_correct_ones_of_probabilities_and_of_maps():
    scores = Tensor(np.array([[1, 2, 0], [3, 1, 0]], np.float32))
    assert count_correct(scores, np.array([[0, 0.6, 0.4], [0.2, 0.8, 0]])) == 1
    maps = Tensor(np.array([[[1, 0, 1, 0]], [[0, 1, 0, 0]]], np.float32).transpose(1, 0, 2))
    assert count_correct(maps, np.array([[0, 1, 1, 0]])) == 0.75


def test_precision_and_recall_by_hand():
    confusion = confusion_matrix(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0]), 3)
    np.testing.assert_equal(precision(confusion), [2 / 3, 1 / 2, np.nan])
    np.testing.assert_equal(recall(confusion), [2 / 3, 1 / 2, np.nan])


class Scores(nn.Module):
    """The input is the scores."""

    def forward(self, x):
        return Tensor(x)


def test_evaluation_tells_top_k_precision_and_recall():
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 6, 40)
    result = evaluate(Scores(), DataLoader(ArrayDataset(scores, labels), 7), top_k=(1, 3, 6))
    assert result.top_k[1] == result.accuracy
    assert result.top_k[3] == top_k_correct(scores, labels, 3) / 40
    assert result.top_k[6] == 1.0
    np.testing.assert_equal(result.recall, recall(result.confusion))
    np.testing.assert_equal(result.precision, precision(result.confusion))


# ---- crops and ensembles -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, (4, 5), (7, 8), (1, 8)])
def test_ten_crops_are_torchvisions(size):
    images = np.arange(2 * 3 * 7 * 8, dtype=np.float32).reshape(2, 3, 7, 8)
    h, w = (size, size) if isinstance(size, int) else size
    crops = ten_crop(images, size)
    assert [crop.shape for crop in crops] == [(2, 3, h, w)] * 10
    mirrored = images[..., ::-1]
    top, left = round((7 - h) / 2), round((8 - w) / 2)
    for got, source in ((crops[:5], images), (crops[5:], mirrored)):
        expected = (
            source[..., :h, :w],
            source[..., :h, 8 - w :],
            source[..., 7 - h :, :w],
            source[..., 7 - h :, 8 - w :],
            source[..., top : top + h, left : left + w],
        )
        for one, other in zip(got, expected, strict=True):
            assert np.array_equal(one, other)
    assert all(np.shares_memory(crop, images) for crop in crops)
    tensors = ten_crop(Tensor(images), size)
    assert all(
        isinstance(one, Tensor) and np.array_equal(one.numpy(), other)
        for one, other in zip(tensors, crops, strict=True)
    )


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 8, 8), 4, r"must be \(N, C, H, W\), got shape \(1, 8, 8\)"),
        ((1, 1, 8, 8), 9, r"size \(9, 9\) must be positive and fit into images of \(8, 8\)"),
        ((1, 1, 8, 8), (0, 2), r"size \(0, 2\) must be positive"),
        ((1, 1, 8, 8), (1, 2, 3), r"size must be an int or 2 ints, got \(1, 2, 3\)"),
    ],
)
def test_impossible_crops_are_refused(shape, size, message):
    with pytest.raises(ValueError, match=f"ten_crop: .*{message}"):
        ten_crop(np.zeros(shape, np.float32), size)


def test_an_ensemble_of_seven_averages_probabilities():
    """Lecture 000: AlexNet's seven networks."""
    models = [nn.Sequential(nn.Flatten(), nn.Linear(12, 5, rng=seed)) for seed in range(7)]
    images = np.random.default_rng(0).standard_normal((6, 3, 2, 2)).astype(np.float32)
    expected = np.mean([probabilities(model(images).numpy()) for model in models], axis=0)
    ensemble = Ensemble(models)
    np.testing.assert_allclose(np.exp(ensemble(images).numpy()), expected, rtol=1e-5)
    labels = np.arange(6) % 5
    result = evaluate(ensemble, DataLoader(ArrayDataset(images, labels), 4))
    picked = expected[np.arange(6), labels]
    assert result.loss == pytest.approx(-np.log(picked).mean(), rel=1e-5)
    assert result.accuracy == (expected.argmax(1) == labels).mean()


def test_ten_crops_of_one_network_are_averaged():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5, rng=0))
    images = np.random.default_rng(0).standard_normal((6, 3, 6, 7)).astype(np.float32)
    crops = ten_crop(images, 4)
    expected = np.mean(
        [probabilities(model(np.ascontiguousarray(crop)).numpy()) for crop in crops], axis=0
    )
    looks = MultiCrop(model, lambda images: ten_crop(images, 4))
    np.testing.assert_allclose(np.exp(looks(images).numpy()), expected, rtol=1e-5)
    assert list(looks.state_dict()) == ["model.1.weight", "model.1.bias"]


def test_improbable_classes_keep_their_logarithm():
    """In probabilities exp(-300) would be zero in float32, and its loss infinite."""
    scores = np.array([[0.0, -300.0]], np.float32)
    looks = MultiCrop(Scores(), lambda images: [images, images])
    np.testing.assert_allclose(looks(scores).numpy(), scores)


def test_a_class_that_none_believes_in_keeps_minus_infinity():
    scores = Tensor(np.array([[0.0, -np.inf, 0.0], [0.0, 1.0, -np.inf]]))
    with np.errstate(all="ignore"):
        logs = Ensemble([nn.Identity(), nn.Identity()])(scores).numpy()
    e = np.exp(1)
    np.testing.assert_allclose(np.exp(logs), [[0.5, 0, 0.5], [1 / (1 + e), e / (1 + e), 0]])


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="Ensemble: needs one model"):
        Ensemble([])
    with pytest.raises(ValueError, match="MultiCrop: needs one crop"):
        MultiCrop(Scores(), lambda images: [])(np.zeros((1, 2), np.float32))


# ---- freezing ------------------------------------------------------------------------------------


def images_and_labels(classes, n=24):
    rng = np.random.default_rng(0)
    return ArrayDataset(
        rng.standard_normal((n, 1, 28, 28)).astype(np.float32), rng.integers(0, classes, n)
    )


def test_a_frozen_part_keeps_every_bit_while_a_new_head_learns():
    model = fashion_cnn(rng=0)
    model.features.freeze()
    model.classifier[-1] = nn.Linear(128 * 3 * 3, 3, rng=1)
    before = model.state_dict()
    fit(
        model,
        DataLoader(images_and_labels(3), 8),
        epochs=2,
        optimizer=optim.Adam(model.parameters()),
    )
    for name, value in model.state_dict().items():
        assert np.array_equal(value, before[name]) is name.startswith("features"), name
    assert model.training and not model.features.training
    assert all(parameter.grad is None for parameter in model.features.parameters())
    model.features.freeze(False)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    optimizer = optim.SGD(
        [
            {"params": model.features.parameters(), "lr": 1e-3},
            {"params": model.classifier.parameters()},
        ],
        lr=1e-2,
    )
    fit(model, DataLoader(images_and_labels(3), 8), epochs=1, optimizer=optimizer)
    assert not any(np.array_equal(v, before[k]) for k, v in model.state_dict().items())


def test_requires_grad_is_set_everywhere_below():
    model = fashion_cnn(rng=0)
    assert model.requires_grad_(False) is model
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())  # as PyTorch's, unlike freeze
    model.classifier.requires_grad_()
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]
    striate.cross_entropy(model(images_and_labels(10).arrays[0][:2]), np.arange(2)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is not None] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]
