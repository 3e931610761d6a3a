"""The convolution's gradients as the lectures derive them: adjoints and identities between ops.

Each identity holds exactly on integers, so it is demanded bit for bit.
"""

import numpy as np
import pytest
import striate
from problems import conv_problem
from test_conv_exact import functions_of


def integers(rng, *shape):
    return rng.integers(-3, 4, shape).astype(np.float32)


def test_adjoint_identity_on_real_data():
    """<conv(x, w), g> = <x, dx> = <w, dw> to float64 rounding."""
    for index in range(200):
        problem = conv_problem(41, index)
        rng = np.random.default_rng(index)
        forward, input_grad, weight_grad = functions_of(problem.ndim)
        x, w, g = map(
            rng.standard_normal, (problem.input_shape, problem.weight_shape, problem.output_shape)
        )
        y = forward(x, w, **problem.window)
        dx = input_grad(x.shape, w, g, **problem.window)
        dw = weight_grad(x, w.shape, g, **problem.window)
        scale = 1e-12 * (1 + (np.abs(y) * np.abs(g)).sum())
        assert abs((y * g).sum() - (x * dx).sum()) < scale, str(problem)
        assert abs((y * g).sum() - (w * dw).sum()) < scale, str(problem)


@pytest.mark.parametrize("kernel", (1, 2, 3, 5))
def test_input_gradient_is_a_full_convolution_with_the_flipped_transposed_filter(kernel):
    """Lectures 000, 002, 003, 004."""
    rng = np.random.default_rng(kernel)
    x_shape = (2, 5, 9, 8)
    w, g = integers(rng, 7, 5, kernel, kernel), integers(rng, 2, 7, 10 - kernel, 9 - kernel)
    flipped = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    full = striate.conv2d(g, flipped, padding=kernel - 1, exact=True)
    np.testing.assert_array_equal(striate.conv2d_input_grad(x_shape, w, g, exact=True), full)


@pytest.mark.parametrize("kernel", (1, 2, 3, 5))
def test_weight_gradient_is_the_input_correlated_with_the_output_gradient(kernel):
    """Lectures 000, 002, 003, 004: images take the part of channels."""
    rng = np.random.default_rng(kernel)
    x, g = integers(rng, 3, 4, 9, 8), integers(rng, 3, 6, 10 - kernel, 9 - kernel)
    correlated = striate.conv2d(x.swapaxes(0, 1), g.swapaxes(0, 1), exact=True).swapaxes(0, 1)
    got = striate.conv2d_weight_grad(x, (6, 4, kernel, kernel), g, exact=True)
    np.testing.assert_array_equal(got, correlated)


@pytest.mark.parametrize("stride", (1, 2, 3, 4))
def test_strided_convolution_is_convolution_then_downsampling(stride):
    """Lecture 000."""
    rng = np.random.default_rng(stride)
    for size in range(3, 12):
        x, w = integers(rng, 2, 3, size, size + 1), integers(rng, 4, 3, 3, 3)
        strided = striate.conv2d(x, w, stride=stride, exact=True)
        dense = striate.conv2d(x, w, exact=True)
        np.testing.assert_array_equal(strided, striate.downsample(dense, stride))


@pytest.mark.parametrize("stride", (1, 2, 3))
def test_transposed_convolution_is_zero_upsampling_then_convolution(stride):
    """Lecture 000's fractional stride: insert zeros, then convolve with the flipped filter."""
    rng = np.random.default_rng(stride)
    x, w = integers(rng, 2, 3, 5, 6), integers(rng, 3, 4, 3, 3)
    spread = striate.upsample_zeros(
        x, stride, output_size=tuple((n - 1) * stride + 1 for n in x.shape[2:])
    )
    flipped = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(
        striate.conv_transpose2d(x, w, stride=stride, exact=True),
        striate.conv2d(spread, flipped, padding=2, exact=True),
    )


def test_convolution_is_the_sum_of_single_channel_convolutions():
    """Lecture 000."""
    rng = np.random.default_rng(5)
    x, w = integers(rng, 2, 6, 7, 8), integers(rng, 5, 6, 3, 3)
    parts = [striate.conv2d(x[:, [c]], w[:, [c]], exact=True) for c in range(6)]
    np.testing.assert_array_equal(striate.conv2d(x, w, exact=True), sum(parts))


def test_depthwise_then_pointwise_is_a_convolution_with_the_product_of_weights():
    """Lecture 000: weight[n, m] = pointwise[n, m] depthwise[m]."""
    rng = np.random.default_rng(6)
    x, depth, point = (
        integers(rng, 2, 6, 7, 8),
        integers(rng, 6, 1, 3, 3),
        integers(rng, 5, 6, 1, 1),
    )
    separable = striate.conv2d(striate.conv2d(x, depth, groups=6, exact=True), point, exact=True)
    np.testing.assert_array_equal(
        separable, striate.conv2d(x, point * depth.swapaxes(0, 1), exact=True)
    )


def test_groups_are_convolutions_side_by_side():
    rng = np.random.default_rng(7)
    x, w = integers(rng, 2, 6, 7, 8), integers(rng, 9, 2, 3, 3)
    parts = [
        striate.conv2d(x[:, 2 * i : 2 * i + 2], w[3 * i : 3 * i + 3], exact=True) for i in range(3)
    ]
    np.testing.assert_array_equal(
        striate.conv2d(x, w, groups=3, exact=True), np.concatenate(parts, axis=1)
    )


def test_mean_pooling_and_its_gradient_are_channelwise_convolutions():
    """Lecture 000: a uniform filter; powers of two keep it exact."""
    rng = np.random.default_rng(8)
    x, uniform = integers(rng, 2, 5, 8, 8), np.full((5, 1, 2, 2), 0.25, np.float32)
    y = striate.avg_pool2d(x, 2)
    np.testing.assert_array_equal(y, striate.conv2d(x, uniform, stride=2, groups=5, exact=True))
    g = integers(rng, *y.shape)
    np.testing.assert_array_equal(
        striate.avg_pool2d_input_grad(x.shape, g, 2),
        striate.conv2d_input_grad(x.shape, uniform, g, stride=2, groups=5, exact=True),
    )


def test_strided_pooling_is_pooling_then_downsampling():
    """Lecture 000."""
    rng = np.random.default_rng(9)
    x = integers(rng, 2, 3, 9, 10)
    np.testing.assert_array_equal(
        striate.max_pool2d(x, 3, stride=2),
        striate.downsample(striate.max_pool2d(x, 3, stride=1), 2),
    )


def test_dense_layer_is_a_convolution_as_large_as_its_input():
    """Lecture 001: 7x7x32 -> 1x1x100 equals Linear(1568, 100)."""
    rng = np.random.default_rng(10)
    x, w = integers(rng, 3, 32, 7, 7), integers(rng, 100, 32, 7, 7)
    dense = striate.linear(x.reshape(3, -1), w.reshape(100, -1))
    np.testing.assert_array_equal(striate.conv2d(x, w, exact=True).reshape(3, 100), dense)
