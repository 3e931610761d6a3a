"""Packed weights: every driver keeps and reads them, the bits stay the same, memory is bounded.

`_core.PackedWeights` itself trusts its owner; the first tests use that to prove that forms are kept
and read at all. That parameters are better owners is shown in test_packed_changes.py.
"""

import gc

import numpy as np
import pytest
import striate
from packed_layers import conv_layer, forms, values, write
from problems import conv_problem, lay_out
from striate import Tensor, _core, nn, no_grad, optim

MOST_FORMS = 4


@pytest.fixture
def limit():
    """The limit of the process is given back."""
    before = striate.packed_weights_stats()["limit_bytes"]
    yield
    striate.set_packed_weights_limit(before)


def held():
    gc.collect()
    return striate.packed_weights_stats()["held_forms"]


# ---- every driver, with the parameter's guard out of the way -------------------------------------


def forward(input_shape, stride=1, padding=0, groups=1, dtype=np.float32, last=False):
    x = values(input_shape, dtype)
    x = lay_out(x, "channels_last", None) if last else x

    def call(weight, packed=None):
        form = (stride, stride), ((padding, padding),) * 2, (1, 1), groups, False, None
        return _core.conv_forward("f", 2, x, weight, None, None, None, *form, None, None, packed)

    return call


def input_grad(input_shape, output_shape, stride=1, padding=0, groups=1):
    g = values(output_shape)

    def call(weight, packed=None):
        form = (stride, stride), ((padding, padding),) * 2, (1, 1), groups, False, None
        return _core.conv_input_grad(
            "f", 2, input_shape, weight, g, None, *form, None, None, packed
        )

    return call


def linear(input_shape):
    x = values(input_shape)
    return lambda weight, packed=None: _core.linear_forward(x, weight, None, None, packed)


