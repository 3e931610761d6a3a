"""Lecture 002: edges, strides, colours, pools; AlexNet, VGG16 and Inception counted.

Same input, same numbers; where a slide slips, the test says so.
"""

import numpy as np
import pytest
import striate
from lecture_networks import Residual, alexnet, inception, lenet5, naive_inception, vgg16
from striate import nn


def image(rows):
    return np.array(rows, np.float32)[None, None]


def convolved(rows, kernel, **window):
    return striate.conv2d(image(rows), image(kernel), **window, exact=True)[0, 0]


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


# ---- networks counted --------------------------------------------------------------------


def counted(network, *arguments, shape=(3, 227, 227), **options):
    with nn.shapes_only():
        return nn.summary(network(*arguments, **options), shape)


def test_002_three_3x3_layers_and_one_7x7_layer():
    """Both see 7x7 pixels; 27 C^2 weights against 49 C^2."""
    c = 10
    three = nn.Sequential(*(nn.Conv2d(c, c, 3, bias=False, rng=0) for _ in range(3)))
    one = nn.Conv2d(c, c, 7, bias=False, rng=0)
    for network, weights in ((three, 27 * c**2), (one, 49 * c**2)):
        assert nn.summary(network, (c, 20, 20)).parameters == weights
        assert nn.receptive_field(network, (c, 20, 20))[-1].field == (7, 7)


def test_002_lenet5_has_60_thousand_parameters():
    assert counted(lenet5, shape=(1, 32, 32)).parameters == 61_706


def test_002_alexnet():
    """60 million parameters, 650 thousand neurons; 000's "630M connections" are 724,406,816."""
    network = counted(alexnet)
    rows = [row for row in network.rows if row.kind in ("Conv2d", "MaxPool2d", "Linear")]
    conv1, pool1 = rows[:2]
    assert conv1.parameters - 96 == 11 * 11 * 3 * 96 == 34_848  # the slide's 35K
    assert conv1.output_shape == (96, 55, 55) and (227 - 11) / 4 + 1 == 55
    assert pool1.output_shape == (96, 27, 27) and (55 - 3) / 2 + 1 == 27
    assert pool1.parameters == 0
    assert network.parameters == 60_965_224
    assert sum(row.activations for row in rows if row.kind != "MaxPool2d") == 659_272
    assert network.multiply_adds == 724_406_816
    assert abs(network.multiply_adds - 630e6) > 90e6


@pytest.mark.parametrize(
    "without, dropped",
    (((7,), 16_781_312), ((3, 4, 6, 7), 51_110_656)),  # "~16 million", "~50 million"
)
def test_002_alexnet_without_layers(without, dropped):
    assert 60_965_224 - counted(alexnet, without).parameters == dropped


VGG16 = """
    64*224*224 1,728      64*224*224 36,864     64*112*112 0
    128*112*112 73,728    128*112*112 147,456   128*56*56 0
    256*56*56 294,912     256*56*56 589,824     256*56*56 589,824     256*28*28 0
    512*28*28 1,179,648   512*28*28 2,359,296   512*28*28 2,359,296   512*14*14 0
    512*14*14 2,359,296   512*14*14 2,359,296   512*14*14 2,359,296   512*7*7 0
    4096 102,760,448      4096 16,777,216       1000 4,096,000"""


def test_002_vgg16():
    """Row by row. The total, "24M * 4 bytes = 96 MB", contradicts the rows: 15.2M, 61 MB."""
    network = counted(vgg16, shape=(3, 224, 224))
    rows = [row for row in network.rows if row.kind in ("Conv2d", "MaxPool2d", "Linear")]
    words = VGG16.split()
    for row, memory, weights in zip(rows, words[::2], words[1::2], strict=True):
        assert row.output_shape == tuple(map(int, memory.split("*")))
        biases = row.output_shape[0] if row.parameters else 0
        assert row.parameters - biases == int(weights.replace(",", ""))
    biases = sum(row.output_shape[0] for row in rows if row.parameters)
    assert (network.parameters - biases, biases) == (138_344_128, 13_416)
    assert network.parameters == 138_357_544
    activations = 3 * 224 * 224 + sum(row.activations for row in rows)
    assert activations == 15_237_608
    assert round(4 * activations / 1e6) == 61 != 96


def test_002_inception_naive():
    network = counted(naive_inception, shape=(256, 28, 28))
    assert [row.output_shape[0] for row in network.rows] == [128, 192, 96, 256]
    assert sum(row.output_shape[0] for row in network.rows) == 672
    assert network.multiply_adds == 854_196_224  # "854M ops"


def test_002_inception_with_bottlenecks():
    """The slide writes 5x5x264 where its own bottleneck has 64 maps. Neither sum is its 353M."""
    network = counted(inception, 256, 128, 64, 192, 64, 96, 64, shape=(256, 28, 28))
    assert network.multiply_adds == 271_351_808
    with nn.shapes_only():
        block = inception(256, 128, 64, 192, 64, 96, 64)
    assert block(np.zeros((0, 256, 28, 28), np.float32)).shape == (0, 480, 28, 28)
    slipped = network.multiply_adds + 28 * 28 * 96 * 25 * (264 - 64)
    assert slipped == 647_671_808
    assert not {round(n / 1e6) for n in (network.multiply_adds, slipped)} & {353}


@pytest.mark.parametrize("channels", (16, 64))
def test_002_pooling_layers_have_no_parameters(channels):
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.SumPool2d(2), nn.LPPool2d(2, 2)):
        row = nn.summary(layer, (channels, 8, 8)).rows[0]
        assert (row.parameters, row.output_shape) == (0, (channels, 4, 4))


def test_002_a_residual_addition_needs_equal_channels():
    """ "Last layer before addition must have the same number of filters as the input" (000)."""
    block = Residual(nn.Conv2d(4, 8, 3, padding=1, rng=0), nn.Identity())
    with pytest.raises(ValueError, match=r"\(1,8,5,5\) \(1,4,5,5\)"):
        block(np.zeros((1, 4, 5, 5), np.float32))
