"""Lecture 004 on gradients: Jacobians, the chain rule, the two-layer binary classifier, losses as
sums; and AlexNet's normalisation and recipe as lectures 000 and 002 have them."""

import numpy as np
import pytest
import striate
from striate import Tensor, jacobian, nn, optim


def test_004_the_jacobian_of_two_functions_of_three_numbers():
    """f(w) = (w1 w2, w1^2 + w3^3). (One slide prints df1/dw2 twice; the first is df1/dw1.)"""
    w = np.array([2.0, 3.0, 5.0])

    def f(w):
        return striate.stack([w[0] * w[1], w[0] ** 2 + w[2] ** 3])

    np.testing.assert_allclose(jacobian(f, w), [[3, 2, 0], [4, 0, 75]])


def test_004_the_jacobian_of_a_matrix_is_the_matrix():
    a, w = np.random.default_rng(0).standard_normal((4, 3)), np.ones(3)
    np.testing.assert_allclose(jacobian(lambda w: striate.linear(w, a), w), a)


def test_004_a_jacobian_of_12_million_elements():
    """From (50, 30) to (10, 20, 40): each output is the sum of one row and one column here."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 30)).astype(np.float32)
    rows, columns = rng.integers(0, 50, 8000), rng.integers(0, 30, 8000)

    def f(x):
        return (x[rows, columns] * 2.0).reshape(10, 20, 40)

    whole = jacobian(f, x)
    assert whole.shape == (10, 20, 40, 50, 30) and whole.size == 12_000_000
    flat = whole.reshape(8000, 50, 30)
    assert (flat[np.arange(8000), rows, columns] == 2).all() and np.count_nonzero(flat) == 8000


def test_004_the_tensor_chain_rule():
    """dz/dx is the inner product of the two gradient tensors, over the indices of y."""
    rng = np.random.default_rng(2)
    x, a, b = (rng.standard_normal(shape) for shape in ((2, 3), (3, 4), (2, 4)))

    def h(x):
        return striate.tanh(x @ a)  # (2, 4)

    def g(y):
        return (y * y + y * b).sum(0)  # (4,)

    y = h(Tensor(x)).numpy()
    product = np.tensordot(jacobian(g, y), jacobian(h, x), axes=2)
    np.testing.assert_allclose(jacobian(lambda x: g(h(x)), x), product)


def test_jacobians_of_several_inputs():
    x, y, z = np.ones(2), np.arange(3.0), np.ones(4)
    parts = jacobian(lambda x, y, z: x.reshape(2, 1) * y, [x, y, z])
    assert [part.shape for part in parts] == [(2, 3, 2), (2, 3, 3), (2, 3, 4)]
    np.testing.assert_array_equal(parts[0][:, :, 0], [[0, 1, 2], [0, 0, 0]])
    assert not parts[2].any()
    assert not jacobian(lambda x: Tensor(np.ones(2)), x).any()


def test_004_gradients_of_the_two_layer_binary_classifier():
    """Two inputs, four hidden units, one output, all sigmoids; the loss is a sum over samples."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((7, 2)), rng.integers(0, 2, (7, 1)).astype(np.float64)
    net = nn.Sequential(
        nn.Linear(2, 4, rng=1, dtype=np.float64),
        nn.Sigmoid(),
        nn.Linear(4, 1, rng=2, dtype=np.float64),
    )
    w_h, b_h, w_o, b_o = (parameter.data for parameter in net.parameters())
    loss = striate.binary_cross_entropy_with_logits(net(x), y, "sum")
    loss.backward()

    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    want = {"loss": 0.0, "w_h": 0.0, "b_h": 0.0, "w_o": 0.0, "b_o": 0.0}
    for x_i, y_i in zip(x, y[:, 0], strict=True):
        z_h = w_h @ x_i + b_h
        u_h = sigmoid(z_h)
        z_o = float(w_o[0] @ u_h + b_o[0])
        y_hat = sigmoid(z_o)
        want["loss"] -= y_i * np.log(y_hat) + (1 - y_i) * np.log(1 - y_hat)
        by_output = -y_i / y_hat - (1 - y_i) * (-1 / (1 - y_hat))
        by_z_o = by_output * np.exp(-z_o) / (1 + np.exp(-z_o)) ** 2
        want["w_o"] += by_z_o * u_h[None]
        want["b_o"] += by_z_o
        by_z_h = by_z_o * w_o[0] * np.exp(-z_h) / (1 + np.exp(-z_h)) ** 2
        want["w_h"] += by_z_h[:, None] * x_i[None]
        want["b_h"] += by_z_h
    np.testing.assert_allclose(loss.item(), want["loss"])
    names = ("w_h", "b_h", "w_o", "b_o")
    for name, parameter in zip(names, net.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, want[name] + np.zeros(parameter.shape))

    # "+ eta dE/dw" in the update of one slide is a slip: the step goes down.
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    before = w_o.copy()
    optimizer.step()
    np.testing.assert_allclose(net[2].weight.data, before - 0.01 * want["w_o"])
    assert striate.binary_cross_entropy_with_logits(net(x), y, "sum").item() < want["loss"]


def test_004_losses_are_sums():
    """Squared error over samples and outputs; binary and categorical cross-entropy over samples."""
    rng = np.random.default_rng(4)
    y, y_hat = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    assert striate.mse_loss(y_hat, y, "sum") == pytest.approx(((y - y_hat) ** 2).sum())
    chances, one_hot = striate.softmax(y_hat, 1), np.eye(3)[rng.integers(0, 3, 5)]
    want = -(one_hot * np.log(chances)).sum()
    assert striate.cross_entropy(y_hat, one_hot.argmax(1), "sum") == pytest.approx(want)
    assert striate.cross_entropy(y_hat, one_hot, "sum") == pytest.approx(want)


def test_002_alexnets_local_response_norm():
    """b = a / (2 + 1e-4 sum over 5 neighbouring channels of a^2) ** 0.75."""
    a = np.arange(1.0, 9.0).reshape(1, 8, 1, 1) * 10
    layer = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)
    squares = a[0, :, 0, 0] ** 2
    sums = [squares[max(c - 2, 0) : c + 3].sum() for c in range(8)]
    want = a[0, :, 0, 0] / (2 + 1e-4 * np.array(sums)) ** 0.75
    np.testing.assert_allclose(layer(a)[0, :, 0, 0], want)


def test_000_alexnets_recipe():
    """v = 0.9 v - 0.0005 * rate * w - rate * gradient; w = w + v: SGD's, with b = -v / rate."""
    w, rate = np.array([1.0, -2.0]), 0.01
    parameter = nn.Parameter(w)
    optimizer = optim.SGD([parameter], lr=rate, momentum=0.9, weight_decay=5e-4)
    v = 0.0
    for gradient in np.random.default_rng(5).standard_normal((6, 2)):
        parameter.grad = gradient
        optimizer.step()
        v = 0.9 * v - 5e-4 * rate * w - rate * gradient
        w = w + v
    np.testing.assert_allclose(parameter.data, w)
