"""Modules: registration, state, modes, repr, initial weights, and a small network that learns."""

import copy
import pickle

import numpy as np
import pytest
import striate
from striate import Tensor, nn, no_grad
from striate.nn import init
from striate.optim import SGD


class Block(nn.Module):
    def __init__(self, rng=0):
        super().__init__()
        rng = np.random.default_rng(rng)
        self.conv1 = nn.Conv2d(2, 3, 3, padding=1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(3)
        self.downsample = nn.Sequential(nn.Conv2d(2, 3, 1, rng=rng), nn.ReLU())
        self.scale = nn.Parameter(np.ones(1, np.float32))

    def forward(self, x):
        return self.bn1(self.conv1(x)) * self.scale + self.downsample(x)


KEYS = [
    "scale",
    "conv1.weight",
    "bn1.weight",
    "bn1.bias",
    "bn1.running_mean",
    "bn1.running_var",
    "bn1.num_batches_tracked",
    "downsample.0.weight",
    "downsample.0.bias",
]


# ---- registration --------------------------------------------------------------------------------


def test_names_are_torchvisions():
    block = Block()
    assert list(block.state_dict()) == KEYS
    assert [name for name, _ in block.named_parameters()] == [
        key for key in KEYS if "running" not in key and "tracked" not in key
    ]
    assert [name for name, _ in block.named_modules()] == [
        "", "conv1", "bn1", "downsample", "downsample.0", "downsample.1",
    ]  # fmt: skip
    assert [type(child).__name__ for child in block.children()] == [
        "Conv2d", "BatchNorm2d", "Sequential",
    ]  # fmt: skip
    assert [name for name, _ in block.named_buffers()] == KEYS[4:7]


def test_attributes_move_between_registries():
    block = Block()
    with pytest.raises(TypeError, match=r"Block.scale is a parameter; .*assign"):
        block.scale = np.zeros(1)
    block.scale = None
    assert "scale" not in block.state_dict() and block.scale is None
    block.scale = nn.Identity()
    assert "scale" in dict(block.named_modules()) and "scale" not in block._parameters
    del block.scale
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'scale'"):
        block.scale  # noqa: B018
    with pytest.raises(ValueError, match="has an attribute 'conv1' already"):
        block.register_buffer("conv1", np.zeros(1))
    with pytest.raises(ValueError, match="cannot name a part"):
        block.register_buffer("a.b", np.zeros(1))
    assert "bn1" in dir(block)


def test_a_forgotten_super_init_is_named():
    class Forgetful(nn.Module):
        def __init__(self):
            self.relu = nn.ReLU()

    with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\) before"):
        Forgetful()


def test_state_is_in_c_order_whatever_the_memory_format():
    block = Block().to(memory_format="channels_last")
    state = block.state_dict()
    assert not block.conv1.weight.data.flags.c_contiguous
    assert all(value.flags.c_contiguous for value in state.values())
    assert np.array_equal(state["conv1.weight"], Block().state_dict()["conv1.weight"])


def test_shared_modules_are_walked_once_and_saved_under_each_name():
    shared = nn.Linear(2, 2, rng=0)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(net.parameters())) == 2 and len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net.load_state_dict(net.state_dict())


def test_containers():
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU(), nn.Linear(3, 1, rng=0))
    assert len(net) == 3 and isinstance(net[1], nn.ReLU) and len(net[:2]) == 2
    net[1] = nn.Tanh()
    net.append(nn.Sigmoid())
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Linear", "Sigmoid"]
    layers = nn.ModuleList(nn.Linear(2, 2, rng=i) for i in range(2))
    assert [name for name, _ in layers.named_parameters()] == [
        "0.weight", "0.bias", "1.weight", "1.bias",
    ]  # fmt: skip
    with pytest.raises(NotImplementedError, match=r"ModuleList defines no forward\(\)"):
        layers(1)
    with pytest.raises(TypeError, match="is not a Module"):
        nn.Sequential(abs)


# ---- state ---------------------------------------------------------------------------------------


def test_state_dict_is_a_copy_and_loads_back():
    block, other = Block(rng=0), Block(rng=1)
    state = block.state_dict()
    assert not np.array_equal(other.conv1.weight.data, state["conv1.weight"])
    block.conv1.weight.assign(0.0)
    block.bn1.running_mean += 1.0
    assert state["conv1.weight"].any() and not state["bn1.running_mean"].any()
    report = other.load_state_dict(state)
    assert report == ([], [])
    loaded = other.state_dict()
    assert all(np.array_equal(loaded[key], state[key]) for key in KEYS)


