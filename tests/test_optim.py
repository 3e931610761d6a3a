"""Optimisers and schedules against PyTorch's formulas, written out by hand in float64."""

import copy
import json
import math

import numpy as np
import pytest
from striate.nn import Parameter
from striate.optim import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    OneCycleLR,
    Optimizer,
    RMSprop,
    Scheduler,
    StepLR,
)

RNG = np.random.default_rng(0)
START = [RNG.normal(size=(3, 2)), RNG.normal(size=4)]
GRADS = [[RNG.normal(size=value.shape) for value in START] for _ in range(6)]


def parameters(dtype=np.float64):
    return [Parameter(value.astype(dtype)) for value in START]


def run(optimizer, members, grads=GRADS):
    for step in grads:
        for parameter, gradient in zip(members, step, strict=True):
            parameter.grad = gradient.astype(parameter.dtype)
        optimizer.step()
    return [parameter.data.copy() for parameter in members]


def sgd(w, grads, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    buffer = None
    for g in grads:
        g = g + weight_decay * w
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        w = w - lr * g
    return w


def adam(
    w,
    grads,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    amsgrad=False,
    decoupled=False,
):
    m, v, most = 0.0, 0.0, 0.0
    for t, g in enumerate(grads, 1):
        if decoupled:
            w = w * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        most = np.maximum(most, v)
        scale = most if amsgrad else v
        m_hat, v_hat = m / (1 - betas[0] ** t), scale / (1 - betas[1] ** t)
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


def adagrad(
    w,
    grads,
    lr=1e-2,
    lr_decay=0.0,
    weight_decay=0.0,
    initial_accumulator_value=0.0,
    eps=1e-10,
):
    v = initial_accumulator_value
    for t, g in enumerate(grads):
        g = g + weight_decay * w
        v = v + g**2
        w = w - lr / (1 + t * lr_decay) * g / (np.sqrt(v) + eps)
    return w


def rmsprop(
    w,
    grads,
    lr=1e-2,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0.0,
    momentum=0.0,
    centered=False,
):
    v, m, b = 0.0, 0.0, 0.0
    for g in grads:
        g = g + weight_decay * w
        v, m = alpha * v + (1 - alpha) * g**2, alpha * m + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - m**2 if centered else v) + eps)
        w = w - lr * b
    return w


