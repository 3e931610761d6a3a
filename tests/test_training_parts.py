"""What a training is made of besides updates: states of schedules, clipping, averages, weights,
parameters that join later; and that a seed decides about every bit."""

import copy
import json
import math

import numpy as np
import pytest
import striate
from striate import nn, no_grad, optim

RNG = np.random.default_rng(0)


def parameter(size=3):
    return nn.Parameter(np.zeros(size))


# ---- groups and states -------------------------------------------------------------------


def test_parameters_that_join_later():
    first, second = parameter(), parameter(2)
    optimizer = optim.SGD([first], lr=0.1, momentum=0.9)
    first.grad = np.ones(3)
    optimizer.step()
    optimizer.add_param_group({"params": second, "lr": 1.0})
    first.grad, second.grad = np.ones(3), np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(first.data, -0.1 * (1 + 1.9))
    np.testing.assert_allclose(second.data, -1.0)
    assert optimizer.param_groups[1]["momentum"] == 0.9
    before = len(optimizer.param_groups)
    for group, error in (
        ({"params": [first]}, ValueError),
        ({"params": [np.zeros(3)]}, TypeError),
        ({"params": [parameter()], "rate": 1}, ValueError),
        ({"params": [parameter()], "lr": -1.0}, ValueError),
    ):
        with pytest.raises(error, match="SGD: "):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == before == len(optimizer.state)


@pytest.mark.parametrize("options", ({}, {"momentum": 0.9}, {"momentum": 0.9, "centered": True}))
def test_slots_follow_the_options(options):
    member = parameter()
    optimizer = optim.RMSprop([member], **options)
    member.grad = np.ones(3)
    optimizer.step()
    saved = optimizer.state_dict()
    optim.RMSprop([parameter()], **options).load_state_dict(saved)
    lost = copy.deepcopy(saved)
    del lost["state"][0]["square_avg"]
    lost["state"][0]["grad_avg"] = np.zeros(3)
    with pytest.raises(ValueError, match="parameter 0 has"):
        optim.RMSprop([parameter()], **options).load_state_dict(lost)


SCHEDULES = {
    "plateau": lambda o: optim.ReduceLROnPlateau(o, patience=1),
    "multi-step": lambda o: optim.MultiStepLR(o, [2, 4]),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 9),
    "sequence": lambda o: optim.SequentialLR(
        o, [optim.LinearLR(o, total_iters=3), optim.ExponentialLR(o, 0.5)], [3]
    ),
    "chain": lambda o: optim.ChainedScheduler([optim.LinearLR(o), optim.StepLR(o, 2)]),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("at", (1, 4))
def test_schedules_continue_from_their_state(name, at):
    optimizers = [optim.SGD([parameter()], lr=1.0) for _ in range(2)]
    first = SCHEDULES[name](optimizers[0])
    metrics = [(2.0,) if name == "plateau" else ()] * 8
    for metric in metrics[:at]:
        first.step(*metric)
    saved = json.loads(json.dumps(first.state_dict()))
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    second = SCHEDULES[name](optimizers[1])
    second.load_state_dict(saved)
    for metric in metrics[at:]:
        first.step(*metric)
        second.step(*metric)
        assert first.get_last_lr() == second.get_last_lr()
    with pytest.raises(ValueError, match="the saved state has"):
        second.load_state_dict({"last_epoch": 1})


@pytest.mark.parametrize(
    ("make", "error"),
    (
        (lambda o: optim.StepLR(o, 0), ValueError),
        (lambda o: optim.LinearLR(o, 0.0), ValueError),
        (lambda o: optim.ConstantLR(o, 2.0), ValueError),
        (lambda o: optim.CosineAnnealingLR(o, 0), ValueError),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 3, 0), ValueError),
        (lambda o: optim.ReduceLROnPlateau(o, "least"), ValueError),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), ValueError),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]), ValueError),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]), ValueError),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)] * 3, [3, 3]), ValueError),
        (lambda o: optim.ChainedScheduler([]), ValueError),
        (lambda o: optim.ChainedScheduler([optim.OneCycleLR(o, 1.0, 9)]), TypeError),
    ),
)
def test_bad_schedules(make, error):
    with pytest.raises(error):
        make(optim.SGD([parameter()], lr=1.0))


def test_the_rate_is_divided_by_10_on_a_plateau():
    """The recipe of lectures 000 and 001."""
    optimizer = optim.SGD([parameter()], lr=0.01, momentum=0.9, weight_decay=5e-4)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=2)
    rates = []
    for error in (0.5, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3):
        schedule.step(error)
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.01] * 4 + [0.001] * 4 + [0.0001])


# ---- clipping ----------------------------------------------------------------------------