def test_load_state_dict_names_every_problem_at_once_and_changes_nothing():
    block = Block()
    before = block.state_dict()
    state = {key: value + 1 for key, value in before.items()}
    del state["scale"], state["bn1.bias"]
    state["fc.weight"] = state["head"] = np.zeros(1)
    state["conv1.weight"] = np.zeros((3, 2, 1, 1), np.float32)
    state["bn1.num_batches_tracked"] = np.zeros((), np.float32)
    with pytest.raises(ValueError, match=r"Block\.load_state_dict") as caught:
        block.load_state_dict(state)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: scale, bn1.bias",
        "  unexpected: fc.weight, head",
        "  conv1.weight: shape (3, 2, 1, 1), but (3, 2, 3, 3) is needed",
        "  bn1.num_batches_tracked: dtype float32, but int64 is needed",
    ]
    after = block.state_dict()
    assert all(np.array_equal(after[key], before[key]) for key in KEYS)
    del state["conv1.weight"], state["bn1.num_batches_tracked"]
    report = block.load_state_dict(state, strict=False)
    assert report.missing == ["scale", "conv1.weight", "bn1.bias", "bn1.num_batches_tracked"]
    assert report.unexpected == ["fc.weight", "head"]
    assert np.array_equal(block.bn1.weight.data, before["bn1.weight"] + 1)


def test_loading_converts_floats_and_counts_versions():
    layer = nn.Linear(2, 1, rng=0)
    version = layer.weight.version
    layer.load_state_dict({"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    assert layer.weight.dtype == np.float32 and layer.weight.data.tolist() == [[1.0, 1.0]]
    assert layer.weight.version == version + 1


def test_parameters_own_read_only_memory():
    array = np.zeros(3)
    parameter = nn.Parameter(array)
    parameter.assign(1.0)
    assert not array.any() and parameter.data.tolist() == [1.0] * 3
    with pytest.raises(ValueError, match="read-only"):
        parameter.data[0] = 5.0
    with pytest.raises(ZeroDivisionError), parameter.writing():
        raise ZeroDivisionError
    assert not parameter.data.flags.writeable


def test_a_parameter_changed_between_forward_and_backward_is_noticed():
    layer = nn.Conv2d(1, 1, 2, rng=0)
    x = Tensor(np.ones((1, 1, 3, 3), np.float32), requires_grad=True)
    loss = layer(x).sum()
    layer.weight.assign(0.0)
    with pytest.raises(RuntimeError, match="conv2d: weight was changed in place"):
        loss.backward()


def test_copies_are_independent():
    block = Block()
    for other in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        other.scale.assign(5.0)
        other.bn1.running_var += 1.0
        assert block.scale.item() == 1.0 and block.bn1.running_var.tolist() == [1.0] * 3
        assert not other.conv1.weight.data.flags.writeable
        assert list(other.state_dict()) == KEYS


# ---- modes and conversions -----------------------------------------------------------------------


def test_train_eval_apply_and_zero_grad():
    block = Block()
    assert block.eval() is block and not block.downsample[0].training
    assert block.train().downsample[1].training
    names = []
    block.apply(lambda module: names.append(type(module).__name__))
    assert names[-1] == "Block" and names.index("ReLU") < names.index("Sequential")
    block(np.ones((2, 2, 3, 3), np.float32)).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    block.zero_grad()
    assert all(parameter.grad is None for parameter in block.parameters())


def test_to_converts_dtype_and_memory_format():
    block = Block()
    want = block.state_dict()
    x = np.random.default_rng(0).normal(size=(2, 2, 4, 4))
    assert block.to(np.float64, "channels_last") is block
    assert block.conv1.weight.data.strides == (144, 8, 48, 16)
    assert block.bn1.running_var.dtype == np.float64
    assert block.bn1.num_batches_tracked.dtype == np.int64
    assert block(x).dtype == np.float64
    block.to(np.float32, "contiguous")
    assert block.conv1.weight.data.flags.c_contiguous
    assert all(np.array_equal(block.state_dict()[k], want[k]) for k in KEYS if "weight" in k)
    with pytest.raises(TypeError, match="must be float32 or float64"):
        block.to(np.float16)
    with pytest.raises(ValueError, match="memory_format must be"):
        block.to(memory_format="nhwc")


def test_frozen_parameters_receive_nothing():
    net = nn.Sequential(nn.Conv2d(1, 2, 2, rng=0), nn.Flatten(), nn.Linear(8, 1, rng=0))
    for parameter in net[0].parameters():
        parameter.requires_grad = False
    net(np.ones((1, 1, 3, 3), np.float32)).sum().backward()
    assert net[0].weight.grad is None and net[2].weight.grad is not None


# ---- layers --------------------------------------------------------------------------------------


def test_repr_is_pytorchs():
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=(2, 1), padding=1, dilation=2, groups=1, bias=False, rng=0),
        nn.BatchNorm2d(8),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
        nn.ConvTranspose2d(8, 4, 2, 2, output_padding=1, rng=0),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(10, 2, rng=0),
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(2, 1), padding=(1, 1), dilation=(2, 2), "
        "bias=False)\n"
        "  (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)\n"
        "  (2): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  )\n"
        "  (3): ConvTranspose2d(8, 4, kernel_size=(2, 2), stride=(2, 2), output_padding=(1, 1))\n"
        "  (4): Flatten(start_dim=1, end_dim=-1)\n"
        "  (5): Dropout(p=0.25)\n"
        "  (6): Linear(in_features=10, out_features=2, bias=True)\n"
        ")"
    )


