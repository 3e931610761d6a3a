"""Lecture 001: lines, the X and its filters, pooling, matrices, dense layers as convolutions.

Same input, same numbers; where a slide slips, the test says so.
"""

import numpy as np
import pytest
import striate
from striate import nn


def image(rows):
    return np.array(rows, np.float32)[None, None]


def convolved(rows, kernel, **window):
    return striate.conv2d(image(rows), image(kernel), **window, exact=True)[0, 0]


VERTICAL = np.array([[-0.5, 1, -0.5]] * 3)


@pytest.mark.parametrize(
    "kernel, printed", ((VERTICAL, [[2, -2], [-1, 1]]), (VERTICAL.T, [[-1, -0.5], [3.5, 4]]))
)
def test_001_line_filters(kernel, printed):
    rows = [[0, 1, 0, 1], [0, 1, 0, 1], [1, 1, 1, 1], [0, -2, 0, -2]]
    np.testing.assert_array_equal(convolved(rows, kernel), printed)


CROSS = -np.ones((9, 9))
CROSS[range(1, 8), range(1, 8)] = CROSS[range(1, 8), range(7, 0, -1)] = 1
DIAGONAL = 2 * np.eye(3) - 1
FILTERS = {
    "diagonal": DIAGONAL,
    "cross": np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]]),
    "antidiagonal": DIAGONAL[::-1],
}

# "Bunch of Filters". The slide truncates ninths (7/9 prints 0.77), so we compare ninths.
MAPS = {
    "diagonal": """
        0.77 -0.11 0.11 0.33 0.55 -0.11 0.33
        -0.11 1.00 -0.11 0.33 -0.11 0.11 -0.11
        0.11 -0.11 1.00 -0.33 0.11 -0.11 0.55
        0.33 0.33 -0.33 0.55 -0.33 0.33 0.33
        0.55 -0.11 0.11 -0.33 1.00 -0.11 0.11
        -0.11 0.11 -0.11 0.33 -0.11 1.00 -0.11
        0.33 -0.11 0.55 0.33 0.11 -0.11 0.77""",
    "cross": """
        0.33 -0.55 0.11 -0.11 0.11 -0.55 0.33
        -0.55 0.55 -0.55 0.33 -0.55 0.55 -0.55
        0.11 -0.55 0.55 -0.77 0.55 -0.55 0.11
        -0.11 0.33 -0.77 1.00 -0.77 0.33 -0.11
        0.11 -0.55 0.55 -0.77 0.55 -0.55 0.11
        -0.55 0.55 -0.55 0.33 -0.55 0.55 -0.55
        0.33 -0.55 0.11 -0.11 0.11 -0.55 0.33""",
    "antidiagonal": """
        0.33 -0.11 0.55 0.33 0.11 -0.11 0.77
        -0.11 0.11 -0.11 0.33 -0.11 1.00 -0.11
        0.55 -0.11 0.11 -0.33 1.00 -0.11 0.11
        0.33 0.33 -0.33 0.55 -0.33 0.33 0.33
        0.11 -0.11 1.00 -0.33 0.11 -0.11 0.55
        -0.11 1.00 -0.11 0.33 -0.11 0.11 -0.11
        0.77 -0.11 0.11 0.33 0.55 -0.11 0.33""",
}
POOLED = {
    "diagonal": """
        1.00 0.33 0.55 0.33
        0.33 1.00 0.33 0.55
        0.55 0.33 1.00 0.11
        0.33 0.55 0.11 0.77""",
    "cross": """
        0.55 0.33 0.55 0.33
        0.33 1.00 0.55 0.11
        0.55 0.55 0.55 0.11
        0.33 0.11 0.11 0.33""",
    "antidiagonal": """
        0.33 0.55 1.00 0.77
        0.55 0.55 1.00 0.33
        1.00 1.00 0.11 0.55
        0.77 0.33 0.55 0.33""",
}
POOLED_TWICE = {
    "diagonal": "1 .55\n.55 1",
    "cross": "1 .55\n.55 .55",
    "antidiagonal": ".55 1\n1 .55",
}


def ninths(text):
    """The printed decimals as whole ninths: 0.77 is 7."""
    rows = [line.split() for line in text.strip().splitlines()]
    return np.ceil(9 * np.array(rows, float) - 0.1).round()


@pytest.mark.parametrize("name", FILTERS)
def test_001_the_x_and_its_filters(name):
    sums = convolved(CROSS, FILTERS[name])  # nine times the slide's mean
    np.testing.assert_array_equal(sums, ninths(MAPS[name]))
    once = striate.max_pool2d(sums[None, None], 2, ceil_mode=True)
    np.testing.assert_array_equal(once[0, 0], ninths(POOLED[name]))
    twice = striate.max_pool2d(once, 2, ceil_mode=True)
    np.testing.assert_array_equal(twice[0, 0], ninths(POOLED_TWICE[name]))


