"""Filters under enumerated transforms (lecture 000), and the rotation regulariser (lecture 001)."""

import numpy as np
import pytest
import reference_sampling as ref
import striate
from striate import Tensor, nn


def layer_of_integers(seed=0, **options):
    """Small integers in float64: every sum is exact."""
    layer = nn.TransformInvariantConv2d(3, 4, 3, padding=1, rng=seed, dtype=np.float64, **options)
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter.assign(rng.integers(-3, 4, parameter.shape).astype(np.float64))
    return layer


def image(seed=1, size=(2, 3, 8, 8)):
    return np.random.default_rng(seed).integers(-3, 4, size).astype(np.float64)


@pytest.mark.parametrize("pool", ("max", "mean"))
@pytest.mark.parametrize("reflections", (False, True))
def test_a_turned_image_gives_the_turned_map(pool, reflections):
    layer, x = layer_of_integers(pool=pool, reflections=reflections), image()
    y = layer(x).data
    for turns in range(1, 4):
        turned = layer(np.rot90(x, turns, (2, 3))).data
        np.testing.assert_array_equal(turned, np.rot90(y, turns, (2, 3)))
    # The mean of the quarter turns of a 3x3 filter has one value for all corners and one for all
    # edges, so it is a mirror image of itself; the maximum needs the reflections.
    mirrored = np.array_equal(layer(x[..., ::-1]).data, y[..., ::-1])
    assert mirrored == (reflections or pool == "mean")


def test_after_a_global_pool_the_pose_is_gone():
    model = nn.Sequential(layer_of_integers(reflections=True), nn.GlobalMaxPool())
    x = image()
    for turns, step in ((1, 1), (2, -1), (3, -1)):
        posed = np.rot90(x, turns, (2, 3))[..., ::step]
        assert np.array_equal(model(posed).data, model(x).data)


def test_without_turns_it_is_a_convolution():
    layer, x = layer_of_integers(rotations=[0.0]), image()
    assert np.array_equal(layer(x).data, striate.conv2d(x, layer.weight, layer.bias, 1, 1).data)


def test_oriented_maps_are_those_of_turned_filters():
    layer, x = layer_of_integers(rotations=4, reflections=True, pool=None), image()
    maps = layer(x).data
    assert maps.shape == (2, 4, 8, 8, 8) and layer.transforms == 8
    for t in range(8):
        filters = layer.weight.data[..., :: -1 if t >= 4 else 1]
        filters = np.rot90(filters, t % 4, (2, 3))
        want = striate.conv2d(x, filters.copy(), layer.bias.data, 1, 1)
        assert np.array_equal(maps[:, :, t], want)


def test_any_angle_and_scale_is_the_bilinear_resampling_of_the_filter():
    layer = nn.TransformInvariantConv2d(
        2, 3, (5, 4), rotations=(30.0, -75.0), scales=(1.0, 1.4), rng=1, dtype=np.float64
    )
    filters = layer.filters().data.reshape(3, 4, 2, 5, 4)
    poses = [(scale, angle) for scale in (1.0, 1.4) for angle in (30.0, -75.0)]
    for t, (scale, angle) in enumerate(poses):
        matrix = striate.affine_matrices((3, 2, 5, 4), rotation=angle, scale=scale)
        want = ref.warp_affine(layer.weight.data, matrix, (5, 4))
        np.testing.assert_allclose(filters[:, t], want, atol=1e-12)


def test_the_gradient_gathers_from_all_poses():
    """The adjoint: <d filters, g> = <d weight, M' g>, exactly on integers and quarter turns."""
    layer = layer_of_integers(reflections=True)
    g = image(3, layer.filters().shape)
    layer.filters().backward(g)
    want = np.zeros(layer.weight.shape)
    for t in range(8):
        part = np.rot90(g.reshape(4, 8, 3, 3, 3)[:, t], -(t % 4), (2, 3))
        want += part[..., :: -1 if t >= 4 else 1]
    np.testing.assert_array_equal(layer.weight.grad, want)


def test_its_state_is_that_of_a_convolution():
    layer = nn.TransformInvariantConv2d(3, 4, 5, rotations=8, rng=0)
    plain = nn.Conv2d(3, 4, 5, rng=0)
    assert layer.state_dict().keys() == plain.state_dict().keys()
    assert np.array_equal(layer.weight.data, plain.weight.data)
    assert "transforms=8, pool='max'" in repr(layer)


