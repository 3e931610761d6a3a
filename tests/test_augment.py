"""Augmentation: the printed distributions, and maps that are exact because they must be."""

import colorsys
import math

import numpy as np
import pytest
import striate
from striate import data
from striate.data.color import turn_hue

N = 20_000


def kolmogorov_smirnov(sample, distribution):
    """The largest distance between the sample's distribution function and the given one."""
    sample = np.sort(sample)
    values = distribution(sample)
    steps = np.arange(len(sample) + 1) / len(sample)
    return max(np.abs(values - steps[:-1]).max(), np.abs(values - steps[1:]).max())


def uniform(low, high):
    return lambda x: np.clip((x - low) / (high - low), 0, 1)


def log_uniform(factor):
    return lambda x: uniform(-math.log(factor), math.log(factor))(np.log(x))


@pytest.mark.parametrize(
    "name, distribution",
    (
        ("rotation", uniform(0, 360)),
        ("translation", uniform(-10, 10)),
        ("scale", log_uniform(1.6)),
        ("shear", uniform(-20, 20)),
        ("stretch", log_uniform(1.3)),
    ),
)
def test_the_printed_distributions_are_the_defaults(name, distribution):
    """Kolmogorov-Smirnov at the level 0.1 %, and the same test refuses laws that are near."""
    drawn = data.Augment().draw(N, np.random.default_rng(20))[name].ravel()
    limit = 1.95 / math.sqrt(len(drawn))
    assert kolmogorov_smirnov(drawn, distribution) < limit
    assert kolmogorov_smirnov(drawn**3 / np.abs(drawn).max() ** 2, distribution) > 5 * limit


def test_flips_are_fair():
    flips = data.Augment().draw(N, np.random.default_rng(21))["flip"]
    assert abs(flips.mean() - 0.5) < 3.3 * 0.5 / math.sqrt(N)


@pytest.fixture(params=(np.float32, np.float64, np.uint8))
def images(request):
    return np.random.default_rng(3).integers(0, 256, (4, 3, 9, 9)).astype(request.param)


def moved(images, **parameters):
    """Augment with its draws replaced by given ones."""
    still = {"rotation": 0.0, "translation": (0.0, 0.0), "scale": 1.0, "flip": False}

    class Fixed(data.Augment):
        def draw(self, n, rng):
            return still | parameters

    return Fixed()(images, np.random.default_rng(0))


@pytest.mark.parametrize("turns", (-1, 0, 1, 2, 3, 4, 5))
def test_quarter_turns_are_exact(images, turns):
    got = moved(images, rotation=90.0 * turns)
    assert np.array_equal(got, np.rot90(images, turns, (2, 3))) and got.dtype == images.dtype


@pytest.mark.parametrize("x, y", ((0, 0), (3, 0), (0, -2), (-4, 1)))
def test_whole_pixels_are_exact(images, x, y):
    want = np.zeros_like(images)
    rows, columns = np.arange(9) - y, np.arange(9) - x
    met = (((rows >= 0) & (rows < 9))[:, None] & ((columns >= 0) & (columns < 9))).nonzero()
    want[:, :, met[0], met[1]] = images[:, :, rows[met[0]], columns[met[1]]]
    assert np.array_equal(moved(images, translation=(x, y)), want)


def test_flips_and_doublings_are_exact(images):
    assert np.array_equal(moved(images, flip=True), images[..., ::-1])
    # twice as large about the middle: every second pixel is one of the image's
    assert np.array_equal(moved(images, scale=2.0)[..., ::2, ::2], images[..., 2:7, 2:7])
    # twice as wide and half as high
    stretched = moved(images, stretch=2.0)
    assert np.array_equal(stretched[..., 2:7, ::2], images[..., ::2, 2:7])


def test_every_parameter_moves_points_as_documented():
    """out = centre + translation + R H S F (in - centre), written down once more."""
    rng = np.random.default_rng(4)
    drawn = data.Augment().draw(50, rng)
    matrices = striate.affine_matrices((50, 1, 12, 17), **drawn)
    centre = np.array([8.0, 5.5])
    for i, matrix in enumerate(matrices):
        angle = math.radians(drawn["rotation"][i])
        # y points down: counter-clockwise as seen
        rotate = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        shear = np.array([[1, math.tan(math.radians(drawn["shear"][i]))], [0, 1]])
        scale = drawn["scale"][i] * np.diag([drawn["stretch"][i], 1 / drawn["stretch"][i]])
        flip = np.diag([-1 if drawn["flip"][i] else 1, 1])
        point = rng.uniform(0, 10, 2)
        out = centre + drawn["translation"][i]
        out = out + rotate @ shear @ scale @ flip @ (point - centre)
        np.testing.assert_allclose(matrix @ np.array([*out, 1]), point, atol=1e-10)


