"""Linear layers as convolutions, and dense prediction with them."""

import numpy as np
import pytest
from striate import Tensor, nn, no_grad

F64 = {"dtype": np.float64}


def images(*shape):
    return np.random.default_rng(3).standard_normal(shape)


def parameters(module):
    return sum(parameter.size for parameter in module.parameters())


def test_001_a_dense_head_on_7x7x32_is_two_convolutions():
    """7x7x32 -> (7x7, 32) -> 1x1x32 -> (1x1, 100) equals Linear 1568-32-100: 53,508 parameters."""
    head = nn.Sequential(
        nn.Flatten(), nn.Linear(1568, 32, rng=0, **F64), nn.ReLU(), nn.Linear(32, 100, rng=1, **F64)
    )
    dense = nn.fully_convolutional(head, (32, 7, 7))
    assert [type(layer).__name__ for layer in dense] == ["Conv2d", "ReLU", "Conv2d"]
    assert dense[0].kernel_size == (7, 7) and dense[2].kernel_size == (1, 1)
    assert parameters(head) == parameters(dense) == 53_508
    x = images(3, 32, 7, 7)
    with no_grad():
        y = dense(x)
        assert y.shape == (3, 100, 1, 1)
        np.testing.assert_allclose(y.data[..., 0, 0], head(x).data, rtol=1e-12, atol=1e-12)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=0, rng=0, **F64),
        nn.BatchNorm2d(4, **F64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 5 * 6, 8, rng=1, **F64),
        nn.ReLU(),
        nn.Linear(8, 3, bias=False, rng=2, **F64),
    )


def test_001_larger_images_give_a_grid_of_predictions():
    """Each is what the network says of its part of the image; windows move by the pool's stride."""
    small = network()
    dense = nn.fully_convolutional(small, (1, 12, 14))
    assert small.training and all(layer.training for layer in dense)
    small.eval(), dense.eval()
    x = images(2, 1, 20, 18)
    with no_grad():
        grid = dense(x).data
        assert grid.shape == (2, 3, 5, 3)
        for i, j in np.ndindex(5, 3):
            crop = x[:, :, 2 * i : 2 * i + 12, 2 * j : 2 * j + 14]
            np.testing.assert_allclose(grid[:, :, i, j], small(crop).data, rtol=1e-10, atol=1e-12)


def test_the_head_is_a_copy_and_the_body_is_shared():
    small = network()
    small[1].eval()
    dense = nn.fully_convolutional(small, (1, 12, 14))
    assert dense[0] is small[0] and not small[1].training
    assert dense[4].weight is not small[5].weight
    dense(Tensor(images(1, 1, 12, 14))).sum().backward()
    assert dense[4].weight.grad is not None and small[5].weight.grad is None


@pytest.mark.parametrize("size", ((6,), (2, 3), (1, 2, 3)))
def test_a_linear_layer_in_every_rank(size):
    linear = nn.Linear(24, 5, rng=0, **F64)
    conv = nn.linear_to_conv(linear, size)
    x = images(2, 4, *size)
    with no_grad():
        y = conv(x).data
        np.testing.assert_allclose(y.reshape(2, 5), linear(x.reshape(2, 24)).data, rtol=1e-12)


@pytest.mark.parametrize(
    "call, error, message",
    (
        (lambda: nn.linear_to_conv(nn.ReLU(), (1,)), TypeError, "needs a Linear layer, got ReLU"),
        (lambda: nn.linear_to_conv(nn.Linear(10, 2), (3, 3)), ValueError, r"10 features.*\(3, 3\)"),
        (lambda: nn.linear_to_conv(nn.Linear(8, 2), (2, 0)), ValueError, r"input_size.*\(2, 0\)"),
        (
            lambda: nn.fully_convolutional(nn.Sequential(nn.ReLU()), (1, 2, 2)),
            ValueError,
            "one Flatten layer, found 0",
        ),
        (
            lambda: nn.fully_convolutional(nn.Sequential(nn.Flatten(2)), (1, 2, 2)),
            ValueError,
            "Flatten must join all axes but the first",
        ),
    ),
)
def test_what_cannot_be_converted(call, error, message):
    with pytest.raises(error, match=message):
        call()
