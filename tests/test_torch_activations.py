"""Activations and their gradients beside PyTorch's."""

import numpy as np
import pytest
import striate
from striate import Tensor, grad, nn

torch = pytest.importorskip("torch")
F = torch.nn.functional

CASES = {
    "elu": [{}, {"alpha": 0.3}],
    "gelu": [{}, {"approximate": "tanh"}],
    "hardsigmoid": [{}],
    "hardswish": [{}],
    "logsigmoid": [{}],
    "mish": [{}],
    "relu6": [{}],
    "selu": [{}],
    "silu": [{}],
    "softplus": [{}, {"beta": 2.0}, {"beta": 0.7, "threshold": 3.0}],
}


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("name, options", [(n, o) for n, all in CASES.items() for o in all])
def test_values_and_gradients(name, options, dtype):
    rng = np.random.default_rng(0)
    edges = np.array([-3, 3, 0, 6, -6, 20, -20, 1e-4, -1e-4])
    x = np.concatenate((edges, rng.standard_normal(500) * 4)).astype(dtype)
    g = rng.standard_normal(x.shape).astype(dtype)
    # PyTorch in float64: in float32 its own GELU is 0 from -5 on.
    leaf, theirs = Tensor(x, requires_grad=True), torch.tensor(x).double().requires_grad_()
    y, expected = getattr(striate, name)(leaf, **options), getattr(F, name)(theirs, **options)
    expected.backward(torch.tensor(g).double())
    (dx,) = grad(y, [leaf], g)
    close = {"rtol": 3e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(y.numpy(), expected.detach(), **close)
    if name == "hardsigmoid":
        close["rtol"] = 1e-6  # its slope there is 1 / 6 in float32
    np.testing.assert_allclose(dx, theirs.grad, **close)


@pytest.mark.parametrize(
    "shape, weights", (((4, 3), 3), ((2, 5, 7), 5), ((2, 5, 4, 6), 1), ((9,), 1))
)
def test_prelu(shape, weights):
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(s) for s in (shape, (weights,))]
    g = rng.standard_normal(shape)
    ours = [Tensor(v, requires_grad=True) for v in values]
    theirs = [torch.tensor(v, requires_grad=True) for v in values]
    expected = F.prelu(*theirs)
    expected.backward(torch.tensor(g))
    y = striate.prelu(*ours)
    np.testing.assert_allclose(y.numpy(), expected.detach(), rtol=1e-12)
    for got, want in zip(grad(y, ours, g), theirs, strict=True):
        np.testing.assert_allclose(got, want.grad, rtol=1e-10, atol=1e-12)


LAYERS = "ELU GELU Hardsigmoid Hardswish LogSigmoid Mish PReLU ReLU6 SELU SiLU Softplus".split()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_defaults_of_pytorch(name):
    x = np.linspace(-8, 8, 60, dtype=np.float32).reshape(5, 3, 4)
    ours, theirs = getattr(nn, name)(), getattr(torch.nn, name)()
    with torch.no_grad():
        want = theirs(torch.tensor(x))
    got = ours(x)
    got = got.numpy() if isinstance(got, Tensor) else got
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert list(ours.state_dict()) == list(theirs.state_dict())
