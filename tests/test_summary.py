"""Counting networks, and what their units see."""

import numpy as np
import pytest
import striate
from striate import nn

F64 = {"dtype": np.float64}


# ---- summary -----------------------------------------------------------------------------


def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, groups=1, rng=0),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=4, bias=False, rng=0),
        nn.ConvTranspose2d(8, 4, 2, stride=2, rng=0),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10, rng=0),
    )


def test_summary_counts_every_layer():
    counted = nn.summary(small(), (3, 8, 8))
    assert [row.kind for row in counted.rows] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "MaxPool2d",
        "Conv2d",
        "ConvTranspose2d",
        "Flatten",
        "Linear",
    ]
    assert [row.name for row in counted.rows] == [str(i) for i in range(8)]
    assert [row.output_shape for row in counted.rows] == [
        (8, 8, 8),
        (8, 8, 8),
        (8, 8, 8),
        (8, 4, 4),
        (8, 2, 2),
        (4, 4, 4),
        (64,),
        (10,),
    ]
    assert [row.parameters for row in counted.rows] == [224, 16, 0, 0, 144, 132, 0, 650]
    assert [row.multiply_adds for row in counted.rows] == [
        8 * 64 * 27,
        0,
        0,
        0,
        8 * 4 * 2 * 9,
        8 * 4 * 4 * 4,
        0,
        640,
    ]
    assert counted.buffers == 16
    assert counted.rows[0].activations == 512
    assert counted.parameters == counted.trainable == sum(p.size for p in small().parameters())


@pytest.mark.parametrize("slopes", (1, 8))
def test_summary_counts_a_prelu(slopes):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, rng=0), nn.PReLU(slopes), nn.Flatten(), nn.PReLU(), nn.Linear(288, 2)
    )
    counted = nn.summary(net, (3, 8, 8))
    assert [row.kind for row in counted.rows] == ["Conv2d", "PReLU", "Flatten", "PReLU", "Linear"]
    assert counted.rows[1].parameters == slopes


def test_summary_prints_a_table():
    text = str(nn.summary(small(), (3, 8, 8)))
    first, rule, *rows = text.splitlines()
    assert first.split() == ["layer", "output", "parameters", "multiply-adds"]
    assert set(rule) == {"-"} and len(rows) == 8 + 3
    assert rows[0].split() == ["0", "(Conv2d)", "8", "x", "8", "x", "8", "224", "13,824"]
    assert rows[-2].split()[0] == "total" and "buffers: 16" in rows[-1]


def test_summary_leaves_the_network_as_it_was():
    network = small()
    network[1].eval()
    before = network.state_dict()
    nn.summary(network, (3, 8, 8))
    assert [m.training for m in network] == [True, False] + [True] * 6
    assert all("forward" not in vars(module) for module in network.modules())
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_summary_leaves_the_network_as_it_was_after_an_error():
    network = small()
    with pytest.raises(ValueError, match="channels"):
        nn.summary(network, (5, 8, 8))
    assert all("forward" not in vars(m) and m.training for m in network.modules())


def test_summary_counts_what_is_shared_once():
    conv = nn.Conv2d(4, 4, 3, padding=1, rng=0)
    counted = nn.summary(nn.Sequential(conv, nn.ReLU(), conv), (4, 6, 6))
    assert [row.parameters for row in counted.rows] == [148, 0, 0]
    assert [row.multiply_adds for row in counted.rows] == [5184, 0, 5184]
    conv.weight.requires_grad = False
    assert nn.summary(conv, (4, 6, 6)).trainable == 4
    assert nn.summary(conv, (4, 6, 6)).rows[0].name == ""


@pytest.mark.parametrize("pool, channels", (("max", (8,)), (None, (8, 4))))
def test_summary_counts_every_pose(pool, channels):
    layer = nn.TransformInvariantConv2d(3, 8, 3, rotations=4, pool=pool, rng=0)
    row = nn.summary(layer, (3, 9, 9)).rows[0]
    assert row.output_shape == (*channels, 7, 7)
    assert row.multiply_adds == 4 * 8 * 7 * 7 * 27