CASES = [
    (SGD, sgd, {"lr": 0.1}),
    (SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    (SGD, sgd, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    (Adam, adam, {}),
    (Adam, adam, {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (AdamW, lambda *a, **k: adam(*a, **{"weight_decay": 1e-2, **k}, decoupled=True), {}),
    (
        AdamW,
        lambda *a, **k: adam(*a, **k, decoupled=True),
        {"lr": 0.1, "betas": (0.5, 0.6), "weight_decay": 0.3},
    ),
    (Adam, adam, {"lr": 0.1, "betas": (0.5, 0.3), "amsgrad": True}),
    (Adagrad, adagrad, {"eps": 1e-6}),
    (
        Adagrad,
        adagrad,
        {
            "lr": 0.1,
            "lr_decay": 0.2,
            "weight_decay": 0.1,
            "initial_accumulator_value": 0.5,
        },
    ),
    (RMSprop, rmsprop, {"eps": 1e-3}),
    (RMSprop, rmsprop, {"alpha": 0.7, "momentum": 0.8, "weight_decay": 0.1, "eps": 1e-2}),
    (RMSprop, rmsprop, {"alpha": 0.7, "centered": True, "eps": 1e-1}),
    (RMSprop, rmsprop, {"alpha": 0.7, "momentum": 0.8, "centered": True, "eps": 1e-1}),
]


@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=lambda v: str(v)[:60])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_follow_the_formula(kind, formula, options, dtype):
    members = parameters(dtype)
    got = run(kind(members, **options), members)
    for i, value in enumerate(got):
        want = formula(START[i], [step[i] for step in GRADS], **options)
        assert value.dtype == dtype
        assert np.allclose(value, want, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=lambda v: str(v)[:60])
def test_state_is_plain_and_continues_exactly(kind, formula, options):
    members = parameters()
    optimizer = kind(members, **options)
    run(optimizer, members, GRADS[:3])
    saved = optimizer.state_dict()
    arrays = []

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return len(arrays) - 1
        return value

    json.dumps(plain(saved))  # all that is no array fits JSON
    frozen = copy.deepcopy(saved)
    others = [Parameter(parameter.data) for parameter in members]
    other = kind(others, **{**options, "lr": 99.0})
    other.load_state_dict(saved)
    ended = run(optimizer, members, GRADS[3:])
    for a, b in zip(ended, run(other, others, GRADS[3:]), strict=True):
        assert np.array_equal(a, b)
    for state, before in zip(saved["state"], frozen["state"], strict=True):
        assert all(np.array_equal(state[key], before[key]) for key in before)


LAYOUTS = {
    "contiguous": lambda x: x.copy(),
    "channels_last": lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1),
    "reversed": lambda x: x[:, ::-1].copy()[:, ::-1],
    "spaced": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=lambda v: str(v)[:60])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_updates_of_any_size_layout_and_machine(kind, formula, options, layout, machines):
    """All tails of a vector, a size that threads share, gradients that lie unlike the parameter."""
    rng = np.random.default_rng(1)
    for shape in (*((1, 1, size) for size in (0, 1, 7, 17, 67)), (3, 5, 67), (2, 41, 1009)):
        start = rng.normal(size=shape)
        grads = [rng.normal(size=shape) for _ in range(3)]
        want = formula(start, grads, **options)
        for dtype in (np.float32, np.float64):
            bits = {}
            for machine in machines:
                parameter = Parameter(start.astype(dtype))
                optimizer = kind([parameter], **options)
                for grad in grads:
                    parameter.grad = LAYOUTS[layout](grad.astype(dtype))
                    optimizer.step()
                bits.setdefault(machine.split()[0], set()).add(parameter.data.tobytes())
                close = 2e-6 if dtype == np.float32 else 1e-13
                np.testing.assert_allclose(
                    parameter.data, want, rtol=close, atol=close, err_msg=f"{shape} {machine}"
                )
            assert all(len(seen) == 1 for seen in bits.values())


@pytest.mark.parametrize("kind", [lambda p: SGD(p, lr=1.0), lambda p: Adam(p)])
def test_an_infinite_parameter_without_weight_decay_is_not_made_nan(kind):
    parameter = Parameter(np.full(19, np.inf, np.float32))
    parameter.grad = np.ones(19, np.float32)
    kind([parameter]).step()
    assert (parameter.data == np.inf).all()


@pytest.mark.parametrize("kind", [lambda p: SGD(p, lr=1.0, momentum=0.5), lambda p: Adam(p)])
def test_a_gradient_that_does_not_fit_changes_nothing(kind):
    parameter = Parameter(np.zeros((2, 3), np.float32))
    optimizer = kind([parameter])
    parameter.grad = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"_update: grad must be float32 of shape \(2, 3\)"):
        optimizer.step()
    assert not parameter.data.any()
    parameter.grad = np.ones((2, 3), np.float32)
    optimizer.step()
    assert (parameter.data == parameter.data[0, 0]).all() and parameter.data[0, 0] < 0


def test_a_parameter_that_changes_its_dtype_keeps_its_state():
    members = parameters()
    optimizer = Adam(members, lr=0.1)
    run(optimizer, members, GRADS[:3])
    for parameter in members:
        parameter._replace(parameter.data.astype(np.float32))
    got = run(optimizer, members, GRADS[3:])
    for i, value in enumerate(got):
        assert value.dtype == optimizer.state[i]["exp_avg"].dtype == np.float32
        want = adam(START[i], [step[i] for step in GRADS], lr=0.1)
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)