def test_001_output_of_a_4x5_kernel_on_300x400():
    x, w = np.zeros((1, 1, 300, 400), np.float32), np.zeros((1, 1, 4, 5), np.float32)
    assert striate.conv2d(x, w, padding=2).shape == (1, 1, 301, 400)


def test_001_chain_of_sizes():
    """28x28x1 -> 26x26x16 -> 13x13x16 -> 11x11x64 -> 6x6x64; the last pools a ragged edge."""
    x = np.zeros((1, 1, 28, 28), np.float32)
    x = striate.conv2d(x, np.zeros((16, 1, 3, 3), np.float32))
    assert x.shape == (1, 16, 26, 26)
    x = striate.max_pool2d(x, 2)
    assert x.shape == (1, 16, 13, 13)
    x = striate.conv2d(x, np.zeros((64, 16, 3, 3), np.float32))
    assert x.shape == (1, 64, 11, 11)
    assert striate.max_pool2d(x, 2, ceil_mode=True).shape == (1, 64, 6, 6)
    assert striate.max_pool2d(x, 2).shape == (1, 64, 5, 5)


@pytest.mark.parametrize(
    "stride, printed", ((2, [[5, 4], [4, 6]]), (1, [[5, 5, 4], [5, 5, 3], [4, 6, 6]]))
)
def test_001_max_pooling(stride, printed):
    x = image([[2, 3, 4, 0], [1, 5, 3, 2], [0, 4, 2, 3], [1, 0, 6, 1]])
    np.testing.assert_array_equal(striate.max_pool2d(x, 2, stride=stride)[0, 0], printed)


def test_001_convolution_is_a_4x16_matrix_and_its_transpose_the_transposed_convolution():
    rng = np.random.default_rng(0)
    w = rng.integers(-3, 4, (1, 1, 3, 3)).astype(np.float32)
    pixels = np.eye(16, dtype=np.float32).reshape(16, 1, 4, 4)
    matrix = striate.conv2d(pixels, w, exact=True).reshape(16, 4).T
    assert matrix.shape == (4, 16) and np.count_nonzero(matrix) == 4 * np.count_nonzero(w)
    y = rng.integers(-3, 4, (1, 1, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        striate.conv_transpose2d(y, w, exact=True).ravel(), matrix.T @ y.ravel()
    )


def test_001_gradients_of_a_2x2_filter_on_3x3():
    """The formulas printed for delta X and, by the same sums, delta W."""
    rng = np.random.default_rng(1)
    x, w, h = (rng.integers(-9, 10, (n, n)).astype(np.float32) for n in (3, 2, 2))
    dx = striate.conv2d_input_grad((1, 1, 3, 3), image(w), image(h), exact=True)[0, 0]
    assert dx[0, 0] == w[0, 0] * h[0, 0]
    assert dx[0, 1] == w[0, 1] * h[0, 0] + w[0, 0] * h[0, 1]
    assert dx[1, 1] == (
        w[1, 1] * h[0, 0] + w[1, 0] * h[0, 1] + w[0, 1] * h[1, 0] + w[0, 0] * h[1, 1]
    )
    assert dx[1, 2] == w[1, 1] * h[0, 1] + w[0, 1] * h[1, 1]
    assert dx[2, 2] == w[1, 1] * h[1, 1]
    dw = striate.conv2d_weight_grad(image(x), (1, 1, 2, 2), image(h), exact=True)[0, 0]
    for i, j in np.ndindex(2, 2):
        assert dw[i, j] == (x[i : i + 2, j : j + 2] * h).sum()


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


def test_001_lines_of_four_directions():
    """The slide's presets: on an image of a line, its own filter answers most."""
    filters = striate.nn.line_filters()
    horizontal, diagonal, vertical, other = filters[:, 0]
    np.testing.assert_array_equal(horizontal, [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]])
    np.testing.assert_array_equal(vertical, [[-1, 2, -1]] * 3)
    np.testing.assert_array_equal(diagonal, [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]])
    np.testing.assert_array_equal(other, [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]])
    for own, line in enumerate((horizontal, diagonal, vertical, other)):
        answers = striate.conv2d(image(line > 0), filters, exact=True).ravel()
        assert answers[own] == 6 and sorted(answers)[:3] == [0, 0, 0]
    assert not striate.conv2d(image(np.ones((3, 3))), filters, exact=True).any()
    with pytest.raises(ValueError, match=r"line_filters: degrees must be among .* got 30"):
        striate.nn.line_filters(30)
    with pytest.raises(TypeError, match="line_filters: dtype must be float32 or float64, got int"):
        striate.nn.line_filters(45, dtype=int)
    assert striate.nn.line_filters(45, dtype="float64").dtype == np.float64
    with pytest.raises(TypeError, match="line_filters: degrees must be a number"):
        striate.nn.line_filters("horizontal")


