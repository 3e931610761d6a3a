"""Normalisations of each sample beside PyTorch's: values, gradients, running statistics."""

import numpy as np
import pytest
import striate
from striate import Tensor, grad, nn

torch = pytest.importorskip("torch")
F = torch.nn.functional


def compare(ours, theirs, values, close=None):
    """ours(*Tensors) and theirs(*torch tensors): results and all gradients, in float64."""
    leaves = [Tensor(v, requires_grad=True) for v in values]
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    y, want = ours(*leaves), theirs(*tensors)
    g = np.random.default_rng(0).standard_normal(want.shape)
    want.backward(torch.tensor(g))
    close = close or {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(y.numpy(), want.detach(), **close)
    for got, tensor in zip(grad(y, leaves, g), tensors, strict=True):
        np.testing.assert_allclose(got, tensor.grad, **close)


def draw(*shapes):
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("shape", ((4, 6), (3, 6, 5), (2, 6, 4, 5), (2, 6, 3, 2, 4)))
@pytest.mark.parametrize("groups", (1, 2, 3))
@pytest.mark.parametrize("eps", (1e-5, 0.1))
def test_group_norm(shape, groups, eps):
    compare(
        lambda x, w, b: striate.group_norm(x, groups, w, b, eps),
        lambda x, w, b: F.group_norm(x, groups, w, b, eps),
        draw(shape, 6, 6),
    )


@pytest.mark.parametrize("inner", ((5,), (4, 5), (6, 4, 5)))
def test_layer_norm(inner):
    compare(
        lambda x, w, b: striate.layer_norm(x, inner, w, b),
        lambda x, w, b: F.layer_norm(x, inner, w, b),
        draw((2, 6, 4, 5), inner, inner),
    )


@pytest.mark.parametrize("shape", ((3, 4, 5), (2, 4, 3, 5), (2, 4, 3, 2, 3)))
def test_instance_norm(shape):
    running = [np.zeros(4), np.ones(4)]
    theirs = [torch.zeros(4).double(), torch.ones(4).double()]
    compare(
        lambda x, w, b: striate.instance_norm(x, *running, w, b, momentum=0.2),
        lambda x, w, b: F.instance_norm(x, *theirs, w, b, momentum=0.2),
        draw(shape, 4, 4),
    )
    for own, other in zip(running, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


@pytest.mark.parametrize("size", (1, 2, 5, 6))
@pytest.mark.parametrize("shape", ((2, 5, 4), (2, 7, 3, 4), (1, 4, 2, 3, 2)))
def test_local_response_norm(shape, size):
    compare(
        lambda x: striate.local_response_norm(x, size, 0.1, 0.6, 2.0),
        lambda x: F.local_response_norm(x, size, 0.1, 0.6, 2.0),
        draw(shape),
    )


@pytest.mark.parametrize("p", (1.0, 2.0, 3.0))
def test_normalize(p):
    compare(lambda x: striate.normalize(x, p), lambda x: F.normalize(x, p), draw((3, 5, 4)))


LAYERS = {
    "GroupNorm": (2, 6),
    "LayerNorm": ((4, 5),),
    "InstanceNorm2d": (6,),
    "LocalResponseNorm": (3,),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_defaults_and_names_of_pytorch(name):
    (x,) = draw((2, 6, 4, 5))
    x = x.astype(np.float32)
    ours, theirs = getattr(nn, name)(*LAYERS[name]), getattr(torch.nn, name)(*LAYERS[name])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    want = theirs(torch.tensor(x)).detach()
    got = ours(x)
    got = got.numpy() if isinstance(got, Tensor) else got
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    if name == "InstanceNorm2d":
        tracked = {"affine": True, "track_running_stats": True}
        ours, theirs = nn.InstanceNorm2d(6, **tracked), torch.nn.InstanceNorm2d(6, **tracked)
        assert set(ours.state_dict()) == set(theirs.state_dict())