def test_updates_are_in_place_counted_and_leave_gradients_alone():
    members = parameters()
    optimizer = SGD(members, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    data, version = members[0].data, members[0].version
    run(optimizer, members)
    assert members[0].data is data and members[0].version == version + len(GRADS)
    assert np.array_equal(members[0].grad, GRADS[-1][0])
    optimizer.zero_grad()
    assert members[0].grad is None


def test_a_parameter_without_gradient_stays():
    members = parameters()
    optimizer = AdamW(members, lr=0.1)
    members[0].grad = np.ones_like(START[0])
    optimizer.step()
    assert np.array_equal(members[1].data, START[1]) and members[1].version == 1
    assert not optimizer.state[1]


def test_groups_have_their_own_options():
    first, second = parameters()
    optimizer = SGD([{"params": first}, {"params": [second], "lr": 0.0}], lr=0.1)
    got = run(optimizer, [first, second], GRADS[:1])
    assert np.allclose(got[0], START[0] - 0.1 * GRADS[0][0])
    assert np.array_equal(got[1], START[1])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: SGD([], 0.1), ValueError, "there are no parameters"),
        (lambda p: SGD([np.zeros(1)], 0.1), TypeError, "SGD: ndarray is not a Parameter"),
        (lambda p: SGD([p, p], 0.1), ValueError, "a parameter was given twice"),
        (lambda p: SGD([p], -1.0), ValueError, "lr must not be negative, got -1.0"),
        (lambda p: SGD([p], math.nan), ValueError, "lr must not be negative, got nan"),
        (lambda p: SGD([p], 0.1, momentum=-1), ValueError, "momentum must not be negative"),
        (lambda p: SGD([p], 0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda p: SGD([{"params": [p], "lr": -1.0}], 0.1), ValueError, "lr must not be negative"),
        (lambda p: SGD([{"params": [p], "betas": 1}], 0.1), ValueError, r"unknown options \['be"),
        (lambda p: Adam([p], betas=(0.9, 1.0)), ValueError, r"betas must be two numbers in \[0, 1"),
        (lambda p: Adam([p], eps=-1), ValueError, "Adam: eps must not be negative"),
        (lambda p: SGD([p], "a"), TypeError, "SGD: lr must be a number, got 'a'"),
        (lambda p: SGD([p], None), TypeError, "SGD: lr must be a number, got None"),
        (lambda p: SGD([p], 0.1, momentum="a"), TypeError, "momentum must be a number"),
        (lambda p: SGD([p], 0.1, dampening=[1]), TypeError, "dampening must be a number"),
        (lambda p: Adam([p], betas=0.9), TypeError, "Adam: betas must be two numbers"),
        (lambda p: Adam([p], betas=("a", 0.9)), TypeError, "Adam: betas must be two numbers"),
        (lambda p: OneCycleLR(SGD([p], 0.1), 1.0, 9, div_factor=0), ValueError, "div_factor"),
        (
            lambda p: OneCycleLR(SGD([p], 0.1), 1.0, 9, final_div_factor=-1),
            ValueError,
            "final_div_factor must be positive",
        ),
        (lambda p: StepLR(SGD([p], 0.1), 0), ValueError, "step_size must be positive"),
        (lambda p: OneCycleLR(SGD([p], 0.1), 1.0, 0), ValueError, "total_steps must be positive"),
        (lambda p: Optimizer([p], {}).step(), NotImplementedError, r"defines no _update"),
        (lambda p: Scheduler(SGD([p], 0.1)).step(), NotImplementedError, r"defines no _apply"),
    ],
)
def test_bad_options(make, error, message):
    parameter = Parameter(np.zeros(1))
    parameter.grad = np.zeros(1)
    with pytest.raises(error, match=message):
        make(parameter)


def test_a_state_that_does_not_fit_is_refused():
    members = parameters()
    optimizer = SGD(members, lr=0.1, momentum=0.9)
    run(optimizer, members)
    saved = optimizer.state_dict()
    with pytest.raises(ValueError, match="has 2 parameters in 1 groups, there are 1 in 1"):
        SGD(members[:1], lr=0.1).load_state_dict(saved)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 has shape \(3, 2\)"):
        SGD(members[::-1], lr=0.1).load_state_dict(saved)
    with pytest.raises(ValueError, match="saved group 0 has options"):
        Adam(members, lr=0.1).load_state_dict({**saved, "state": [{}, {}]})