def test_001_means_of_products_and_the_slides_decimals():
    """7/9 prints as 0.77 and 5/9 as 0.55: the slide cuts after two places, it does not round."""
    mean = striate.conv2d(image(CROSS), image(DIAGONAL / 9))[0, 0]
    printed = np.array([line.split() for line in MAPS["diagonal"].strip().splitlines()], float)
    np.testing.assert_allclose(np.trunc(100 * mean + 1e-3 * np.sign(mean)) / 100, printed)
    assert mean[0, 0] == pytest.approx(7 / 9) and printed[0, 0] == 0.77 != round(7 / 9, 2)
    # "Potential to add a ReLU" shows the same map without its negative numbers.
    np.testing.assert_array_equal(striate.relu(mean), np.maximum(mean, 0))


@pytest.mark.parametrize("name", FILTERS)
def test_001_no_filter_of_the_x_detects_a_flip(name):
    """Half a turn leaves all three as they are: convolution and cross-correlation agree."""
    flipped = np.rot90(FILTERS[name], 2)
    np.testing.assert_array_equal(flipped, FILTERS[name])
    np.testing.assert_array_equal(
        striate.convolve(image(CROSS), image(FILTERS[name]), exact=True),
        striate.conv2d(image(CROSS), image(FILTERS[name]), exact=True),
    )


def test_001_fully_connected_layers_as_convolutions():
    """7x7x32 -> (7x7, 32) -> 1x1x32 -> (1x1, 100) is Linear 1568-32-100, 53,508 parameters."""
    rng = np.random.default_rng(3)
    head = nn.Sequential(nn.Flatten(), nn.Linear(1568, 32, rng=0), nn.Linear(32, 100, rng=1))
    for parameter in head.parameters():
        parameter.assign(rng.integers(-2, 3, parameter.shape).astype(np.float32))
    dense = nn.fully_convolutional(head, (32, 7, 7))
    counted = nn.summary(dense, (32, 7, 7))
    assert [row.output_shape for row in counted.rows] == [(32, 1, 1), (100, 1, 1)]
    assert counted.parameters == nn.summary(head, (32, 7, 7)).parameters == 53_508
    x = rng.integers(-2, 3, (2, 32, 7, 7)).astype(np.float32)
    with striate.no_grad():
        np.testing.assert_array_equal(dense(x).reshape(2, 100), head(x))


def test_001_a_kernel_of_one_pixel_mixes_channels():
    """What is convolution like with a 1x1 kernel? A dense layer at every pixel."""
    rng = np.random.default_rng(4)
    x = rng.integers(-3, 4, (1, 3, 4, 5)).astype(np.float32)
    w = rng.integers(-3, 4, (2, 3)).astype(np.float32)
    y = striate.conv2d(x, w[:, :, None, None], exact=True)
    np.testing.assert_array_equal(
        y, striate.linear(x.transpose(0, 2, 3, 1), w).transpose(0, 3, 1, 2)
    )


def test_001_ties_in_a_maximum():
    """The slide's formula pays every tied input; 000's pseudocode keeps one index.

    Ours keeps the first, as PyTorch does: then the gradient's sum stays what it was.
    """
    x = striate.Tensor(image([[1, 5], [5, 5]]), requires_grad=True)
    striate.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(x.grad[0, 0], [[0, 1], [0, 0]])
    slide = (x.data == x.data.max()).astype(float)
    assert slide.sum() == 3


def test_001_the_convolution_theorem_and_winograd_are_two_algorithms():
    """ "Winograd FFT" merges them: one multiplies spectra, one transforms small tiles."""
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, (1, 32, 16, 16)).astype(np.float32)
    w = rng.integers(-3, 4, (32, 32, 3, 3)).astype(np.float32)
    exact = striate.convolve(x, w, padding="full", exact=True)
    size = (18, 18)
    spectra = np.fft.rfft2(x.astype(float), size)[:, None] * np.fft.rfft2(w.astype(float), size)
    by_fft = np.fft.irfft2(spectra.sum(2), size)
    np.testing.assert_allclose(by_fft, exact, atol=1e-9)
    np.testing.assert_allclose(striate.convolve(x, w, padding="full"), exact, atol=1e-2)
    plan = str(striate.explain("conv2d", x.shape, w.shape, padding=1))
    assert "winograd" in plan and "fft" not in plan
