"""Lecture 004: descent, layers in the lectures' order of axes, dilation, DenseNet.

Its gradients, Jacobians and losses are in test_lecture_gradients.

Same input, same numbers; where a slide slips, the test says so.
"""

import numpy as np
import pytest
import striate
from striate import nn, optim

# ---- descent -----------------------------------------------------------------------------


@pytest.mark.parametrize("sign", (-1, 1))
def test_004_descent_subtracts(sign):
    """One page updates w + eta dE/dw, which climbs; the others, and we, subtract."""
    w = nn.Parameter(np.array([3.0]))
    optimizer = optim.SGD([w], lr=0.1)
    for _ in range(5):
        w.grad = -sign * 2 * w.data  # of E = w^2
        optimizer.step()
    assert (abs(w.data[0]) < 3) == (sign == -1)
    np.testing.assert_allclose(w.data, [3 * (1 + sign * 0.2) ** 5])


# ---- convolutional layers ----------------------------------------------------------------


def test_004_images_and_filters_in_the_lectures_order():
    """U[sample, row, column, channel] and W[k1, k2, n, m] become ours by transposing."""
    rng = np.random.default_rng(2)
    u = rng.integers(-3, 4, (2, 5, 6, 3)).astype(np.float64)
    w = rng.integers(-3, 4, (2, 3, 3, 4)).astype(np.float64)
    z = np.zeros((2, 4, 4, 4))
    for i, j in np.ndindex(4, 4):
        z[:, i, j] = np.tensordot(u[:, i : i + 2, j : j + 3], w, 3)
    ours = striate.conv2d(u.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), exact=True)
    np.testing.assert_array_equal(ours.transpose(0, 2, 3, 1), z)
    assert ours.transpose(0, 2, 3, 1).flags.c_contiguous  # it stays in the order it came in
    # dJ/dW[k1, k2, n, m] = sum U[i1 + k1, i2 + k2, n] dJ/dZ[i1, i2, m]
    dz = rng.integers(-3, 4, z.shape).astype(np.float64)
    dw = np.zeros(w.shape)
    for a, b in np.ndindex(2, 3):
        dw[a, b] = np.tensordot(u[:, a : a + 4, b : b + 4], dz, ([0, 1, 2], [0, 1, 2]))
    found = striate.conv2d_weight_grad(
        u.transpose(0, 3, 1, 2), (4, 3, 2, 3), dz.transpose(0, 3, 1, 2), exact=True
    )
    np.testing.assert_array_equal(found.transpose(2, 3, 1, 0), dw)
    found = striate.conv_bias_grad(dz.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(found, dz.sum((0, 1, 2)))


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


@pytest.mark.parametrize("dilations, printed", (((1,), 3), ((1, 2), 7), ((1, 2, 4), 15)))
def test_004_dilations_in_two_dimensions(dilations, printed):
    """Fields grow exponentially, parameters linearly, and no resolution is lost."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 1, 3, padding=d, dilation=d, bias=False, rng=0) for d in dilations)
    )
    last = nn.receptive_field(network, (1, 40, 40))[-1]
    assert last.field == (printed, printed) and last.size == (40, 40)
    assert nn.summary(network, (1, 40, 40)).parameters == 9 * len(dilations)


@pytest.mark.parametrize("n", (1, 2, 5))
@pytest.mark.parametrize("k", (2, 3, 5))
def test_004_fields_of_dense_layers_grow_linearly(n, k):
    """1 + n (K - 1)."""
    network = nn.Sequential(*(nn.Conv1d(1, 1, k, rng=0) for _ in range(n)))
    assert nn.receptive_field(network, (1, 60))[-1].field == (1 + n * (k - 1),)


# ---- DenseNet ----------------------------------------------------------------------------


class DenseBlock(nn.Module):
    """Each layer takes all maps before it and adds `growth` ones."""

    def __init__(self, channels, growth, layers):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth, 3, padding=1, rng=i) for i in range(layers)
        )

    def forward(self, input):
        for layer in self.layers:
            input = striate.concatenate([input, layer(input)], 1)
        return input


def test_004_densenet_grows_and_its_transitions_shrink():
    """C + L k channels after L layers of growth rate k; a 1x1 layer and a pool halve all sizes."""
    block = DenseBlock(64, 32, 6)
    transition = nn.Sequential(nn.Conv2d(256, 128, 1, bias=False, rng=0), nn.AvgPool2d(2))
    counted = nn.summary(nn.Sequential(block, transition), (64, 56, 56))
    assert [row.input_shape[0] for row in counted.rows[:6]] == [64, 96, 128, 160, 192, 224]
    assert counted.rows[-2].input_shape[0] == 64 + 6 * 32 == 256
    assert counted.rows[-1].output_shape == (128, 28, 28)