def test_equal_generators_give_equal_images_and_inputs_stay(images):
    before = images.copy()
    transforms = (
        data.Augment(translation=2.0, fill=7.0),
        data.RandomCrop(6, padding=2),
        data.RandomResizedCrop(5),
        data.CenterCrop((4, 6)),
        data.Cutout(3),
        data.Compose((data.Augment(), data.Cutout(2))),
    )
    for transform in transforms:
        first, second, third = (transform(images, np.random.default_rng(s)) for s in (1, 1, 2))
        assert first.tobytes() == second.tobytes() and first.dtype == images.dtype
        assert np.array_equal(first, third) == isinstance(transform, data.CenterCrop)
        assert np.array_equal(images, before)


def test_fill_comes_in_from_outside():
    ones = np.ones((2, 3, 8, 8), np.float32)
    shifted = striate.affine_matrices(ones.shape, translation=(3.5, 0))
    got = striate.warp_affine(ones, shifted, fill=(5.0, 6.0, 7.0))
    for channel, value in enumerate((5, 6, 7)):
        assert np.allclose(got[:, channel, :, 0], value)
        assert np.allclose(got[:, channel, :, 3], (value + 1) / 2)
        assert np.allclose(got[:, channel, :, 4:], 1)


def test_crops_are_windows_of_the_image(images):
    cropped = data.RandomCrop((5, 4))(images, np.random.default_rng(1))
    windows = np.lib.stride_tricks.sliding_window_view(images, (5, 4), axis=(2, 3))
    for n in range(len(images)):
        assert (cropped[n, :, None, None] == windows[n]).all(axis=(0, 3, 4)).any()
    assert np.array_equal(data.CenterCrop(5)(images), images[:, :, 2:7, 2:7])
    padded = data.RandomCrop(9, padding=3, fill=1)(images, np.random.default_rng(2))
    assert padded.shape == images.shape and (padded == 1).any()


def test_places_of_a_crop_are_uniform():
    ramp = np.broadcast_to(np.arange(12.0), (N, 1, 12, 12))
    left = data.RandomCrop(8)(ramp, np.random.default_rng(5))[:, 0, 0, 0]
    counts = np.bincount(left.astype(int), minlength=5)
    assert len(counts) == 5 and ((counts - N / 5) ** 2 / (N / 5)).sum() < 18.5  # chi-square, 0.1 %


def test_resized_crops_have_the_areas_and_aspects_asked_for():
    crop = data.RandomResizedCrop(8)
    top, left, height, width = crop.draw((N, 3, 400, 300), np.random.default_rng(6))
    assert (top >= 0).all() and (top + height <= 400).all()
    assert (left >= 0).all() and (left + width <= 300).all()
    area, aspect = height * width / 120_000, width / height
    assert 0.079 < area.min() < 0.09 and area.max() <= 1
    assert 0.74 < aspect.min() < 0.76 and 1.3 < aspect.max() < 1.35
    small = area < 0.3  # those fit at the first draw
    fits = kolmogorov_smirnov(area[small], uniform(0.08, 0.3))
    assert fits < 1.95 / math.sqrt(small.sum())


