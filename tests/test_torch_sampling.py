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
        for names in NAMES.values():
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


@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("rank", (2, 3))
@pytest.mark.filterwarnings("ignore:Since version 1.3.0")  # of sizes of 1
def test_affine_grid(rank, align_corners):
    rng = np.random.default_rng(rank)
    theta = rng.standard_normal((2, rank, rank + 1))
    for spatial in ((4, 7, 5)[:rank], (1,) * rank):
        size = (2, 3, *spatial)
        leaf, mine = (
            torch.tensor(theta, requires_grad=True),
            striate.Tensor(theta, requires_grad=True),
        )
        want = F.affine_grid(leaf, size, align_corners=align_corners)
        got = striate.affine_grid(mine, size, align_corners)
        np.testing.assert_allclose(got.data, want.detach().numpy(), rtol=0, atol=1e-12)
        g = rng.standard_normal(got.shape)
        want.backward(torch.tensor(g))
        got.backward(g)
        np.testing.assert_allclose(mine.grad, leaf.grad.numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("padding", ("zeros", "border", "reflection"))
@pytest.mark.parametrize(
    "mode, rank", (("nearest", 2), ("bilinear", 2), ("bicubic", 2), ("nearest", 3), ("bilinear", 3))
)
def test_grid_sample(mode, rank, padding, align_corners):
    rng = np.random.default_rng(rank)
    for index, dtype in itertools.product(range(6), (np.float64, np.float32)):
        spatial = tuple(int(n) for n in rng.integers(1 if index == 0 else 2, 9, rank))
        x = rng.standard_normal((2, 1 + 3 * index, *spatial)).astype(dtype)
        out = (3, 19) if rank == 2 else (2, 3, 5)
        grid = rng.uniform(-3, 3, (2, *out, rank)).astype(dtype)
        theirs = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
        mine = [striate.Tensor(a, requires_grad=True) for a in (x, grid)]
        want = F.grid_sample(*theirs, mode, padding, align_corners)
        got = striate.grid_sample(*mine, mode, padding, align_corners)
        room = 1e-10 if dtype == np.float64 else 3e-5
        np.testing.assert_allclose(got.data, want.detach().numpy(), rtol=0, atol=room)
        g = rng.standard_normal(got.shape).astype(dtype)
        want.backward(torch.tensor(g))
        got.backward(g)
        for ours, their in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(ours.grad, their.grad.numpy(), rtol=0, atol=40 * room)
