"""All modes of interpolation, in all ranks, against dense matrices."""

import numpy as np
import pytest
import reference_sampling as ref
import striate
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import integers, lay_out, pick_layout, rng_of

MODES = (
    ("nearest", False, False),
    ("nearest-exact", False, False),
    ("area", False, False),
    ("linear", False, False),
    ("linear", True, False),
    ("linear", False, True),
    ("linear", True, True),
    ("cubic", False, False),
    ("cubic", True, False),
    ("cubic", False, True),
)
IDS = ["-".join(map(str, mode)) for mode in MODES]


@pytest.mark.parametrize("mode, align_corners, antialias", MODES, ids=IDS)
def test_random_sizes_layouts_and_ranks(mode, align_corners, antialias, machines):
    rules = {"mode": mode, "align_corners": align_corners, "antialias": antialias}
    for index in range(25):
        rng = rng_of(31, index)
        dtype = rng.choice((np.float32, np.float64))
        ndim = int(rng.integers(1, 4))
        shape = (int(rng.integers(0, 3)), int(rng.integers(1, 20)), *rng.integers(1, 9, ndim))
        x = lay_out(integers(rng, shape, dtype), pick_layout(rng), rng)
        size = tuple(int(m) for m in rng.integers(1, 18, ndim))
        g = integers(rng, (*shape[:2], *size), dtype)
        want = ref.resize(x.astype(np.float64), size, **rules)
        want_grad = ref.resize_input_grad(shape, g.astype(np.float64), **rules)
        room = 500 * np.finfo(dtype).eps
        for machine in machines:
            y = striate.interpolate(x, size=size, **rules)
            dx = striate.interpolate_input_grad(shape, g, **rules)
            line = f"{index} {machine} {shape} {size}"
            assert y.dtype == dx.dtype == dtype
            np.testing.assert_allclose(y, want, rtol=0, atol=room, err_msg=line)
            largest = 1 + np.abs(want_grad).max(initial=0)
            np.testing.assert_allclose(dx, want_grad, rtol=0, atol=room * largest, err_msg=line)
            if mode.startswith("nearest"):
                assert np.array_equal(y, want) and np.array_equal(dx, want_grad), line


@pytest.mark.parametrize("mode", ("area", "linear", "cubic"))
def test_halving_and_doubling_are_exact(mode, machines):
    """Weights are multiples of 1/128 (cubic) or 1/4, so sums of small integers have no rounding."""
    for index in range(12):
        rng = rng_of(32, index)
        x = integers(rng, (2, int(rng.integers(1, 35)), 8, 6), np.float32)
        for size in ((4, 3), (16, 12), (4, 12)):
            if mode == "area" and size != (4, 3):
                continue
            g = integers(rng, (*x.shape[:2], *size), np.float32)
            want = ref.resize(x, size, mode)
            want_grad = ref.resize_input_grad(x.shape, g, mode)
            assert (want * g).sum() == (x * want_grad).sum()
            for machine in machines:
                assert np.array_equal(striate.interpolate(x, size, mode=mode), want), machine
                got = striate.interpolate_input_grad(x.shape, g, mode=mode)
                assert np.array_equal(got, want_grad), machine


@pytest.mark.parametrize("mode, align_corners, antialias", MODES, ids=IDS)
def test_a_constant_image_stays_constant(mode, align_corners, antialias):
    x = np.full((1, 3, 11, 7), 5.0)
    for size in ((3, 30), (11, 7), (25, 2)):
        y = striate.interpolate(
            x, size, mode=mode, align_corners=align_corners, antialias=antialias
        )
        np.testing.assert_allclose(y, 5.0, rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODES),
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_the_gradient_is_the_adjoint(mode, sizes, channels, seed):
    name, align_corners, antialias = mode
    rules = {"mode": name, "align_corners": align_corners, "antialias": antialias}
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, channels, *(n for n, _ in sizes)))
    y = striate.interpolate(x, tuple(m for _, m in sizes), **rules)
    g = rng.standard_normal(y.shape)
    back = striate.interpolate_input_grad(x.shape, g, **rules)
    np.testing.assert_allclose((y * g).sum(), (x * back).sum(), rtol=1e-10, atol=1e-9)


def test_recomputed_scale_is_the_ratio_of_sizes():
    x = np.arange(10.0).reshape(1, 1, 10)
    assert np.array_equal(
        striate.interpolate(x, scale_factor=1.75, mode="linear", recompute_scale_factor=True),
        striate.interpolate(x, 17, mode="linear"),
    )
    given_scale = striate.interpolate(x, scale_factor=1.75, mode="linear")
    assert not np.array_equal(given_scale, striate.interpolate(x, 17, mode="linear"))


def test_names_of_one_rank():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    for name, general in (("bilinear", "linear"), ("bicubic", "cubic")):
        assert np.array_equal(
            striate.interpolate(x, 7, mode=name), striate.interpolate(x, 7, mode=general)
        )


def test_area_is_the_mean_of_the_windows():
    x = np.arange(24.0).reshape(1, 1, 4, 6)
    y = striate.interpolate(x, (2, 3), mode="area")
    assert np.array_equal(y, striate.avg_pool2d(x, 2))


@pytest.mark.parametrize("mode", ("linear", "cubic"))
def test_same_bits_for_any_number_of_threads(mode):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, 17, 61, 59)).astype(np.float32)
    bits = set()
    for threads in (1, 2, 3):
        striate.set_num_threads(threads)
        y = striate.interpolate(x, (23, 80), mode=mode, antialias=True)
        dx = striate.interpolate_input_grad(x.shape, y, mode=mode, antialias=True)
        bits.add(y.tobytes() + dx.tobytes())
    assert len(bits) == 1
