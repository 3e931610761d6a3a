"""Linear layers as convolutions, and dense prediction with them."""

import numpy as np
import pytest
from striate import Tensor, nn, no_grad
from striate.models import fashion_cnn, lecture003_cnn, lecture003_mlp

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


@pytest.mark.parametrize("last", (nn.Softmax(-1), nn.Softmax(1), nn.LogSoftmax(-1)), ids=repr)
def test_a_softmax_of_features_becomes_one_of_channels(last):
    small = nn.Sequential(*network(), last).eval()
    dense = nn.fully_convolutional(small, (1, 12, 14))
    x = images(2, 1, 14, 16)
    with no_grad():
        grid = dense(x).data
        for i, j in np.ndindex(2, 2):
            crop = x[:, :, 2 * i : 2 * i + 12, 2 * j : 2 * j + 14]
            np.testing.assert_allclose(grid[:, :, i, j], small(crop).data, rtol=1e-10, atol=1e-12)


def trained(model):
    """With statistics that are not those of a new layer."""
    rng = np.random.default_rng(5)
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer[...] = rng.uniform(0.5, 1.5, buffer.shape)
    return model.to(np.float64).eval()


def fashion():
    model = fashion_cnn(rng=0)
    return nn.Sequential(model.features, model.classifier)


@pytest.mark.parametrize("build", (lecture003_cnn, lecture003_mlp, fashion))
def test_networks_of_the_package_are_converted(build):
    small = trained(build(rng=0) if build is not fashion else build())
    dense = nn.fully_convolutional(small, (1, 28, 28))
    x = images(2, 1, 36, 32)
    with no_grad():
        grid = dense(x).data
        same = dense(x[:, :, :28, :28]).data
        want = small(x[:, :, :28, :28]).data
    assert grid.shape[:2] == (2, 10) and min(grid.shape[2:]) > 1
    np.testing.assert_allclose(same[..., 0, 0], want, rtol=1e-10, atol=1e-12)


def test_a_batch_norm_after_flatten_keeps_its_state():
    small = trained(lecture003_cnn(rng=0))
    norm = small[5].freeze()
    dense = nn.fully_convolutional(small, (1, 28, 28))
    twin = dense[len(dense) - 3]
    assert isinstance(twin, nn.BatchNorm2d) and twin.frozen and not twin.weight.requires_grad
    assert repr(twin).split("(")[1] == repr(norm).split("(")[1]
    for name, value in norm.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], value)
    twin.running_mean[:] = 0
    assert norm.running_mean.all()


def test_a_convolution_is_learnt_as_its_linear_layer_is():
    linear = nn.Linear(8, 3, rng=0)
    linear.bias.requires_grad = False
    conv = nn.linear_to_conv(linear, (2, 2))
    assert conv.weight.requires_grad and not conv.bias.requires_grad and conv.training
    conv = nn.linear_to_conv(linear.freeze(), (2, 2))
    assert conv.frozen and not conv.weight.requires_grad and not conv.train().training


@pytest.mark.parametrize(
    "layers",
    (
        (nn.Linear(8, 4, rng=0), nn.LayerNorm(4)),
        (nn.Linear(8, 4, rng=0), nn.Softmax(0)),
        (nn.Linear(8, 4, rng=0), nn.Dropout1d()),
        (nn.Softmax(1), nn.Linear(8, 4, rng=0)),
        (nn.BatchNorm1d(8), nn.Linear(8, 4, rng=0)),
        (nn.PReLU(8), nn.Linear(8, 4, rng=0)),
    ),
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_layers_that_differ_on_maps_are_refused(layers):
    kind = next(type(layer).__name__ for layer in layers if not isinstance(layer, nn.Linear))
    with pytest.raises(ValueError, match=rf"fully_convolutional: {kind}\(.* after Flatten"):
        nn.fully_convolutional(nn.Sequential(nn.Flatten(), *layers), (2, 2, 2))


def test_more_that_cannot_be_converted():
    with pytest.raises(TypeError, match="fully_convolutional: needs a Sequential, got FashionCNN"):
        nn.fully_convolutional(fashion_cnn(rng=0), (1, 28, 28))
    with pytest.raises(ValueError, match=r"no Linear layer follows Flatten, on maps of \(2, 2\)"):
        nn.fully_convolutional(nn.Sequential(nn.Flatten(), nn.ReLU()), (1, 2, 2))


def test_a_network_keeps_its_modes_when_an_image_does_not_fit():
    small = network()
    small[1].eval()
    with pytest.raises(ValueError):
        nn.fully_convolutional(small, (3, 12, 14))
    assert [layer.training for layer in small] == [True, False] + [True] * 6
