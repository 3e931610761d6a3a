"""Lecture 000: downsampling, pooling and strides as identities; LeNet-5, AlexNet, GoogLeNet.

Same input, same numbers; where a slide slips, the test says so.
"""

import numpy as np
import pytest
import striate
from lecture_networks import alexnet, googlenet, lenet5
from striate import nn, optim


def integers(rng, *shape):
    return rng.integers(-9, 10, shape).astype(np.float64)


# ---- layers and their backward passes ----------------------------------------------------


def test_000_downsampling_is_not_the_backward_of_upsampling_without_the_size():
    """The claim "we can simply use one as the backward of the other" is False: sizes differ."""
    x = np.ones((1, 1, 7), np.float32)
    small = striate.downsample(x, 2)
    assert striate.upsample_zeros(small, 2).shape == (1, 1, 8)
    assert striate.upsample_zeros(small, 2, output_size=(7,)).shape == x.shape


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


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_000_downsampling_backward_is_told_the_size(n, stride):
    """The slide's loop, counted from 0: dy[i S, j S] = dz[i, j], the rest 0, in a map of H x W.

    And the slide's upsampling backward. It begins its output at 0 and its input at 1, one of them
    must move: dy[k] = dz[k S].
    """
    rng = np.random.default_rng(n)
    x = integers(rng, 1, 2, n, n + 2)
    dz = striate.downsample(x, stride)
    dy = np.zeros_like(x)
    for i, j in np.ndindex(dz.shape[2:]):
        dy[:, :, i * stride, j * stride] = dz[:, :, i, j]
    np.testing.assert_array_equal(striate.upsample_zeros(dz, stride, x.shape[2:]), dy)
    up = striate.upsample_zeros(x, stride)
    back = np.zeros_like(x)
    for k, m in np.ndindex(x.shape[2:]):
        back[:, :, k, m] = up[:, :, k * stride, m * stride]
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(striate.downsample(up, stride), back)


def test_000_forward_by_six_nested_loops():
    """Maps, places and the filter's taps and channels; with a stride."""
    rng = np.random.default_rng(0)
    x, w, b, stride = integers(rng, 3, 7, 8), integers(rng, 4, 3, 3, 2), integers(rng, 4), 2
    z = np.zeros((4, 3, 4))
    for j in range(4):
        for r, row in enumerate(range(0, 7 - 3 + 1, stride)):
            for c, column in enumerate(range(0, 8 - 2 + 1, stride)):
                z[j, r, c] = b[j]
                for i in range(3):
                    for u in range(3):
                        for v in range(2):
                            z[j, r, c] += w[j, i, u, v] * x[i, row + u, column + v]
    np.testing.assert_array_equal(striate.conv2d(x[None], w, b, stride, exact=True)[0], z)


def test_000_backward_scatters_into_input_and_weight():
    rng = np.random.default_rng(1)
    x, w, stride = integers(rng, 3, 7, 7), integers(rng, 2, 3, 3, 3), 2
    dz = integers(rng, 2, 3, 3)
    dy, dw = np.zeros_like(x), np.zeros_like(w)
    for j, r, c in np.ndindex(dz.shape):
        window = np.s_[:, r * stride : r * stride + 3, c * stride : c * stride + 3]
        dy[window] += w[j] * dz[j, r, c]
        dw[j] += x[window] * dz[j, r, c]
    grad = striate.conv2d_input_grad((1, *x.shape), w, dz[None], stride, exact=True)
    np.testing.assert_array_equal(grad[0], dy)
    grad = striate.conv2d_weight_grad(x[None], w.shape, dz[None], stride, exact=True)
    np.testing.assert_array_equal(grad, dw)


def test_000_max_and_mean_poolings_backward_add_where_windows_overlap():
    """ "+=". One page's mean pooling adds to column x + j; it is y + j."""
    x = np.random.default_rng(2).permutation(49).astype(np.float64).reshape(1, 1, 7, 7)
    _, at = striate.max_pool2d(x, 3, 2, return_indices=True)
    dz = integers(np.random.default_rng(3), 3, 3)
    most, mean = np.zeros(49), np.zeros((7, 7))
    for r, c in np.ndindex(3, 3):
        most[at[0, 0, r, c]] += dz[r, c]
        for i, j in np.ndindex(3, 3):
            mean[2 * r + i, 2 * c + j] += dz[r, c] / 9
    assert len(set(at.ravel())) < 9  # some pixel is the maximum of two windows
    np.testing.assert_array_equal(
        striate.max_pool2d_input_grad(x.shape, at, dz[None, None]).ravel(), most
    )
    np.testing.assert_allclose(
        striate.avg_pool2d_input_grad(x.shape, dz[None, None], 3, 2)[0, 0], mean, atol=1e-14
    )


def test_000_mean_poolings_backward_is_a_channelwise_convolution():
    """With a uniform filter, after padding by K - 1."""
    dz = integers(np.random.default_rng(4), 1, 3, 5, 5)
    full = striate.conv2d(dz, np.full((3, 1, 4, 4), 1 / 16), padding=3, groups=3, exact=True)
    np.testing.assert_array_equal(striate.avg_pool2d_input_grad((1, 3, 8, 8), dz, 4, 1), full)


@pytest.mark.parametrize("pool", (striate.max_pool2d, striate.avg_pool2d))
@pytest.mark.parametrize("stride", (2, 3))
def test_000_strided_pooling_is_dense_pooling_then_downsampling(pool, stride):
    x = integers(np.random.default_rng(5), 2, 3, 9, 10)
    np.testing.assert_array_equal(pool(x, 3, stride), striate.downsample(pool(x, 3, 1), stride))


# ---- convolution in parts ----------------------------------------------------------------