class Scaled(nn.Module):
    """A module with a parameter of its own, a layer inside, and an operation between."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.inner = nn.Conv1d(3, 3, 3, padding=1, rng=0)

    def forward(self, input):
        return self.inner(input) * self.scale.reshape(3, 1) + input


def test_summary_of_a_module_that_is_no_chain():
    counted = nn.summary(Scaled(), (3, 7))
    assert [(row.kind, row.parameters) for row in counted.rows] == [("Conv1d", 30), ("Scaled", 3)]


def test_summary_counts_layers_that_are_not_called():
    network = Scaled()
    network.head = nn.Sequential(nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2, rng=0))
    network.head[2].weight.requires_grad = False
    counted = nn.summary(network, (3, 7))
    assert [(row.name, row.called) for row in counted.rows] == [
        ("inner", True),
        ("", True),
        ("head.0", False),
        ("head.2", False),
    ]
    assert counted.parameters == sum(p.size for p in network.parameters()) == 33 + 10 + 12
    assert counted.parameter_bytes == 4 * counted.parameters
    assert counted.trainable == 45 and counted.buffers == 10
    assert counted.rows[3].multiply_adds == counted.rows[3].activations == 0
    assert any(
        line.split()[:4] == ["head.2", "(Linear)", "not", "called"]
        for line in str(counted).splitlines()
    )


def test_a_forward_of_the_users_own_stays():
    layer = nn.ReLU()
    layer.forward = lambda input: input[:, :1]
    own = layer.forward
    for _ in range(2):
        assert nn.summary(layer, (3, 4)).rows[0].output_shape == (1, 4)
        assert layer.forward is own


class Flat(nn.Module):
    def forward(self, input):
        return input.reshape(len(input), -1)


def test_summary_of_a_network_that_needs_an_image():
    network = nn.Sequential(Flat(), nn.Linear(12, 2, rng=0))
    assert nn.summary(network, (3, 2, 2), batch_size=1).rows[0].output_shape == (12,)


@pytest.mark.parametrize("function", (nn.summary, nn.receptive_field))
def test_analysis_refuses_bad_arguments(function):
    name = function.__name__
    with pytest.raises(TypeError, match=f"{name}: needs a Module, got str"):
        function("network", (3, 8, 8))
    with pytest.raises(TypeError, match=f"{name}: input_shape must be a tuple of ints, got 8"):
        function(nn.ReLU(), 8)
    with pytest.raises(ValueError, match=f"{name}: sizes must not be negative"):
        function(nn.ReLU(), (3, -8, 8))


# ---- networks without weights ------------------------------------------------------------


def test_shapes_only_takes_no_memory():
    with nn.shapes_only():
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 1_000_000)
        )
    assert network[3].weight.shape == (1_000_000, 288)
    assert network[0].weight.dtype == np.float32
    assert not any(network[3].weight.data.strides)
    counted = nn.summary(network, (3, 8, 8))
    assert counted.parameters == 224 + 16 + 289_000_000
    x = np.ones((1, 3, 8, 8), np.float32)
    assert not network[0](x).data.any()  # one zero is a weight like any other
    assert nn.Conv2d(3, 8, 3, rng=0).weight.data.any()


def test_shapes_only_parameters_cannot_be_written():
    with nn.shapes_only():
        layer = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"\(3, 4\) was made inside shapes_only"):
        layer.weight.assign(np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match="made inside shapes_only"):
        layer.load_state_dict(nn.Linear(4, 3, rng=0).state_dict())


# ---- receptive fields --------------------------------------------------------------------

CHAINS = (
    [nn.Conv2d(1, 1, 3, rng=0)],
    [nn.Conv2d(1, 1, (3, 5), (2, 1), (1, 2), rng=0), nn.ReLU(), nn.Conv2d(1, 1, 3, rng=0)],
    [nn.Conv2d(1, 1, 7, 2, 3, rng=0), nn.BatchNorm2d(1), nn.AvgPool2d(3, 2, 1)],
    [nn.Conv2d(1, 1, 3, dilation=2, padding="same", rng=0), nn.SumPool2d(2)],
    [nn.Conv2d(1, 1, 4, padding="full", rng=0), nn.AvgPool2d(2, ceil_mode=True)],
    [nn.ZeroPad2d((1, 0, 2, 3)), nn.Conv2d(1, 1, 3, rng=0), nn.AvgPool2d(3)],
    [nn.Conv2d(1, 1, 3, padding=((0, 2), (1, 0)), rng=0), nn.WeightedPool2d(3, 2)],
    [nn.AvgPool2d(2), nn.Conv2d(1, 1, 1, rng=0), nn.GlobalAvgPool()],
    [nn.Conv2d(1, 1, 2, rng=0), nn.LPPool2d(2, 2)],
    [nn.Conv2d(1, 1, 3, padding=2, padding_mode="replicate", rng=0)],
)


@pytest.mark.parametrize(
    "layers", CHAINS, ids=lambda layers: "-".join(type(m).__name__ for m in layers)
)
def test_a_unit_sees_the_pixels_that_its_gradient_reaches(layers):
    network = nn.Sequential(*layers).eval()
    for parameter in network.parameters():
        parameter.assign(np.ones(parameter.shape, np.float32))
    last = nn.receptive_field(network, (1, 13, 11))[-1]
    x = striate.Tensor(np.ones((1, 1, 13, 11), np.float32), requires_grad=True)
    y = network(x)
    assert y.shape[2:] == last.size
    for unit in ((0, 0), (last.size[0] - 1, last.size[1] - 1), (last.size[0] // 2, 0)):
        x.grad = None
        seed = np.zeros(y.shape, np.float32)
        seed[(0, 0, *unit)] = 1
        y.backward(seed, retain_graph=True)
        rows, columns = (np.flatnonzero(x.grad[0, 0].any(axis)) for axis in (1, 0))
        seen = last.pixels(unit)
        for reached, part in zip((rows, columns), seen, strict=True):
            assert (reached[0], reached[-1] + 1) == (part.start, part.stop)


def test_receptive_fields_in_one_and_three_dimensions():
    causal = nn.Sequential(
        *(nn.Conv1d(1, 1, 2, padding="causal", dilation=d, rng=0) for d in (1, 2, 4, 8))
    )
    last = nn.receptive_field(causal, (1, 40))[-1]
    assert last.field == (16,) and last.edges((20,)) == ((5.0, 21.0),)
    solid = nn.receptive_field(nn.MaxPool3d(2), (1, 8, 6, 4))[-1]
    assert solid.size == (4, 3, 2) and solid.jump == solid.field == (2, 2, 2)


def test_receptive_field_refuses_what_is_no_window():
    for layer, shape in (
        (nn.ConvTranspose2d(1, 1, 2, rng=0), "ConvTranspose2d"),
        (nn.Flatten(), "Flatten"),
    ):
        with pytest.raises(ValueError, match=rf"receptive_field: layer '1' \({shape}\)"):
            nn.receptive_field(nn.Sequential(nn.ReLU(), layer), (1, 8, 8))
    poses = nn.TransformInvariantConv2d(1, 2, 3, pool=None, rng=0)
    with pytest.raises(ValueError, match="receptive_field: TransformInvariantConv2d, from"):
        nn.receptive_field(poses, (1, 8, 8))
    pooled = nn.TransformInvariantConv2d(1, 2, 3, rng=0)
    assert nn.receptive_field(pooled, (1, 8, 8))[1].field == (3, 3)
    wrapped = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", rng=0)
    with pytest.raises(ValueError, match="receptive_field: Conv2d, from"):
        nn.receptive_field(wrapped, (1, 8, 8))
    with pytest.raises(ValueError, match=r"receptive_field: input_shape must be \(C, spatial"):
        nn.receptive_field(nn.ReLU(), (3,))


class Mirrored(nn.Module):
    def forward(self, input):
        return input[..., ::-1]


@pytest.mark.parametrize(
    "layer",
    (nn.Linear(8, 8, rng=0), Mirrored(), nn.Softmax(-1), nn.LogSoftmax(3), nn.Softmax(0)),
    ids=repr,
)
def test_receptive_field_refuses_what_may_mix_places(layer):
    with pytest.raises(ValueError, match=rf"layer '0' \({type(layer).__name__}\).*not known"):
        nn.receptive_field(nn.Sequential(layer), (3, 8, 8))


@pytest.mark.parametrize(
    "layer",
    (
        nn.PReLU(),
        nn.Softmax(1),
        nn.LogSoftmax(-3),
        nn.Dropout2d(),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4),
        nn.LayerNorm((4, 8, 8)),
        nn.LocalResponseNorm(3),
        nn.ChannelMaxPool(2),
        nn.ChannelShuffle(2),
        nn.Identity(),
        nn.Sequential(),
    ),
    ids=repr,
)
def test_layers_on_each_pixel_keep_the_field(layer):
    network = nn.Sequential(nn.MaxPool2d(2), layer)
    _, before, after = nn.receptive_field(network, (4, 16, 16))
    assert before[1:] == after[1:]


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.MaxPool2d(2), nn.AvgPool2d(2)

    def forward(self, input):
        return self.left(input) + self.right(input)


def test_receptive_field_refuses_branches():
    with pytest.raises(
        ValueError, match=r"layer 'right' \(AvgPool2d\) is not called on the result"
    ):
        nn.receptive_field(Branches(), (1, 8, 8))


def test_a_place_beside_the_map_has_no_receptive_field():
    field = nn.receptive_field(nn.MaxPool2d(2), (1, 8, 8))[-1]
    for unit in ((4, 0), (0, -1), (1,)):
        with pytest.raises(ValueError, match=r"unit must lie on the map of \(4, 4\)"):
            field.edges(unit)
    with pytest.raises(TypeError, match="unit must be a tuple of ints"):
        field.edges(3)
