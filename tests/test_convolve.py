"""True convolution, and the matrix of a convolution."""

import numpy as np
import pytest
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import rng_of
from striate import SparseMatrix, Tensor


def integers(shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(-3, 4, shape).astype(np.float64)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30))
def test_full_convolution_is_numpys(n, k):
    a, b = integers((n,)), integers((k,), 1)
    got = striate.convolve(a[None, None], b[None, None], padding="full", exact=True)
    np.testing.assert_array_equal(got[0, 0], np.convolve(a, b))


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_convolution_is_cross_correlation_with_the_flipped_filter(rank):
    x, w, b = integers((2, 4, *(7,) * rank)), integers((6, 2, *(3,) * rank)), integers((6,))
    rules = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    flipped = np.flip(w, tuple(range(2, w.ndim)))
    want = getattr(striate, f"conv{rank}d")(x, flipped, b, **rules)
    np.testing.assert_array_equal(striate.convolve(x, w, b, **rules), want)
    assert not np.array_equal(getattr(striate, f"conv{rank}d")(x, w, b, **rules), want)


def test_convolution_commutes_as_cross_correlation_does_not():
    a, b = integers((1, 1, 4, 5)), integers((1, 1, 3, 2), 1)
    full = {"padding": "full", "exact": True}
    np.testing.assert_array_equal(striate.convolve(a, b, **full), striate.convolve(b, a, **full))
    assert not np.array_equal(striate.conv2d(a, b, **full), striate.conv2d(b, a, **full))


def test_the_gradient_of_the_weight_is_flipped_too():
    x, w = integers((1, 2, 5, 6)), Tensor(integers((3, 2, 2, 3)), requires_grad=True)
    y = striate.convolve(x, w)
    g = integers(y.shape)
    (grad,) = striate.grad(y, [w], g)
    want = striate.conv2d_weight_grad(x, w.shape, g)[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(grad, want)


# ---- the matrix ------------------------------------------------------------------------------


def test_the_matrix_is_the_convolution_and_its_transpose_the_transposed_one():
    for index in range(40):
        rng = rng_of(61, index)
        rank, groups = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
        size = tuple(int(n) for n in rng.integers(5, 8, rank))
        rules = {
            "stride": tuple(int(s) for s in rng.integers(1, 4, rank)),
            "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (rank, 2))),
            "dilation": tuple(int(d) for d in rng.integers(1, 3, rank)),
            "groups": groups,
        }
        w = integers((2 * groups, 2, *kernel), index)
        x = integers((1, 2 * groups, *size), index)
        y = getattr(striate, f"conv{rank}d")(x, w, **rules)
        matrix = striate.conv_matrix(w, size, **rules)
        assert matrix.shape == (y.size, x.size)
        np.testing.assert_array_equal(matrix @ x.ravel(), y.ravel())
        back = getattr(striate, f"conv{rank}d_input_grad")(x.shape, w, y, **rules)
        np.testing.assert_array_equal(matrix.T @ y.ravel(), back.ravel())


def test_the_matrix_multiplies_many_images_at_once():
    w, x = integers((3, 2, 3, 3)), integers((5, 2, 6, 6))
    matrix = striate.conv_matrix(w, 6, padding="same")
    y = matrix @ x.reshape(5, -1).T
    np.testing.assert_array_equal(
        y.T.reshape(5, 3, 6, 6), striate.conv2d(x, w, padding=1, exact=True)
    )
    np.testing.assert_array_equal(matrix.toarray() @ x.reshape(5, -1).T, y)


def test_a_matrix_of_triplets_adds_up_what_meets():
    at = np.array([0, 0, 1])
    matrix = SparseMatrix(at, np.array([1, 1, 0]), np.array([2.0, 3, 4]), (2, 3))
    np.testing.assert_array_equal(matrix.toarray(), [[0, 5, 0], [4, 0, 0]])
    np.testing.assert_array_equal(matrix.T.toarray(), matrix.toarray().T)
    np.testing.assert_array_equal(matrix @ np.array([1.0, 2, 3]), [10, 4])
    with pytest.raises(ValueError, match=r"shape \(2, 3\) cannot be multiplied.*\(2,\)"):
        matrix @ np.ones(2)


def test_the_dtype_of_the_weight_is_kept():
    w = Tensor(np.ones((1, 1, 2), np.float32), requires_grad=True)
    assert striate.conv_matrix(w, 4).toarray().dtype == np.float32
