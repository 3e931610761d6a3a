"""The numbers that the lectures print for convolution and pooling: same input, same numbers.

Lectures are named by their number, 000 to 004. Where a slide slips, the test says so.
"""

import numpy as np
import pytest
import striate


def image(rows):
    return np.array(rows, np.float32)[None, None]


def convolved(rows, kernel, **window):
    return striate.conv2d(image(rows), image(kernel), **window, exact=True)[0, 0]


# ---- 001: lines, the X, pooling ----------------------------------------------------------

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


# ---- 002: edges, strides, three colours --------------------------------------------------


def test_002_vertical_edges_of_a_6x6_image():
    rows = [
        [3, 0, 1, 2, 4, 7],
        [1, 5, 8, 9, 3, 1],
        [2, 7, 2, 5, 1, 3],
        [0, 1, 3, 1, 7, 8],
        [4, 2, 1, 6, 2, 8],
        [2, 4, 5, 2, 3, 9],
    ]
    printed = [[-5, -4, 3, 5], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
    np.testing.assert_array_equal(convolved(rows, [[1, 0, -1]] * 3), printed)


def test_002_stride_2_on_7x7():
    """The slides show the first rows of the image, enough for the first row of the result."""
    rows = [[2, 3, 7, 4, 6, 2, 9], [6, 6, 9, 8, 7, 4, 3], [3, 4, 8, 3, 8, 9, 7]]
    kernel = [[3, 4, 4], [1, 0, 2], [-1, 0, 3]]
    np.testing.assert_array_equal(convolved(rows, kernel, stride=2), [[91, 100, 88]])


def test_002_three_colours():
    """Sums of the three channels 308, -498 and 164, with bias 1: -25."""
    windows = [
        [[0, 0, 0], [0, 156, 155], [0, 153, 154]],
        [[0, 0, 0], [0, 167, 166], [0, 164, 165]],
        [[0, 0, 0], [0, 163, 162], [0, 160, 161]],
    ]
    kernels = [
        [[-1, -1, 1], [0, 1, -1], [0, 1, 1]],
        [[1, 0, 0], [1, -1, -1], [1, 0, -1]],
        [[0, 1, 1], [0, 1, 0], [1, -1, 1]],
    ]
    x, w = np.array([windows], np.float32), np.array([kernels], np.float32)
    each = striate.conv2d(x, w.swapaxes(0, 1), groups=3, exact=True)
    np.testing.assert_array_equal(each.ravel(), [308, -498, 164])
    y = striate.conv2d(x, w, np.ones(1, np.float32), exact=True)
    assert y.item() == -25


@pytest.mark.parametrize("n, f, s", ((7, 3, 1), (7, 3, 2), (32, 5, 1), (227, 11, 4), (6, 3, 1)))
@pytest.mark.parametrize("p", (0, 1, 2))
def test_002_output_size(n, f, s, p):
    """(N + 2P - F) / S + 1, rounded down."""
    x, w = np.zeros((1, 1, n), np.float32), np.zeros((1, 1, f), np.float32)
    assert striate.conv1d(x, w, stride=s, padding=p).shape[2] == (n + 2 * p - f) // s + 1


def test_002_half_of_a_max_pooled_map_survives_a_shift_by_one_pixel():
    """Each input moves, but every second maximum is still in its window."""
    row = np.array([1, 9, 2, 3, 8, 4, 5, 7, 6, 0, 9, 3], np.float32)
    pooled = striate.max_pool1d(row[None, None], 3, stride=1, padding=1)[0, 0]
    shifted = striate.max_pool1d(np.roll(row, 1)[None, None], 3, stride=1, padding=1)[0, 0]
    assert np.mean(np.roll(row, 1) == row) == 0
    assert np.mean(pooled == shifted) >= 0.5


# ---- 003: the 5x5 example, sharpening, padding figures, PyTorch's max pooling ------------


def test_003_5x5_example():
    rows = [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
    kernel = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]
    np.testing.assert_array_equal(convolved(rows, kernel), [[12, 12, 17], [10, 17, 19], [9, 6, 14]])
    # The filter is no mirror image of itself, so a flipped ("true") convolution answers otherwise.
    assert not np.array_equal(
        convolved(rows, np.flip(kernel)), [[12, 12, 17], [10, 17, 19], [9, 6, 14]]
    )


def test_003_sharpening_begins_with_114():
    rows = [
        [60, 113, 56, 139, 85],
        [73, 121, 54, 84, 128],
        [131, 99, 70, 129, 127],
        [80, 57, 115, 69, 134],
        [104, 126, 123, 95, 130],
    ]
    y = convolved(rows, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], padding=1)
    assert y.shape == (5, 5) and y[0, 0] == 114


@pytest.mark.parametrize(
    "n, printed, window",
    (
        (4, 2, {}),
        (5, 5, {"padding": 1}),
        (5, 7, {"padding": 2}),
        (6, 3, {"stride": 2, "padding": 1}),
        (7, 3, {"dilation": 2}),
    ),
)
def test_003_padding_figures(n, printed, window):
    assert convolved(np.ones((n, n)), np.ones((3, 3)), **window).shape == (printed, printed)


def test_003_max_pooling_of_a_hundred_numbers():
    x = np.arange(100, dtype=np.float64).reshape(1, 1, 10, 10)
    y = striate.max_pool2d(x, 2)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y[0, 0], np.arange(11, 100, 2).reshape(-1, 5)[::2])


def test_003_cost_of_a_layer():
    """Conv2d(16, 32, 3) on 64x64: 4,640 parameters, 18,874,368 multiply-adds.

    A dense layer has 8,590,065,664; depthwise separable, bias on the pointwise only, 688.
    """
    x, w, b = (np.zeros(s, np.float32) for s in ((1, 16, 64, 64), (32, 16, 3, 3), 32))
    y = striate.conv2d(x, w, b, padding=1)
    assert (x.size, y.size) == (65_536, 131_072)
    assert w.size + b.size == 4_640
    assert y.size * w[0].size == 18_874_368
    assert x.size * y.size + y.size == 8_590_065_664
    depthwise, pointwise = np.zeros((16, 1, 3, 3), np.float32), np.zeros((32, 16, 1, 1), np.float32)
    separable = striate.conv2d(striate.conv2d(x, depthwise, padding=1, groups=16), pointwise, b)
    assert separable.shape == y.shape
    assert depthwise.size + pointwise.size + b.size == 688


# ---- 000 and 004: unequal resampling, receptive fields -----------------------------------


def test_000_downsampling_is_not_the_backward_of_upsampling_without_the_size():
    """The claim "we can simply use one as the backward of the other" is False: sizes differ."""
    x = np.ones((1, 1, 7), np.float32)
    small = striate.downsample(x, 2)
    assert striate.upsample_zeros(small, 2).shape == (1, 1, 8)
    assert striate.upsample_zeros(small, 2, output_size=(7,)).shape == x.shape


@pytest.mark.parametrize(
    "dilations, field", (((1,), 3), ((1, 2), 7), ((1, 2, 4), 15), ((1, 1, 1), 7))
)
def test_004_receptive_fields(dilations, field):
    """Dilations 1, 2, 4 see 3, 7, 15 pixels; n dense layers of size K see 1 + n (K - 1)."""
    grad = np.zeros((1, 1, 41), np.float32)
    grad[0, 0, 20] = 1
    for dilation in reversed(dilations):
        grad = striate.conv1d_input_grad(
            grad.shape, np.ones((1, 1, 3), np.float32), grad, padding=dilation, dilation=dilation
        )
    assert np.count_nonzero(grad) == field