# name: call, shape of its weight, forms it makes
DRIVERS = {
    "one tile": (forward((1, 16, 9, 9), 2, 1), (24, 16, 3, 3), 1),
    "many tiles": (forward((2, 16, 80, 80), 2, 1), (24, 16, 3, 3), 1),
    "tiles of float64": (forward((1, 16, 9, 9), 1, 1, dtype=np.float64), (24, 16, 3, 3), 1),
    "phases of a gradient": (input_grad((1, 16, 9, 9), (1, 24, 5, 5), 2, 1), (24, 16, 3, 3), 1),
    "pixels": (forward((1, 1, 16, 16), 1, 1), (4, 1, 3, 3), 1),
    "rows of 1x1": (input_grad((1, 24, 8, 8), (1, 16, 8, 8)), (16, 24, 1, 1), 1),
    "rows in place": (forward((1, 16, 8, 8)), (24, 16, 1, 1), 0),
    "groups": (forward((1, 40, 12, 12), 1, 1, 20), (40, 2, 3, 3), 1),
    "Winograd by blocks": (forward((4, 16, 64, 64), 1, 1), (16, 16, 3, 3), 1),
    "Winograd by channels": (forward((1, 64, 9, 9), 1, 1, last=True), (70, 64, 3, 3), 1),
    "Winograd's gradient": (input_grad((1, 64, 9, 9), (1, 64, 9, 9), 1, 1), (64, 64, 3, 3), 1),
    "polyphase": (forward((1, 3, 112, 112), 2, 3), (32, 3, 7, 7), 2),
    "linear": (linear((3, 40)), (50, 40), 1),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_reads_what_it_has_kept(driver, isas):
    call, shape, expected = DRIVERS[driver]
    dtype = np.float64 if "float64" in driver else np.float32
    for isa in isas:
        _core.set_isa(isa)
        weight, packed = values(shape, dtype), _core.PackedWeights()
        plain = call(weight)
        assert np.array_equal(call(weight, packed), plain), isa
        assert packed.forms <= 2 and (packed.bytes > 0) == (packed.forms > 0), isa
        if isa != "baseline":
            assert packed.forms == expected, isa
        weight *= 2  # behind its back: what was kept is read, not the array
        assert np.array_equal(call(weight, packed), plain if packed.forms else 2 * plain), isa
        assert np.array_equal(call(weight, _core.PackedWeights()), call(weight)), isa


def test_another_array_never_gets_these_forms():
    """Where the weights lie is part of the key, so even a mistake above would be harmless."""
    call, shape, _ = DRIVERS["one tile"]
    packed = _core.PackedWeights()
    weights = [values(shape, seed=seed) for seed in range(6)]
    for weight in weights:
        assert np.array_equal(call(weight, packed), call(weight))
    two = values((2, *shape))  # neighbours in memory, and other strides
    for weight in (two[0], two[1], two[0][::-1], two[0].transpose(0, 1, 3, 2)):
        assert np.array_equal(call(weight, packed), call(weight))
    assert packed.forms == MOST_FORMS


def test_what_is_no_packed_weights_is_refused():
    call, shape, _ = DRIVERS["one tile"]
    with pytest.raises(TypeError):
        call(values(shape), {})


# ---- the same bits -------------------------------------------------------------------------------


def test_the_same_bits_for_all_problems(machines):
    """Cold, then from the forms; forward, input gradient and transposed convolution."""
    for index in range(60):
        problem = conv_problem(31, index)
        rng = np.random.default_rng(index)
        x, g = (
            rng.standard_normal(s).astype(problem.dtype)
            for s in (problem.input_shape, problem.output_shape)
        )
        x, g = lay_out(x, problem.layouts[0], rng), lay_out(g, problem.layouts[2], rng)
        weight = rng.standard_normal(problem.weight_shape).astype(problem.dtype)
        parameter = nn.Parameter(lay_out(weight, problem.layouts[1], rng))
        rank, window = problem.ndim, problem.window
        conv, grad = getattr(striate, f"conv{rank}d"), getattr(striate, f"conv{rank}d_input_grad")
        with no_grad():
            for machine in machines:
                for _ in range(2):
                    y, dx = conv(x, parameter, **window), grad(x.shape, parameter, g, **window)
                    where = f"{problem} {machine}"
                    assert np.array_equal(y.data, conv(x, parameter.data, **window)), where
                    assert np.array_equal(dx.data, grad(x.shape, parameter.data, g, **window)), (
                        where
                    )
                assert forms(parameter) <= MOST_FORMS


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_of_every_rank_keep_forms(rank):
    x = values((2, 6, *(9,) * rank))
    for kind in (f"Conv{rank}d", f"ConvTranspose{rank}d"):
        layer = getattr(nn, kind)(6, 8, 3, stride=2, padding=1, rng=0)
        plain = (striate.conv1d, striate.conv2d, striate.conv3d)[rank - 1]
        if layer.transposed:
            plain = getattr(striate, f"conv_transpose{rank}d")
        want = plain(x, layer.weight.data, layer.bias.data, 2, 1)
        with no_grad():
            for _ in range(2):
                assert np.array_equal(layer(x).data, want)
        assert forms(layer.weight) > 0


# ---- memory --------------------------------------------------------------------------------------


def test_forms_go_with_their_parameter():
    before = held()
    layer = conv_layer()
    assert held() == before + 1
    stats = striate.packed_weights_stats()
    assert (
        0
        < layer.module.weight.packed_weights().bytes
        <= stats["held_bytes"]
        <= stats["limit_bytes"]
    )
    write(layer)
    assert held() == before
    layer.check()
    assert held() == before + 1
    del layer
    assert held() == before


def test_training_keeps_nothing_and_evaluation_stays_flat():
    model = nn.Sequential(
        nn.Conv2d(3, 32, 7, stride=2, padding=3, rng=0),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, rng=1),
        nn.Flatten(),
        nn.Linear(32 * 16 * 16, 10, rng=2),
    )
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    x, before = values((2, 3, 32, 32)), held()
    sizes = set()
    for _ in range(4):
        for _ in range(3):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
            assert held() == before
        with no_grad():
            for _ in range(3):
                model(x)
        sizes.add((held(), striate.packed_weights_stats()["held_bytes"]))
    assert len(sizes) == 1 and held() >= before + 3


def test_a_recorded_call_keeps_nothing():
    layer = nn.Conv2d(16, 24, 3, rng=0)
    x = values((1, 16, 9, 9))
    layer(x)
    layer(Tensor(x, requires_grad=True))
    assert forms(layer.weight) == 0
    frozen = nn.Parameter(layer.weight.data, requires_grad=False)
    assert np.array_equal(striate.conv2d(x, frozen).data, striate.conv2d(x, frozen.data))
    assert forms(frozen) == 1  # it does not learn, and nothing is recorded


def test_the_limit_is_for_all_forms_of_the_process(limit):
    gc.collect()
    before = striate.packed_weights_stats()["held_bytes"]
    first, second = conv_layer(), conv_layer()
    size = first.module.weight.packed_weights().bytes
    striate.set_packed_weights_limit(striate.packed_weights_stats()["held_bytes"] + size - 1)
    third = nn.Conv2d(16, 24, 3, padding=1, rng=9)
    with no_grad():
        want = striate.conv2d(first.x, third.weight.data, third.bias.data, 1, 1)
        assert np.array_equal(third(first.x).data, want)
        assert forms(third.weight) == 0
        write(second)
        third(first.x)
        assert forms(third.weight) == 1
    striate.set_packed_weights_limit(0)
    assert forms(first.module.weight) == 1  # what is there stays, until it changes
    write(first)
    first.check()
    assert forms(first.module.weight) == 0
    del first, second, third
    gc.collect()
    assert striate.packed_weights_stats()["held_bytes"] == before
    with pytest.raises(ValueError, match="negative"):
        striate.set_packed_weights_limit(-1)