def test_weights_repeat_with_their_rng_and_need_no_global_seed():
    np.random.seed(0)  # noqa: NPY002
    a, b, c = (nn.Conv2d(3, 4, 3, rng=rng) for rng in (7, 7, 8))
    assert np.array_equal(a.weight.data, b.weight.data)
    assert not np.array_equal(a.weight.data, c.weight.data)
    np.random.seed(0)  # noqa: NPY002
    d, e = nn.Linear(3, 4), nn.Linear(3, 4)
    assert not np.array_equal(d.weight.data, e.weight.data)
    wide = nn.Conv2d(3, 4, 3, rng=7, dtype=np.float64)
    assert np.array_equal(wide.weight.data.astype(np.float32), a.weight.data)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Conv2d(8, 64, 3, groups=2, rng=0), 36),
        (nn.Conv1d(16, 64, 5, rng=0), 80),
        (nn.ConvTranspose2d(8, 64, 3, rng=0), 576),  # PyTorch counts the first axis as outputs
        (nn.Linear(50, 400, rng=0), 50),
    ],
    ids=repr,
)
def test_default_weights_are_uniform_within_one_over_root_fan_in(layer, fan_in):
    bound = fan_in**-0.5
    for parameter in layer.parameters():
        largest = np.abs(parameter.data).max()
        assert 0.9 * bound < largest <= bound
    assert abs(layer.weight.data.std() / (bound / 3**0.5) - 1.0) < 0.05


def test_initialisers_have_their_variances():
    shape = (200, 50, 3, 3)
    fan_in, fan_out = 450, 1800
    assert init.fans(shape) == (fan_in, fan_out)
    for drawn, variance in [
        (init.kaiming_uniform(shape, rng=0), 2 / fan_in),
        (init.kaiming_normal(shape, mode="fan_out", nonlinearity="relu", rng=0), 2 / fan_out),
        (init.xavier_uniform(shape, rng=0), 2 / (fan_in + fan_out)),
        (init.xavier_normal(shape, init.gain("tanh"), rng=0), 25 / 9 * 2 / (fan_in + fan_out)),
    ]:
        assert drawn.dtype == np.float32
        assert abs(drawn.var() / variance - 1.0) < 0.02 and abs(drawn.mean()) < 1e-3
    with pytest.raises(ValueError, match="nonlinearity must be one of"):
        init.gain("swish")
    with pytest.raises(ValueError, match="mode must be"):
        init.kaiming_normal(shape, mode="fan")
    with pytest.raises(ValueError, match="two axes"):
        init.xavier_normal((3,))


def test_layers_call_their_functions():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)
    layer = nn.Conv2d(4, 6, (3, 2), (2, 1), "same", 1, 2, rng=0)
    y = layer(x)
    assert isinstance(y, Tensor) and y.requires_grad
    with no_grad():
        assert not layer(x).requires_grad
    want = striate.conv2d(x, layer.weight.data, layer.bias.data, (2, 1), "same", 1, 2)
    assert np.array_equal(y.numpy(), want)
    up = nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, dilation=1, rng=0)
    want = striate.conv_transpose2d(x, up.weight.data, up.bias.data, 2, 1, 1)
    assert np.array_equal(up(x).numpy(), want)