@pytest.mark.parametrize(
    ("kind", "options", "slots", "message"),
    [
        (SGD, {"lr": "x"}, {}, "saved group 0 is impossible: SGD: lr must be a number, got 'x'"),
        (SGD, {"lr": -1.0}, {}, "lr must not be negative"),
        (AdamW, {"betas": [0.9, 1.5]}, {}, "betas must be two numbers"),
        (AdamW, {"betas": 3}, {}, "betas must be two numbers"),
        (SGD, {}, {"velocity": np.zeros((3, 2))}, "parameter 0 has .*'velocity'"),
        (SGD, {}, {"momentum_buffer": 3.0}, "momentum_buffer must be an array"),
        (SGD, {}, {"momentum_buffer": np.zeros((3, 2), complex)}, "has dtype complex128"),
        (AdamW, {}, {"velocity": 1}, "parameter 0 has .*'velocity'"),
        (AdamW, {}, {"step": -1}, "step must be a count"),
        (AdamW, {}, {"step": "x"}, "step must be a count"),
    ],
)
def test_a_state_with_impossible_values_is_refused_and_changes_nothing(
    kind, options, slots, message
):
    members = parameters()
    optimizer = kind(members, lr=0.1, **({"momentum": 0.9} if kind is SGD else {}))
    run(optimizer, members)
    saved = optimizer.state_dict()
    saved["param_groups"][0].update(options)
    saved["state"][0].update(slots)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_a_state_that_lacks_slots_is_refused():
    members = parameters()
    optimizer = Adam(members)
    run(optimizer, members)
    saved = optimizer.state_dict()
    del saved["state"][1]["exp_avg"]
    with pytest.raises(ValueError, match=r"parameter 1 has \['exp_avg_sq', 'step'\]"):
        optimizer.load_state_dict(saved)


# ---- schedules -----------------------------------------------------------------------------------


def test_step_lr():
    first, second = parameters()
    optimizer = SGD([{"params": [first]}, {"params": [second], "lr": 1.0}], lr=0.5)
    schedule = StepLR(optimizer, 3, gamma=0.1)
    seen = []
    for _ in range(7):
        seen.append(schedule.get_last_lr())
        schedule.step()
    want = [[0.5 * 0.1 ** (i // 3), 0.1 ** (i // 3)] for i in range(7)]
    assert np.allclose(seen, want)


def cosine(start, end, done):
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


@pytest.mark.parametrize("total", [1, 2, 10, 57])
@pytest.mark.parametrize("pct", [0.0, 0.25, 0.3, 1.0])
def test_one_cycle(total, pct):
    """The phases as in torch.optim.lr_scheduler: they end at pct * total - 1 and total - 1."""
    optimizer = SGD(parameters(), lr=99.0, momentum=0.5)
    schedule = OneCycleLR(optimizer, max_lr=2.0, total_steps=total, pct_start=pct)
    peak, last = pct * total - 1, total - 1
    for call in range(total):
        if call < peak:
            lr, momentum = cosine(0.08, 2.0, call / peak), cosine(0.95, 0.85, call / peak)
        elif call == peak:
            lr, momentum = 2.0, 0.85
        else:
            done = (call - peak) / (last - peak)
            lr, momentum = cosine(2.0, 8e-6, done), cosine(0.85, 0.95, done)
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(lr, rel=1e-12)
        assert group["momentum"] == pytest.approx(momentum, rel=1e-12)
        schedule.step()
    if pct < 1.0:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(8e-6)
    with pytest.raises(ValueError, match=f"beyond the {total} total_steps"):
        schedule.step()


def test_one_cycle_moves_the_first_beta_and_spares_plain_sgd():
    adamw = AdamW(parameters(), betas=(0.9, 0.99))
    OneCycleLR(adamw, 1.0, 10)
    assert adamw.param_groups[0]["betas"] == (pytest.approx(0.95), 0.99)
    plain = SGD(parameters(), 0.1)
    OneCycleLR(plain, 1.0, 10)
    assert plain.param_groups[0]["momentum"] == 0.0
    fixed = SGD(parameters(), 0.1, momentum=0.5)
    OneCycleLR(fixed, 1.0, 10, cycle_momentum=False)
    assert fixed.param_groups[0]["momentum"] == 0.5


def test_schedules_continue_from_their_state():
    optimizers = [SGD(parameters(), lr=1.0, momentum=0.9) for _ in range(2)]
    first, second = (OneCycleLR(optimizer, 1.0, 9) for optimizer in optimizers)
    for _ in range(4):
        first.step()
    saved = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(saved)
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    first.step(), second.step()
    assert second.get_last_lr() == first.get_last_lr() and second.last_epoch == 5
    with pytest.raises(ValueError, match="OneCycleLR: the saved state has"):
        second.load_state_dict({"last_epoch": 1})
