"""Lecture 003: PyTorch's layers, padding, the cost of layers, receptive fields, networks counted.

Same input, same numbers; where a slide slips, the test says so.
"""

import itertools

import numpy as np
import pytest
import striate
from lecture_networks import dogs_against_cats, resnet50, vgg16
from striate import nn


def image(rows):
    return np.array(rows, np.float32)[None, None]


def convolved(rows, kernel, **window):
    return striate.conv2d(image(rows), image(kernel), **window, exact=True)[0, 0]


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


def test_003_cost_of_a_layer_by_its_summary():
    layer = nn.summary(nn.Conv2d(16, 32, 3, padding="same", rng=0), (16, 64, 64)).rows[0]
    assert layer.parameters == 4_640 and layer.parameters - 32 == 4_608
    assert layer.activations == 131_072 and layer.multiply_adds == 18_874_368
    with nn.shapes_only():
        separable = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.Conv2d(16, 32, 1)
        )
    rows = nn.summary(separable, (16, 64, 64)).rows
    assert [row.parameters for row in rows] == [144, 512 + 32]
    assert sum(row.parameters for row in rows) == 688
    with nn.shapes_only():
        dense = nn.Linear(65_536, 131_072)
    assert nn.summary(dense, (65_536,)).parameters == 8_590_065_664


FASHION = (
    (320, 128, 9_248, 128),
    (18_496, 256, 36_928, 256),
    (1_606_144, 2_048, 5_130),
)


def test_003_fashion_mnist_network():
    """1,679,082 parameters as Keras counts, with the 1,408 running statistics."""
    network = nn.summary(striate.models.lecture003_cnn(rng=0), (1, 28, 28))
    assert network.parameters == network.trainable == 1_677_674
    assert network.buffers == 1_408
    assert network.parameters + network.buffers == 1_679_082
    rows = [row.parameters + row.buffers for row in network.rows if row.parameters]
    assert rows == [number for block in FASHION for number in block]
    sizes = [row.output_shape for row in network.rows if row.kind in ("MaxPool2d", "Flatten")]
    assert sizes == [(32, 14, 14), (64, 7, 7), (3136,)]


def test_003_dogs_against_cats():
    """Sizes 75, 37, 18, 8. Four pools 2x2/2 would end with 9: the last one is 3x3/2."""
    with nn.shapes_only():
        network = dogs_against_cats()
    counted = nn.summary(network, (3, 150, 150))
    assert [row.parameters for row in counted.rows if row.parameters] == [
        896, 18_496, 73_856, 147_584, 295_168, 1_180_160, 2_359_808, 2_359_808, 16_777_728, 513,
    ]  # fmt: skip
    assert counted.parameters == counted.trainable == 23_214_017
    pools = [row.output_shape for row in counted.rows if row.kind == "MaxPool2d"]
    assert pools == [(64, 75, 75), (128, 37, 37), (512, 18, 18), (512, 8, 8)]
    assert counted.rows[-1].input_shape == (1,) and 512 * 8 * 8 == 32_768


def test_003_receptive_field_table():
    network = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False, rng=0),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    fields = nn.receptive_field(network, (3, 256, 256))
    assert [(f.size, f.start, f.jump, f.field) for f in fields] == [
        ((n, n), (0.5, 0.5), (jump, jump), (field, field))
        for n, jump, field in ((256, 1, 1), (128, 2, 7), (128, 2, 7), (128, 2, 7), (64, 4, 11))
    ]
    # The slide prints unit (1, 1), "[(0, 6.0), (0, 6.0)]"; its call passes (2, 2).
    assert fields[2].edges((1, 1)) == ((0, 6), (0, 6))
    assert fields[2].pixels((1, 1)) == (slice(0, 6), slice(0, 6))
    assert fields[2].edges((2, 2)) == ((1, 8), (1, 8))


def test_003_kerass_resnet50():
    """25,636,712: torchvision's 25,557,032, biases of convolutions, moving statistics."""
    with nn.shapes_only():
        torchvisions, kerass = resnet50(bias=False), resnet50(bias=True)
    plain, keras = (nn.summary(network, (3, 224, 224)) for network in (torchvisions, kerass))
    assert plain.parameters == 25_557_032
    assert keras.parameters - plain.parameters == 26_560
    assert keras.buffers == plain.buffers == 53_120
    assert keras.parameters + keras.buffers == 25_636_712
    assert plain.rows[-1].output_shape == (1000,)
    assert round(4 * 25_636_712 / 2**20) == 98  # "98 MB"


def test_003_vgg16_in_megabytes():
    with nn.shapes_only():
        network = nn.summary(vgg16(), (3, 224, 224))
    assert network.parameters == 138_357_544
    assert round(network.parameter_bytes / 2**20) == 528


def test_003_back_propagation_sums_the_output_gradient():
    """delta_x[i, j] = sum h[i - i', j - j'] delta_y[i', j']; one line has x for delta_y."""
    rng = np.random.default_rng(0)
    h, x = rng.integers(-3, 4, (3, 3)), rng.integers(-3, 4, (5, 5))
    y_grad = rng.integers(-3, 4, (3, 3))
    right, slide = np.zeros((5, 5), int), np.zeros((5, 5), int)
    for (i, j), (p, q) in itertools.product(np.ndindex(5, 5), np.ndindex(3, 3)):
        if 0 <= i - p < 3 and 0 <= j - q < 3:
            right[i, j] += h[i - p, j - q] * y_grad[p, q]
            slide[i, j] += h[i - p, j - q] * x[p, q]
    found = striate.conv2d_input_grad((1, 1, 5, 5), image(h), image(y_grad), exact=True)[0, 0]
    np.testing.assert_array_equal(found, right)
    assert (slide != right).any()


def test_003_pooling_backward():
    """A mean sends 1/Q of its gradient to each of Q pixels, a maximum all of it to one."""
    x = image([[1, 2], [4, 3]])
    _, at = striate.max_pool2d(x, 2, return_indices=True)
    grad = np.full((1, 1, 1, 1), 8, np.float32)
    np.testing.assert_array_equal(
        striate.max_pool2d_input_grad(x.shape, at, grad)[0, 0], [[0, 0], [8, 0]]
    )
    mean = striate.avg_pool2d_input_grad(x.shape, grad, 2)[0, 0]
    np.testing.assert_array_equal(mean, [[2, 2], [2, 2]])


def test_003_predefined_sparsity():
    """A fixed mask on the weights: what it removes takes no part and gets no gradient."""
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (1, 2, 5, 5)).astype(np.float64)
    w = striate.Tensor(rng.integers(1, 4, (3, 2, 3, 3)).astype(np.float64), requires_grad=True)
    mask = rng.integers(0, 2, w.shape).astype(np.float64)
    y = striate.conv2d(x, w * mask, exact=True)
    np.testing.assert_array_equal(y.data, striate.conv2d(x, w.data * mask, exact=True))
    y.sum().backward()
    dense = striate.conv2d_weight_grad(x, w.shape, np.ones(y.shape), exact=True)
    np.testing.assert_array_equal(w.grad, dense * mask)