def test_batch_norm_in_both_modes():
    rng = np.random.default_rng(0)
    batches = [rng.normal(2.0, 3.0, (4, 2, 3, 3)) for _ in range(3)]
    layer = nn.BatchNorm2d(2, dtype=np.float64)
    mean, var = np.zeros(2), np.ones(2)
    for x in batches:
        layer(x)
        mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
        var = 0.9 * var + 0.1 * x.var((0, 2, 3), ddof=1)
    assert np.allclose(layer.running_mean, mean) and np.allclose(layer.running_var, var)
    assert layer.num_batches_tracked == 3
    layer.eval()
    y = layer(batches[0])
    want = (batches[0] - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    assert np.allclose(y.numpy(), want)
    assert layer.num_batches_tracked == 3 and np.allclose(layer.running_mean, mean)

    average = nn.BatchNorm2d(2, momentum=None, affine=False, dtype=np.float64)
    for x in batches:
        average(x)
    assert np.allclose(average.running_mean, np.mean([x.mean((0, 2, 3)) for x in batches], 0))
    assert np.allclose(average.running_var, np.mean([x.var((0, 2, 3), ddof=1) for x in batches], 0))

    forgetful = nn.BatchNorm2d(2, track_running_stats=False, dtype=np.float64).eval()
    assert np.allclose(forgetful(batches[0]).numpy().mean((0, 2, 3)), 0.0)
    assert list(forgetful.state_dict()) == ["weight", "bias"]


def test_dropout_moves_on_and_stops_in_eval():
    layer = nn.Dropout(0.5, rng=0)
    x = np.ones((8, 8), np.float32)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    again = nn.Dropout(0.5, rng=0)
    assert np.array_equal(again(x), first) and np.array_equal(again(x), second)
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), ValueError,
         "Conv2d: padding_mode must be one of .* got 'mirror'"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups must divide"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups must divide"),
        (lambda: nn.Conv2d(0, 4, 3), ValueError, "must be positive"),
        (lambda: nn.Conv2d(1, 4, (3, 3, 3)), ValueError, "Conv2d: kernel_size must be an int or 2"),
        (lambda: nn.Conv2d(1, 4, 3, padding="most"), ValueError, "must be numbers or one of"),
        (lambda: nn.ConvTranspose2d(1, 4, 3, padding="same"), ValueError, "or one of .'valid'"),
        (lambda: nn.Conv2d(1.0, 4, 3), TypeError, "in_channels must be an int"),
        (lambda: nn.Linear(2, 0), ValueError, "features must be positive"),
        (lambda: nn.Dropout(None), TypeError, "Dropout: p must be a number, got None"),
        (lambda: nn.Dropout("a"), TypeError, "Dropout: p must be a number, got 'a'"),
        (lambda: nn.Dropout(-0.1), ValueError, "p must be a probability"),
        (lambda: nn.Upsample(), ValueError, "give one of size and scale_factor"),
        (lambda: nn.BatchNorm2d(3)(np.ones((2, 4, 2, 2))), ValueError, "4 axes and 3 channels"),
        (lambda: nn.BatchNorm1d(3)(np.ones((2, 3, 2, 2))), ValueError, "2 or 3 axes"),
        (lambda: nn.Flatten(2, 1)(np.ones((2, 3, 4))), ValueError, "start_dim 2 lies behind"),
    ],
)  # fmt: skip
def test_bad_layers(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_small_network_learns():
    """Tell vertical from horizontal bars, a task that chance solves to one half."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = rng.normal(0.0, 0.1, (64, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(0, 8)
        image[0][(slice(None), place) if label else (place, slice(None))] += 1.0
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 2, rng=rng),
    )
    loss, optimizer = nn.CrossEntropyLoss(), SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(25):
        optimizer.zero_grad()
        loss(net(images), labels).backward()
        optimizer.step()
    net.eval()
    with no_grad():
        predicted = net(images).numpy().argmax(1)
    assert (predicted == labels).mean() > 0.95


@pytest.mark.parametrize("momentum", (None, 0.1))
def test_a_batch_that_is_refused_is_not_counted(momentum):
    layer = nn.BatchNorm1d(2, momentum=momentum)
    with pytest.raises(ValueError, match="more than one value"):
        layer(np.ones((1, 2), np.float32))
    assert layer.num_batches_tracked == 0
    x = np.array([[1, 2], [3, 6]], np.float32)
    layer(x)
    assert layer.num_batches_tracked == 1
    if momentum is None:
        np.testing.assert_allclose(layer.running_mean, x.mean(0))
        layer(x + 2)
        np.testing.assert_allclose(layer.running_mean, x.mean(0) + 1)


def test_upsample_hands_antialias_on():
    x = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    got = nn.Upsample(size=3, mode="bilinear", antialias=True)(x)
    want = striate.interpolate(x, 3, mode="bilinear", antialias=True)
    np.testing.assert_array_equal(got, want)
    assert not np.array_equal(got, nn.Upsample(size=3, mode="bilinear")(x))