def test_a_norm_that_is_not_finite():
    member = parameter(2)
    member.grad = np.array([np.inf, 1.0])
    with pytest.raises(RuntimeError, match="is inf"):
        optim.clip_grad_norm_([member], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(member.grad, [np.inf, 1])
    member.grad = np.array([np.nan, 1.0])
    for norm_type in (2.0, math.inf):
        assert math.isnan(optim.clip_grad_norm_(member, 1.0, norm_type))
    for bad in ({"max_norm": 0.0}, {"max_norm": 1.0, "norm_type": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            optim.clip_grad_norm_([member], **bad)
    assert optim.clip_grad_norm_([], 1.0) == 0.0
    with pytest.raises(ValueError, match="clip_value"):
        optim.clip_grad_value_([member], 0.0)


# ---- averages ----------------------------------------------------------------------------


def test_averaged_weights_and_their_statistics():
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5))
    average, ema = optim.AveragedModel(model), optim.AveragedModel(model, optim.get_ema_avg_fn(0.9))
    weights = []
    for _ in range(4):
        with model[0].weight.writing() as data:
            data += rng.standard_normal(data.shape).astype(data.dtype)
        weights.append(model[0].weight.data.copy())
        average.update_parameters(model)
        ema.update_parameters(model)
    np.testing.assert_allclose(average.module[0].weight.data, np.mean(weights, 0), rtol=1e-5)
    want = weights[0]
    for weight in weights[1:]:
        want = 0.9 * want + 0.1 * weight
    np.testing.assert_allclose(ema.module[0].weight.data, want, rtol=1e-5, atol=1e-6)
    assert int(average.n_averaged) == 4
    assert "module.0.weight" in average.state_dict()

    batches = [rng.standard_normal((8, 3)).astype(np.float32) for _ in range(3)]
    average.eval()
    optim.update_bn([(batch, None) for batch in batches], average)
    norm = average.module[1]
    with no_grad():
        hidden = [average.module[0](batch).numpy() for batch in batches]
    np.testing.assert_allclose(norm.running_mean, np.mean(hidden, (0, 1)), rtol=1e-4, atol=1e-6)
    unbiased = np.mean([h.var(0, ddof=1) for h in hidden], 0)
    np.testing.assert_allclose(norm.running_var, unbiased, rtol=1e-4)
    assert norm.momentum == 0.1 and not norm.training and not average.training

    other = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(ValueError, match="other parameters"):
        average.update_parameters(other)


# ---- initial weights ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", ((6, 4), (4, 6), (5, 2, 3, 3), (30, 2, 3)))
def test_orthogonal_weights(shape):
    drawn = nn.init.orthogonal(shape, 2.0, rng=3, dtype=np.float64)
    flat = drawn.reshape(shape[0], -1)
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    np.testing.assert_array_equal(drawn, nn.init.orthogonal(shape, 2.0, rng=3, dtype=np.float64))


def test_truncated_normal():
    drawn = nn.init.trunc_normal((200, 300), 0.5, 1.0, 0.25, 2.5, rng=4, dtype=np.float64)
    assert 0.25 <= drawn.min() < 0.251 and 2.4 < drawn.max() <= 2.5
    np.testing.assert_array_equal(
        drawn, nn.init.trunc_normal((200, 300), 0.5, 1.0, 0.25, 2.5, rng=4, dtype=np.float64)
    )
    low, high = -1.5, 3.0  # of the standard normal: its mean between them is known
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (low, high)]
    mass = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    assert drawn.mean() == pytest.approx(1 + 0.5 * (density[0] - density[1]) / mass, abs=0.005)
    with pytest.raises(ValueError, match="next to nothing"):
        nn.init.trunc_normal((2,), 0.1, 0.0, 5.0, 6.0)


def test_simple_weights():
    np.testing.assert_array_equal(nn.init.constant((2, 3), 1.5), np.full((2, 3), 1.5))
    x = RNG.standard_normal((2, 4, 5, 6)).astype(np.float32)
    for groups in (1, 2):
        weight = nn.init.dirac((4, 4 // groups, 3, 3), groups)
        got = striate.conv2d(x, weight, padding=1, groups=groups)
        np.testing.assert_array_equal(got, x)
    with pytest.raises(ValueError, match="dirac"):
        nn.init.dirac((4, 4))
    assert nn.init.gain("selu") == 0.75


# ---- a seed decides ----------------------------------------------------------------------


def train(seed):
    rng = np.random.default_rng(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, rng=rng),
        nn.GroupNorm(2, 6),
        nn.GELU(),
        nn.Dropout2d(0.2, rng=rng),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 16, 3, rng=rng),
    )
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.AdamW(net.parameters(), lr=0.01, amsgrad=True)
    schedule = optim.SequentialLR(
        optimizer, [optim.LinearLR(optimizer), optim.CosineAnnealingLR(optimizer, 8)], [5]
    )
    losses = []
    for _ in range(10):
        x = rng.standard_normal((16, 1, 8, 8), dtype=np.float32)
        total = loss(net(x), rng.integers(0, 3, 16))
        net.zero_grad()
        total.backward()
        losses.append((total.item(), optim.clip_grad_norm_(net.parameters(), 1.0)))
        optimizer.step()
        schedule.step()
    return losses, b"".join(p.data.tobytes() for p in net.parameters())


def test_a_training_with_a_seed_has_the_same_bits_again():
    striate.set_num_threads(2)
    first = train(1)
    striate.set_num_threads(1)
    assert train(1) == first
    assert train(2) != first