@pytest.mark.parametrize(
    "options, message",
    (
        ({"rotations": 0}, "at least one rotation"),
        ({"rotations": ()}, "at least one rotation"),
        ({"scales": (1.0, 0.0)}, "positive scale.*0.0"),
        ({"pool": "sum"}, "pool.*'sum'"),
        ({"groups": 2}, "groups"),
        ({"scales": (1.0, np.nan)}, "scales must be finite.*nan"),
        ({"scales": (np.inf,)}, "scales must be finite.*inf"),
        ({"rotations": [np.nan]}, "rotations must be finite.*nan"),
    ),
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f"TransformInvariantConv2d.*{message}"):
        nn.TransformInvariantConv2d(3, 4, 3, **options)


@pytest.mark.parametrize(
    "options, message",
    (
        ({"scales": 1.0}, "scales must be a sequence of numbers, got 1.0"),
        ({"scales": ("1",)}, "scales must be a number, got '1'"),
        ({"rotations": True}, "rotations must be a sequence of numbers, got True"),
        ({"rotations": "90"}, "rotations must be a sequence of numbers, got '90'"),
    ),
)
def test_options_of_another_type(options, message):
    with pytest.raises(TypeError, match=f"TransformInvariantConv2d: {message}"):
        nn.TransformInvariantConv2d(3, 4, 3, **options)


@pytest.mark.parametrize("first, second", ((np.float32, np.float64), (np.float64, np.float32)))
def test_a_layer_changes_its_dtype(first, second):
    poses = {"rotations": 8, "scales": (1.0, 1.3), "padding": 1}
    layer = nn.TransformInvariantConv2d(3, 4, 3, **poses, rng=0, dtype=first)
    x = image()
    layer(x.astype(first))
    layer.to(second)
    made = nn.TransformInvariantConv2d(3, 4, 3, **poses, rng=1, dtype=second)
    made.load_state_dict(layer.state_dict())
    y = layer(x.astype(second))
    assert y.dtype == second and np.array_equal(y.data, made(x.astype(second)).data)
    y.sum().backward()
    assert layer.weight.grad.dtype == second
    assert layer.state_dict().keys() == {"weight", "bias"}


def test_the_regulariser_is_zero_for_invariant_features_only():
    x = image()
    invariant = nn.Sequential(layer_of_integers(), nn.GlobalMaxPool())
    plain = nn.Sequential(layer_of_integers(rotations=[0.0]), nn.GlobalMaxPool())
    assert nn.rotation_regulariser(invariant, x).item() == 0
    assert nn.rotation_regulariser(plain, x).item() > 0


def test_the_regulariser_is_the_printed_sum_and_differentiable():
    layer = nn.Linear(16, 3, rng=0, dtype=np.float64)
    model = nn.Sequential(nn.Flatten(), layer)
    x = Tensor(image(size=(3, 1, 4, 4)), requires_grad=True)
    angles = (90.0, 200.0)
    total = 0.0
    turned = [
        striate.warp_affine(x.data, striate.affine_matrices(x.shape, rotation=angle))
        for angle in angles
    ]
    for n in range(3):
        mean = sum(model(copy).data[n] for copy in turned) / 2
        total += ((model(x.data).data[n] - mean) ** 2).sum() / 2 / 3
    got = nn.rotation_regulariser(model, x, angles)
    np.testing.assert_allclose(got.data, total, rtol=1e-12)
    assert striate.gradcheck(
        lambda x, *_: nn.rotation_regulariser(model, x, angles), [x, *layer.parameters()]
    )


def test_the_regulariser_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"rotation_regulariser: .*angle"):
        nn.rotation_regulariser(lambda x: x, image(), ())
    with pytest.raises(ValueError, match=r"rotation_regulariser: angles must be finite"):
        nn.rotation_regulariser(lambda x: x, image(), (np.inf,))
    with pytest.raises(ValueError, match=r"rotation_regulariser: .*8 images.*\(2, 3"):
        nn.rotation_regulariser(lambda x: x[:2], image())