def test_a_resized_crop_of_the_whole_is_interpolation():
    x = np.random.default_rng(7).standard_normal((2, 3, 12, 12))
    crop = data.RandomResizedCrop(7, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    want = striate.interpolate(x, 7, mode="bilinear")
    np.testing.assert_allclose(crop(x, np.random.default_rng(0)), want, atol=1e-12)


def test_cutout_hides_one_square(images):
    hidden = data.Cutout(4, fill=3)(images, np.random.default_rng(8)) != images
    for image in hidden.any(1):
        rows, columns = image.nonzero()
        assert np.ptp(rows) < 4 and np.ptp(columns) < 4


def test_mixup_mixes_images_and_labels_alike():
    x = np.eye(6, dtype=np.float32).reshape(6, 1, 1, 6)
    mixed, targets = data.mixup(x, np.arange(6), 6, rng=3)
    assert np.array_equal(mixed.reshape(6, 6), targets)  # an image shows its label
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert mixed.dtype == targets.dtype == np.float32
    shares = [data.mixup(x, np.arange(6), 6, 0.2, rng=seed)[1].max(1).min() for seed in range(2000)]
    # Beta(a, a) or its mirror: E[max(s, 1 - s)] is 0.5 + E|s - 1/2|
    drawn = np.random.default_rng(0).beta(0.2, 0.2, 200_000)
    assert abs(np.mean(shares) - (0.5 + np.abs(drawn - 0.5).mean())) < 0.02


def test_jitter_factors_and_limits():
    gray = np.full((N // 10, 1, 1, 1), 0.5)
    bright = data.ColorJitter(brightness=0.4)(gray, np.random.default_rng(1)).ravel()
    assert kolmogorov_smirnov(bright, uniform(0.3, 0.7)) < 1.95 / math.sqrt(len(bright))
    x = np.random.default_rng(2).random((5, 3, 4, 4))
    rng = np.random.default_rng(3)
    same_mean = data.ColorJitter(contrast=0.2)(0.4 + 0.2 * x, rng)
    weights = np.array([0.299, 0.587, 0.114])
    for a, b in zip(same_mean, 0.4 + 0.2 * x, strict=True):
        assert np.isclose((a.mean((1, 2)) * weights).sum(), (b.mean((1, 2)) * weights).sum())
    still = data.ColorJitter(saturation=0.9)(np.repeat(x[:, :1], 3, 1), rng)  # gray stays gray
    np.testing.assert_allclose(still, np.repeat(x[:, :1], 3, 1), atol=1e-12)
    every = data.ColorJitter(0.9, 0.9, 0.9, 0.5)
    assert 0 <= every(x, rng).min() and every(x, rng).max() <= 1
    assert every((x * 255).astype(np.uint8), rng).dtype == np.uint8
    assert np.array_equal(data.ColorJitter()(x, rng), x)


def test_hue_turns_as_colorsys_does():
    x = np.random.default_rng(4).random((3, 3, 2, 2))
    got = turn_hue(x, 0.3)
    for n, i, j in np.ndindex(3, 2, 2):
        h, s, v = colorsys.rgb_to_hsv(*x[n, :, i, j])
        want = colorsys.hsv_to_rgb((h + 0.3) % 1, s, v)
        np.testing.assert_allclose(got[n, :, i, j], want, atol=1e-12)


@pytest.mark.parametrize(
    "call, message",
    (
        (lambda x: data.Augment(scale=0.5), "Augment: scale.*0.5"),
        (lambda x: data.Augment(flip=1.5), "Augment: flip.*1.5"),
        (lambda x: data.Augment(translation=-1), "Augment: translation.*-1"),
        (lambda x: data.Augment(shear=90), "Augment: shear.*90"),
        (lambda x: data.Augment()(x[0], np.random.default_rng(0)), r"affine_matrices.*\(3, 9, 9\)"),
        (lambda x: data.Augment(rotation=30), r"Augment: rotation must be \(low, high\), got 30"),
        (lambda x: data.Augment(mode="foo"), "foo"),
        (lambda x: data.Augment(padding_mode="foo"), "foo"),
        (lambda x: data.RandomHorizontalFlip(2.0), "RandomHorizontalFlip: p .* got 2.0"),
        (lambda x: data.RandomCrop(4, -1), "RandomCrop: padding must not be negative, got -1"),
        (lambda x: data.RandomShift(-1), "RandomShift: pixels must not be negative, got -1"),
        (
            lambda x: data.RandomResizedCrop(4, scale=(-1, 0.5)),
            "RandomResizedCrop: scale .* above 0",
        ),
        (lambda x: data.RandomResizedCrop(4, ratio=(2, 1)), "RandomResizedCrop: ratio"),
        (lambda x: data.Cutout(4, -1)(x.astype(np.uint8), None), "uint8 images .* fill -1"),
        (lambda x: data.mixup(x, [0, 1, 2, 3], 9, np.inf), "mixup: alpha.*inf"),
        (lambda x: data.CenterCrop(10)(x), r"CenterCrop: size \(10, 10\).*\(9, 9\)"),
        (lambda x: data.RandomCrop(0)(x, np.random.default_rng(0)), "RandomCrop: size.*0"),
        (lambda x: data.Cutout(0), "Cutout: size.*0"),
        (lambda x: data.ColorJitter(hue=0.6), "ColorJitter: hue.*0.6"),
        (lambda x: data.ColorJitter(1.0)(x[:, :2], np.random.default_rng(0)), "ColorJitter.*3"),
        (lambda x: data.mixup(x, [0, 1, 2, 9], 9), "mixup: labels.*9"),
        (lambda x: data.mixup(x, [0, 1], 9), "mixup: labels.*4 integers"),
        (lambda x: data.mixup(x, [0, 1, 2, 3], 9, 0.0), "mixup: alpha.*0"),
    ),
)
def test_bad_arguments(call, message):
    x = np.zeros((4, 3, 9, 9), np.float32)
    with pytest.raises(ValueError, match=message):
        call(x)
