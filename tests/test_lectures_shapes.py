"""The lectures' figures of padding, matrices, pools and unpooling: same input, same numbers.

Lectures are named by their number, 000 to 004.
"""

import numpy as np
import pytest
import striate
from striate import nn


def image(rows):
    return np.array(rows, np.float32)[None, None]


def test_001_the_4x16_matrix_of_a_3x3_filter_on_4x4_pixels():
    """Each row is the filter, stretched by one zero a row of the image, and moved to its place."""
    w = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    matrix = striate.conv_matrix(w, 4)
    stretched = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9]
    dense = np.zeros((4, 16))
    for row, place in enumerate((0, 1, 4, 5)):
        dense[row, place : place + 11] = stretched
    np.testing.assert_array_equal(matrix.toarray(), dense)
    small = np.arange(4.0)
    large = striate.conv_transpose2d(small.reshape(1, 1, 2, 2), w, exact=True)
    assert large.shape == (1, 1, 4, 4)
    np.testing.assert_array_equal(matrix.T @ small, large.ravel())


def test_001_unpooling_by_nearest_neighbour_bed_of_nails_and_max():
    x = image([[1, 2], [3, 4]])
    nearest = striate.interpolate(x, scale_factor=2, mode="nearest")[0, 0]
    np.testing.assert_array_equal(nearest, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    nails = striate.upsample_zeros(x, 2)[0, 0]
    np.testing.assert_array_equal(nails, [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4])
    before = image([[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
    maxima, at = striate.max_pool2d(before, 2, return_indices=True)
    np.testing.assert_array_equal(maxima[0, 0], [[5, 6], [7, 8]])
    unpooled = striate.max_unpool2d(x, at, 2)[0, 0]
    np.testing.assert_array_equal(
        unpooled, [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]
    )


@pytest.mark.parametrize("n, padding, printed", ((4, "valid", 2), (5, "half", 5), (5, "full", 7)))
def test_003_none_half_and_full_padding(n, padding, printed):
    x, w = image(np.ones((n, n))), image(np.ones((3, 3)))
    assert striate.conv2d(x, w, padding=padding).shape[2:] == (printed, printed)


def test_003_padding_layers():
    x = image([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    figures = {
        nn.ZeroPad2d(1): [0, 0, 0, 0, 0],
        nn.ConstantPad2d(1, 3.5): [3.5] * 5,
        nn.ReflectionPad2d(1): [4, 3, 4, 5, 4],
        nn.ReplicationPad2d(1): [0, 0, 1, 2, 2],
        nn.CircularPad2d(1): [8, 6, 7, 8, 6],
    }
    for layer, first_row in figures.items():
        y = layer(x)
        np.testing.assert_array_equal(y[0, 0, 0], first_row, err_msg=repr(layer))
        np.testing.assert_array_equal(y[0, 0, 1:-1, 1:-1], x[0, 0])


def test_002_popular_pooling_functions():
    """Maximum, average, L2 norm and a weighted average of one window; and its sum."""
    x = image([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert striate.max_pool2d(x, 3).item() == 4
    assert striate.avg_pool2d(x, 3).item() == pytest.approx(16 / 9)
    assert striate.sum_pool2d(x, 3).item() == 16
    assert striate.lp_pool2d(x, 2, 3).item() == 6
    weighted = striate.weighted_pool2d(x, 3).item()
    assert 16 / 9 < weighted < 4


def test_002_pooling_over_transformed_filters_learns_an_invariance():
    """Three filters, each for one turn of a figure; their maximum does not see the turn."""
    figure = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 1]], np.float64)
    turns = np.stack([np.rot90(figure, k) for k in range(4)])
    responses = striate.conv2d(turns[:, None], turns[:, None])
    assert (responses.argmax(1).ravel() == np.arange(4)).all()
    np.testing.assert_array_equal(striate.channel_max_pool(responses, 4).ravel(), [5] * 4)


def test_003_a_causal_stack_sees_its_past_only():
    """Dilations 1, 2, 4, 8 with kernel 2, as drawn: output t sees inputs t - 15 to t."""
    grad = np.zeros((1, 1, 32))
    grad[..., 20] = 1
    for dilation in (8, 4, 2, 1):
        grad = striate.conv1d_input_grad(
            grad.shape, np.ones((1, 1, 2)), grad, padding="causal", dilation=dilation
        )
    np.testing.assert_array_equal(np.flatnonzero(grad[0, 0]), np.arange(5, 21))


def test_003_global_pooling_is_adaptive_pooling_to_one_pixel():
    x = np.random.default_rng(0).integers(-9, 10, (2, 3, 7, 5)).astype(np.float32)
    np.testing.assert_array_equal(striate.adaptive_max_pool2d(x, 1), striate.global_max_pool(x))
    np.testing.assert_array_equal(striate.adaptive_avg_pool2d(x, 1), striate.global_avg_pool(x))


def test_003_convolution_and_cross_correlation_differ_by_a_flip():
    rows = [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
    kernel = image([[0, 1, 2], [2, 2, 0], [0, 1, 2]])
    printed = [[12, 12, 17], [10, 17, 19], [9, 6, 14]]
    np.testing.assert_array_equal(striate.conv2d(image(rows), kernel)[0, 0], printed)
    flipped = kernel[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(striate.convolve(image(rows), flipped)[0, 0], printed)


def test_000_the_input_gradient_is_a_full_convolution():
    """ "After zero padding it first with K - 1 zeros on every side": with the flipped filter."""
    rng = np.random.default_rng(0)
    w = rng.integers(-3, 4, (4, 3, 3, 3)).astype(np.float64)
    g = rng.integers(-3, 4, (2, 4, 5, 6)).astype(np.float64)
    full = striate.convolve(g, w.swapaxes(0, 1), padding="full", exact=True)
    back = striate.conv2d_input_grad((2, 3, 7, 8), w, g, exact=True)
    np.testing.assert_array_equal(full, back)


@pytest.mark.parametrize("stride", (2, 3))
def test_000_a_stride_is_downsampling_after_convolution(stride):
    """And its transpose upsampling before it ("fractional stride")."""
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (1, 2, 10, 11)).astype(np.float64)
    w = rng.integers(-3, 4, (3, 2, 3, 3)).astype(np.float64)
    dense = striate.conv2d(x, w, exact=True)
    strided = striate.conv2d(x, w, stride=stride, exact=True)
    np.testing.assert_array_equal(striate.downsample(dense, stride), strided)
    nails = striate.upsample_zeros(strided, stride, dense.shape[2:])
    np.testing.assert_array_equal(
        striate.convolve(nails, w.swapaxes(0, 1), padding="full", exact=True),
        striate.conv2d_input_grad(x.shape, w, strided, stride=stride, exact=True),
    )