def test_000_convolution_is_the_sum_of_single_channel_convolutions():
    rng = np.random.default_rng(6)
    x, w = integers(rng, 2, 5, 6, 7), integers(rng, 4, 5, 3, 3)
    parts = [striate.conv2d(x[:, [m]], w[:, [m]], exact=True) for m in range(5)]
    np.testing.assert_array_equal(striate.conv2d(x, w, exact=True), sum(parts))


def test_000_depthwise_then_pointwise():
    """A convolution with weight p[n, m] d[m]; N M + M K^2 parameters against N M K^2."""
    n, m, k = 8, 6, 3
    rng = np.random.default_rng(7)
    depthwise = nn.Conv2d(m, m, k, groups=m, bias=False, dtype=np.float64, rng=0)
    pointwise = nn.Conv2d(m, n, 1, bias=False, dtype=np.float64, rng=0)
    d, p = integers(rng, m, 1, k, k), integers(rng, n, m, 1, 1)
    depthwise.weight.assign(d)
    pointwise.weight.assign(p)
    separable = nn.Sequential(depthwise, pointwise)
    conventional = nn.Conv2d(m, n, k, bias=False, rng=0)
    assert nn.summary(separable, (m, 9, 9)).parameters == n * m + m * k**2 == 102
    assert nn.summary(conventional, (m, 9, 9)).parameters == n * m * k**2 == 432
    x = integers(rng, 2, m, 9, 9)
    with striate.no_grad():
        whole = striate.conv2d(x, p * d.swapaxes(0, 1), exact=True)
        np.testing.assert_array_equal(separable(x), whole)


# ---- networks ----------------------------------------------------------------------------


def test_000_lenet5():
    counted = nn.summary(lenet5(), (1, 32, 32))
    sizes = [row.output_shape for row in counted.rows if row.kind != "Tanh"]
    assert sizes == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (120,), (84,), (10,)
    ]  # fmt: skip


def test_000_alexnets_second_convolution_has_stride_1():
    """The slide says stride 2. With it, 27 would become 14 and the last pool 2, not 6."""
    with nn.shapes_only():
        network = alexnet()
    convolutions = [row for row in nn.summary(network, (3, 227, 227)).rows if row.kind == "Conv2d"]
    assert [row.output_shape[1] for row in convolutions] == [55, 27, 13, 13, 13]
    x = np.zeros((0, 96, 27, 27), np.float32)
    slipped = striate.conv2d(x, np.zeros((256, 48, 5, 5), np.float32), None, 2, 2, 1, 2)
    assert slipped.shape[2:] == (14, 14)
    pooled = striate.max_pool2d(striate.max_pool2d(slipped, 3, 2), 3, 2)
    assert pooled.shape[2:] == (2, 2)


def test_000_zfnet():
    """AlexNet with 7x7 filters of stride 2 first, and 512, 1024, 512 maps in layers 3 to 5."""
    with nn.shapes_only():
        network = nn.Sequential(
            nn.Conv2d(3, 96, 7, 2, 1),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(96, 256, 5, 2),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(256, 512, 3, padding=1),
            nn.Conv2d(512, 1024, 3, padding=1),
            nn.Conv2d(1024, 512, 3, padding=1),
            nn.MaxPool2d(3, 2),
        )
    counted = nn.summary(network, (3, 224, 224))
    assert [row.output_shape for row in counted.rows] == [
        (96, 110, 110), (96, 55, 55), (256, 26, 26), (256, 13, 13),
        (512, 13, 13), (1024, 13, 13), (512, 13, 13), (512, 6, 6),
    ]  # fmt: skip
    first = counted.rows[0].parameters - 96
    assert first == 96 * 3 * 7**2 == 14_112  # against AlexNet's 34,848


def test_000_googlenet():
    """ "Only 5 million parameters": 6,998,552, or 5,973,552 without the last dense layer."""
    with nn.shapes_only():
        network = googlenet()
    counted = nn.summary(network, (3, 224, 224))
    assert counted.parameters == 6_998_552
    assert counted.parameters - counted.rows[-1].parameters == 5_973_552
    assert counted.rows[-1].output_shape == (1000,)
    assert nn.summary(network[:10], (3, 224, 224)).rows[-1].output_shape == (192, 28, 28)
    assert nn.summary(network[:-4], (3, 224, 224)).rows[-1].output_shape == (128, 7, 7)


# ---- recipes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    (
        {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},  # AlexNet
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-5},  # ResNet
    ),
    ids=("AlexNet", "ResNet"),
)
def test_000_recipes(recipe):
    """Momentum, weight decay, and a rate that is divided by 10."""
    weight = nn.Parameter(np.array([4.0, -2.0]))
    optimizer = optim.SGD([weight], **recipe)
    schedule = optim.StepLR(optimizer, step_size=2, gamma=0.1)
    w, velocity, rate = weight.data.copy(), np.zeros(2), recipe["lr"]
    for step in range(4):
        weight.grad = np.array([1.0, step])
        optimizer.step()
        schedule.step()
        velocity = 0.9 * velocity + weight.grad + recipe["weight_decay"] * w
        w = w - rate * velocity
        rate = recipe["lr"] * 0.1 ** ((step + 1) // 2)
        np.testing.assert_allclose(weight.data, w, rtol=1e-14)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(recipe["lr"] / 100)


def test_000_dropout_is_for_dense_layers():
    with nn.shapes_only():
        network = list(alexnet())
    after = [network[i + 1] for i, layer in enumerate(network) if isinstance(layer, nn.Dropout)]
    assert all(isinstance(layer, nn.Linear) for layer in after) and len(after) == 2
    assert all(layer.p == 0.5 for layer in network if isinstance(layer, nn.Dropout))
