"""Downsampling, upsampling, interpolation and padding, with their gradients, against the oracle.

Copies are exact. Linear interpolation is compared bit for bit where its coefficients are multiples
of 1/64 (sizes that double, quadruple or halve), elsewhere within a few roundings.
"""

import numpy as np
import pytest
import reference as ref
import striate
from problems import LAYOUTS, integers, lay_out, pick_layout, rng_of

SEED = 3


def random_input(rng, ndim, dtype, smallest=1, largest=9):
    shape = (
        int(rng.integers(0, 4)),
        int(rng.integers(1, 36)),
        *rng.integers(smallest, largest, ndim),
    )
    return lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)


def cases(count, seed):
    for index in range(count):
        rng = rng_of(seed, index)
        yield index, rng, int(rng.integers(1, 4)), rng.choice((np.float32, np.float64))


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("factor", (1, 2, 3, 4, 7))
def test_downsample_and_upsample_for_every_remainder(size, factor, machines):
    """Lecture 000: each is the other's adjoint once the size before downsampling is remembered."""
    rng = rng_of(SEED, size * 10 + factor)
    x = integers(rng, (2, 9, size, size + 2), np.float32)
    small = ref.downsample(x, (factor, factor))
    g = integers(rng, small.shape, np.float32)
    back = ref.upsample_zeros(g, (factor, factor), x.shape[2:])
    for layout in LAYOUTS:
        x_laid, g_laid = lay_out(x, layout, rng), lay_out(g, layout, rng)
        if layout == "broadcast":
            continue
        for machine in machines:
            got = striate.downsample(x_laid, factor)
            assert np.array_equal(got, small), (layout, machine)
            got = striate.upsample_zeros(g_laid, factor, output_size=x.shape[2:])
            assert np.array_equal(got, back), (layout, machine)
    assert (small * g).sum() == (x * back).sum()


def test_upsample_zeros_default_size_is_the_product():
    x = np.ones((1, 2, 3, 4), np.float32)
    y = striate.upsample_zeros(x, (2, 3))
    assert y.shape == (1, 2, 6, 12)
    assert np.array_equal(y, ref.upsample_zeros(x, (2, 3), (6, 12)))


def test_downsample_of_random_problems(machines):
    for index, rng, ndim, dtype in cases(150, SEED):
        x = random_input(rng, ndim, dtype)
        factor = tuple(int(f) for f in rng.integers(1, 5, ndim))
        want = ref.downsample(x, factor)
        g = integers(rng, want.shape, dtype)
        want_grad = ref.upsample_zeros(g, factor, x.shape[2:])
        for machine in machines:
            got = striate.downsample(x, factor)
            assert np.array_equal(got, want), f"{index} {machine} {x.shape} {factor}"
            got = striate.upsample_zeros(g, factor, output_size=x.shape[2:])
            assert np.array_equal(got, want_grad), f"{index} {machine} {x.shape} {factor}"


LINEAR = ("linear", "bilinear", "trilinear")


def test_nearest_of_random_sizes(machines):
    for index, rng, ndim, dtype in cases(150, SEED + 1):
        x = random_input(rng, ndim, dtype)
        size = tuple(int(m) for m in rng.integers(1, 20, ndim))
        g = integers(rng, (*x.shape[:2], *size), dtype)
        want = ref.interpolate(x, size, "nearest")
        want_grad = ref.interpolate_input_grad(x.shape, g, "nearest")
        for machine in machines:
            y = striate.interpolate(x, size=size, mode="nearest")
            assert np.array_equal(y, want), f"{index} {machine} {x.shape} {size}"
            dx = striate.interpolate_input_grad(x.shape, g, mode="nearest")
            assert np.array_equal(dx, want_grad), f"{index} {machine} {x.shape} {size}"


