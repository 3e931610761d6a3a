"""grid_sample, its gradients, affine_grid and warp_affine, against loops over pixels.

Points are multiples of 1/8 of a pixel and pixels small integers, so bilinear and nearest sums are
exact and compared bit for bit.
"""

import itertools

import numpy as np
import pytest
import reference_sampling as ref
import striate
from problems import LAYOUTS, integers, lay_out, pick_layout, rng_of

MODES = ("nearest", "bilinear", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def problem(index, align_corners, mode="bilinear"):
    """An image and a grid whose points are eighths of pixels, up to one image beyond the edges."""
    rng = rng_of(41, index)
    dtype = rng.choice((np.float32, np.float64))
    rank = 2 if mode == "bicubic" else int(rng.integers(2, 4))
    # power-of-two extents, so that the grid's points in -1..1 are exact too
    size = rng.choice((2, 4, 8), rank) + (1 if align_corners else 0)
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 20)), *(int(n) for n in size))
    x = lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)
    out = tuple(int(n) for n in rng.integers(1, 7, rank))
    if index == 0:
        out = (*out[:-1], 67)
    low, high = -8 * size[::-1], 16 * size[::-1]
    pixels = rng.integers(low, high, (shape[0], *out, rank)) / 8
    if mode == "nearest":
        pixels += 1 / 16  # between pixels the nearest one is a matter of rounding
    span = (size - 1 if align_corners else size)[::-1]
    grid = pixels / span * 2 - 1 if align_corners else (2 * pixels + 1) / span - 1
    return rng, x, lay_out(grid.astype(dtype), "contiguous", rng)


@pytest.mark.parametrize("align_corners", (False, True))
@pytest.mark.parametrize("mode, padding", tuple(itertools.product(MODES, PADDINGS)))
def test_forward_and_input_gradient(mode, padding, align_corners, machines):
    rules = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    for index in range(5):
        rng, x, grid = problem(index, align_corners, mode)
        want = ref.grid_sample(x.astype(float), grid, mode, padding, align_corners)
        g = integers(rng, want.shape, x.dtype)
        want_grad = ref.grid_sample_input_grad(x.shape, g, grid, mode, padding, align_corners)
        for machine in machines:
            leaf = striate.Tensor(x, requires_grad=True)
            y = striate.grid_sample(leaf, grid, **rules)
            y.backward(g)
            line = f"{index} {machine} {x.shape} {x.strides} {grid.shape}"
            assert y.dtype == x.dtype
            if mode == "bicubic":
                np.testing.assert_allclose(y.data, want, rtol=0, atol=1e-4, err_msg=line)
                np.testing.assert_allclose(leaf.grad, want_grad, rtol=0, atol=2e-3, err_msg=line)
            else:
                np.testing.assert_array_equal(y.data, want, err_msg=line)
                np.testing.assert_array_equal(leaf.grad, want_grad, err_msg=line)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_the_grid(layout):
    rng, x, grid = problem(3, False)
    laid = lay_out(grid, layout, rng)
    if layout == "broadcast":
        grid = np.array(laid)
    assert np.array_equal(striate.grid_sample(x, laid), striate.grid_sample(x, grid))


@pytest.mark.parametrize("mode, padding", tuple(itertools.product(MODES[1:], PADDINGS)))
@pytest.mark.parametrize("align_corners", (False, True))
def test_gradients_by_finite_differences(mode, padding, align_corners):
    rng = np.random.default_rng(7)
    x = striate.Tensor(rng.standard_normal((2, 3, 5, 4)), requires_grad=True)
    # away from whole and half pixels, where the slopes jump
    pixels = rng.integers(-4, 9, (2, 3, 5, 2)) + rng.uniform(0.1, 0.4, (2, 3, 5, 2))
    size = np.array((4, 5))
    points = pixels / (size - 1) * 2 - 1 if align_corners else (2 * pixels + 1) / size - 1
    grid = striate.Tensor(points, requires_grad=True)
    assert striate.gradcheck(
        lambda x, grid: striate.grid_sample(x, grid, mode, padding, align_corners), [x, grid]
    )


def test_gradients_of_volumes_and_of_theta():
    rng = np.random.default_rng(8)
    x = striate.Tensor(rng.standard_normal((1, 2, 3, 4, 5)), requires_grad=True)
    theta = striate.Tensor(0.4 * rng.standard_normal((1, 3, 4)), requires_grad=True)
    assert striate.gradcheck(
        lambda x, theta: striate.grid_sample(x, striate.affine_grid(theta, (1, 2, 2, 3, 2))),
        [x, theta],
    )


def test_second_derivatives_by_image_and_gradient():
    rng = np.random.default_rng(9)
    x = striate.Tensor(rng.standard_normal((1, 2, 4, 4)), requires_grad=True)
    grid = rng.uniform(-1, 1, (1, 3, 3, 2))

    def first(x):
        y = (striate.grid_sample(x, grid) ** 3).sum()
        return striate.grad(y, [x], create_graph=True)[0]

    assert striate.gradcheck(first, [x])


def test_second_derivative_by_the_points_says_that_it_is_missing():
    x, grid = np.ones((1, 1, 4, 4)), striate.Tensor(np.zeros((1, 2, 2, 2)), requires_grad=True)
    first = striate.grad(striate.grid_sample(x, grid).sum(), [grid], create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="grid_sample_grid_grad"):
        striate.grad(first.sum(), [grid])


