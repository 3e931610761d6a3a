"""Resizing and sampling agree with PyTorch over the grid of their options."""

import itertools

import numpy as np
import pytest
import striate

torch = pytest.importorskip("torch")
F = torch.nn.functional

SHAPES = {1: (2, 3, 7), 2: (2, 3, 7, 10), 3: (1, 2, 4, 7, 5)}
NAMES = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}


def modes():
    for rank in (1, 2, 3):
        for mode in ("nearest", "nearest-exact", "area"):
            yield rank, mode, None, False
        for mode, names in NAMES.items():
            if rank in names:
                for corners, antialias in itertools.product((False, True), (False, True)):
                    if rank == 2 or not antialias:
                        yield rank, names[rank], corners, antialias


@pytest.mark.parametrize("rank, mode, align_corners, antialias", tuple(modes()))
def test_interpolate(rank, mode, align_corners, antialias):
    rng = np.random.default_rng(rank)
    rules = {"mode": mode, "align_corners": align_corners, "antialias": antialias}
    wholes = ({"size": 5}, {"size": 14}, {"size": tuple((3, 16, 9)[:rank])})
    scales = tuple(
        {"scale_factor": s, "recompute_scale_factor": r}
        for s in (2.0, 0.5, 1.3, 0.7)
        for r in (None, True)
    )
    for how in (*wholes, *scales):
        for last in (False, True):
            x = torch.tensor(rng.standard_normal(SHAPES[rank]), requires_grad=True)
            mine = np.moveaxis(np.ascontiguousarray(np.moveaxis(x.detach().numpy(), 1, -1)), -1, 1)
            mine = striate.Tensor(mine if last else x.detach().numpy(), requires_grad=True)
            want = F.interpolate(x, **how, **rules)
            got = striate.interpolate(mine, **how, **rules)
            np.testing.assert_allclose(
                got.data, want.detach(), rtol=0, atol=1e-12, err_msg=str(how)
            )
            g = rng.standard_normal(tuple(want.shape))
            want.backward(torch.tensor(g))
            got.backward(g)
            np.testing.assert_allclose(mine.grad, x.grad, rtol=0, atol=1e-12, err_msg=str(how))


@pytest.mark.parametrize("mode", ("nearest", "nearest-exact"))
def test_nearest_of_many_sizes_in_float32(mode):
    """PyTorch rounds positions to float32, and may then fall short of a whole number; we do not."""
    half = mode == "nearest-exact"
    for n, m in itertools.product(range(1, 20), range(1, 33)):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, n)
        want = F.interpolate(torch.tensor(x), size=m, mode=mode).numpy()
        got = striate.interpolate(x, m, mode=mode)
        between = (2 * np.arange(m) + half) * n % (2 * m) != 0
        assert np.array_equal(got[..., between], want[..., between]), (n, m)