@pytest.mark.parametrize("factor", (2, 4, 0.5))
def test_linear_by_powers_of_two_is_exact(factor, machines):
    for index, rng, ndim, dtype in cases(60, SEED + 2):
        x = random_input(rng, ndim, dtype, 1, 5)
        x = np.repeat(x, 2, axis=-1) if factor < 1 else x
        for axis in range(2, x.ndim):
            x = np.concatenate((x, x), axis) if factor < 1 and x.shape[axis] % 2 else x
        size = tuple(int(n * factor) for n in x.shape[2:])
        g = integers(rng, (*x.shape[:2], *size), dtype)
        want = ref.interpolate(x, size, "linear")
        want_grad = ref.interpolate_input_grad(x.shape, g, "linear")
        assert (want * g).sum() == (x * want_grad).sum()
        for machine in machines:
            for arguments in ({"size": size}, {"scale_factor": factor}):
                y = striate.interpolate(x, **arguments, mode=LINEAR[ndim - 1])
                assert np.array_equal(y, want), f"{index} {machine} {x.shape} {arguments}"
            dx = striate.interpolate_input_grad(x.shape, g, mode=LINEAR[ndim - 1])
            assert np.array_equal(dx, want_grad), f"{index} {machine} {x.shape} {size}"


@pytest.mark.parametrize("align_corners", (False, True))
def test_linear_of_random_sizes(align_corners, machines):
    for index, rng, ndim, dtype in cases(120, SEED + 4):
        x = random_input(rng, ndim, dtype)
        size = tuple(int(m) for m in rng.integers(1, 20, ndim))
        g = integers(rng, (*x.shape[:2], *size), dtype)
        rules = {"mode": "linear", "align_corners": align_corners}
        want = ref.interpolate(x, size, **rules)
        want_grad = ref.interpolate_input_grad(x.shape, g, **rules)
        # A coordinate of up to 20 pixels may carry a rounding, and so does each of the products.
        room = 100 * np.finfo(dtype).eps
        for machine in machines:
            rules["mode"] = LINEAR[ndim - 1]
            y = striate.interpolate(x, size=size, **rules)
            dx = striate.interpolate_input_grad(x.shape, g, **rules)
            largest = 1 + np.abs(want_grad).max(initial=0)
            line = f"{index} {machine} {x.shape} {size}"
            np.testing.assert_allclose(y, want, rtol=0, atol=4 * room, err_msg=line)
            np.testing.assert_allclose(
                dx, want_grad, rtol=0, atol=largest * room * 20, err_msg=line
            )
            rules["mode"] = "linear"


def test_scale_factor_decides_the_coordinates():
    """As PyTorch: floor(n * scale) pixels; positions use the factor, not the ratio of sizes."""
    x = np.arange(10, dtype=np.float32).reshape(1, 1, 10)
    for scale in (1.3, 1.75, 0.7, 2.5):
        size = (int(10 * scale),)
        for mode in ("nearest", "linear"):
            want = ref.interpolate(x, size, mode, scale_factor=(scale,))
            got = striate.interpolate(x, scale_factor=scale, mode=mode)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=f"{scale} {mode}")


def test_pad_and_crop(machines):
    for index, rng, ndim, dtype in cases(150, SEED + 5):
        x = random_input(rng, ndim, dtype)
        padding = tuple((int(lo), int(hi)) for lo, hi in rng.integers(0, 4, (ndim, 2)))
        value = float(rng.integers(-2, 3))
        want = ref.pad(x, padding, value)
        for machine in machines:
            got = striate.pad(x, padding, value=value)
            assert np.array_equal(got, want), f"{index} {machine} {x.shape} {padding}"
            crop = tuple((-lo, -hi) for lo, hi in padding)
            assert np.array_equal(striate._core.pad(got, crop, 0.0, None, None), x), f"{index} crop"


def test_same_bits_for_any_thread_count():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 35, 41, 39)).astype(np.float32)
    g = rng.standard_normal((4, 35, 77, 80)).astype(np.float32)
    bits = set()
    for threads in (1, 2, 3, 4):
        striate.set_num_threads(threads)
        y = striate.interpolate(x, size=(77, 80), mode="bilinear")
        dx = striate.interpolate_input_grad(x.shape, g, mode="bilinear")
        bits.add(y.tobytes() + dx.tobytes() + striate.downsample(x, 2).tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("mode", ("nearest", "linear"))
@pytest.mark.parametrize("scale", (1e-310, 5e-324, 0.0, -1.0, float("inf"), float("nan")))
def test_scales_without_a_reciprocal_are_refused(mode, scale):
    grad = np.ones((1, 1, 10), np.float32)
    with pytest.raises(ValueError, match="scale_factor must"):
        striate.interpolate_input_grad((1, 1, 4), grad, scale_factor=scale, mode=mode)