@pytest.mark.parametrize("mode, padding", tuple(itertools.product(MODES, PADDINGS)))
def test_warp_affine(mode, padding, machines):
    for index in range(4):
        rng = rng_of(42, index)
        dtype = rng.choice((np.float32, np.float64))
        shape = (2, int(rng.integers(1, 20)), *(int(n) for n in rng.integers(1, 9, 2)))
        x = lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)
        size = (int(rng.integers(1, 7)), 67 if index == 0 else int(rng.integers(1, 9)))
        # quarters of pixels; for the nearest pixel away from the middle between two
        matrices = rng.integers(-8, 9, (2, 2, 3)) / 4 + (mode == "nearest") * np.eye(2, 3, 2) / 16
        if mode == "nearest":
            matrices[..., 2] = rng.integers(-8, 9, (2, 2)) + 1 / 16
        fill = None
        if padding == "zeros" and index % 2:
            fill = [float(v) for v in rng.integers(1, 5, shape[1])]
        want = ref.warp_affine(x.astype(float), matrices, size, mode, padding, fill)
        for machine in machines:
            got = striate.warp_affine(x, matrices, size, mode, padding, fill)
            line = f"{index} {machine} {shape} {size} {fill}"
            assert got.dtype == dtype
            if mode == "bicubic":
                np.testing.assert_allclose(got, want, rtol=0, atol=2e-4, err_msg=line)
            else:
                np.testing.assert_array_equal(got, want, err_msg=line)


def test_warp_affine_of_volumes():
    rng = np.random.default_rng(1)
    x = integers(rng, (2, 3, 4, 5, 6), np.float32)
    matrices = rng.integers(-4, 5, (2, 3, 4)) / 4
    want = ref.warp_affine(x.astype(float), matrices, (3, 2, 5))
    np.testing.assert_array_equal(striate.warp_affine(x, matrices, (3, 2, 5)), want)


def test_warp_affine_is_grid_sample_without_the_grid():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 4, 9, 11))
    theta = rng.standard_normal((3, 2, 3))
    # theta maps -1..1 to -1..1; conjugated by the map from pixels to it
    to_unit = np.array([[2 / 11, 0, 1 / 11 - 1], [0, 2 / 9, 1 / 9 - 1], [0, 0, 1]])
    whole = np.concatenate([theta, np.broadcast_to([[[0, 0, 1.0]]], (3, 1, 3))], 1)
    matrices = (np.linalg.inv(to_unit) @ whole @ to_unit)[:, :2]
    want = striate.grid_sample(x, striate.affine_grid(theta, x.shape))
    np.testing.assert_allclose(striate.warp_affine(x, matrices), want, atol=1e-10)


def test_what_is_not_read_does_not_matter(machines):
    """Infinities and NaN stay at pixels of weight zero; NaN points lie before the image."""
    x = np.full((1, 2, 3, 4), np.inf, np.float32)
    x[:, :, 1, 1:3] = 2
    inside = np.float32([[[[(1 + 0.5) / 2 - 1, 0], [(2 + 0.5) / 2 - 1, 0]]]])
    nowhere = np.full((1, 1, 5, 2), np.nan, np.float32)
    for machine in machines:
        for mode in MODES[:2]:
            assert (striate.grid_sample(x, inside, mode) == 2).all(), machine
            assert (striate.grid_sample(x[..., 1:2, 1:3], nowhere, mode) == 0).all(), machine
            far = striate.grid_sample(x[..., 1:2, 1:3], nowhere, mode, "border")
            assert (far == 2).all(), machine


def test_empty_batches_channels_and_outputs():
    for shape, points in (((0, 3, 4, 4), (2, 2)), ((2, 0, 4, 4), (2, 2)), ((2, 3, 4, 4), (0, 2))):
        x = striate.Tensor(np.ones(shape, np.float32), requires_grad=True)
        grid = striate.Tensor(np.zeros((shape[0], *points, 2), np.float32), requires_grad=True)
        y = striate.grid_sample(x, grid)
        assert y.shape == (*shape[:2], *points)
        y.sum().backward()
        assert (x.grad == 0).all() and x.grad.shape == shape and grid.grad.shape == grid.shape


def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 7, 61, 59)).astype(np.float32)
    grid = rng.uniform(-1.1, 1.1, (2, 70, 66, 2)).astype(np.float32)
    bits = set()
    for threads in (1, 2, 3):
        striate.set_num_threads(threads)
        leaves = [striate.Tensor(a, requires_grad=True) for a in (x, grid)]
        y = striate.grid_sample(*leaves)
        (y * y).sum().backward()
        bits.add(y.data.tobytes() + leaves[0].grad.tobytes() + leaves[1].grad.tobytes())
    assert len(bits) == 1


def test_out_is_filled():
    _, x, grid = problem(2, False)
    want = striate.grid_sample(x, grid)
    out = np.empty_like(want)
    assert striate.grid_sample(x, grid, out=out) is out
    assert np.array_equal(out, want)


@pytest.mark.parametrize("mode, padding", tuple(itertools.product(MODES, PADDINGS)))
def test_the_gradient_of_a_warp_is_its_adjoint(mode, padding):
    rng = np.random.default_rng(6)
    x, size = integers(rng, (2, 3, 6, 5), np.float32), (4, 7)
    matrices = rng.integers(-8, 9, (2, 2, 3)) / 4 + 1 / 16 * (mode == "nearest")
    leaf = striate.Tensor(x, requires_grad=True)
    y = striate.warp_affine(leaf, matrices, size, mode, padding)
    g = integers(rng, y.shape, np.float32)
    y.backward(g)
    left, right = (y.data.astype(float) * g).sum(), (leaf.grad.astype(float) * x).sum()
    assert left == right if mode != "bicubic" else abs(left - right) < 1e-2
    x64 = striate.Tensor(x[:1, :1].astype(float), requires_grad=True)
    warp = lambda x: striate.warp_affine(x, matrices[:1], size, mode, padding) ** 2  # noqa: E731
    assert striate.gradcheck(warp, [x64])
