"""Options of optimisers, clipping and schedules: changed between steps, loaded, or impossible."""

import copy
import math

import numpy as np
import pytest
from striate import nn, optim
from striate.nn import Parameter


def stepped(kind, **options):
    parameter = Parameter(np.arange(5.0))
    optimizer = kind([parameter], **options)
    step(optimizer)
    return optimizer


def step(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = np.ones(parameter.shape)
    optimizer.step()


CHANGES = [
    (optim.SGD, "momentum", 0.9, 0.0),
    (optim.RMSprop, "momentum", 0.9, 0.0),
    (optim.RMSprop, "centered", True, False),
    (optim.Adam, "amsgrad", True, False),
]


@pytest.mark.parametrize(("kind", "option", "on", "off"), CHANGES)
@pytest.mark.parametrize("switched_on", [False, True])
def test_an_optimiser_loads_its_state_after_an_option_changed(kind, option, on, off, switched_on):
    first, then = (off, on) if switched_on else (on, off)
    optimizer = stepped(kind, **{option: first})
    optimizer.param_groups[0][option] = then
    saved = optimizer.state_dict()
    other = kind([Parameter(optimizer.param_groups[0]["params"][0].data)])
    other.load_state_dict(saved)
    optimizer.load_state_dict(saved)
    step(optimizer)
    step(other)
    np.testing.assert_array_equal(
        *(each.param_groups[0]["params"][0].data for each in (optimizer, other))
    )
    assert np.isfinite(other.param_groups[0]["params"][0].data).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([{"lr": 1}]), ValueError, 'SGD: a group must have "params"'),
        (lambda p: optim.SGD([{"params": [p]}, p]), TypeError, "SGD: a group must be a dict"),
        (lambda p: optim.SGD(nn.Linear(2, 2)), TypeError, "iterable of Parameter.*got Linear"),
        (lambda p: optim.SGD(p), TypeError, "iterable of Parameter.*got Parameter"),
        (lambda p: optim.SGD([{"params": nn.Linear(2, 2)}]), TypeError, "of a group.*got Linear"),
        (lambda p: optim.SGD([p], dampening=math.nan), ValueError, "dampening must not be nan"),
        (lambda p: optim.RMSprop([p], alpha=2.0), ValueError, r"alpha must be in \[0, 1\], got 2"),
        (
            lambda p: optim.SGD([p]).load_state_dict({}),
            ValueError,
            "SGD: the saved state has no param_groups and no state",
        ),
    ],
)
def test_impossible_parameters_and_options(make, error, message):
    with pytest.raises(error, match=message):
        make(Parameter(np.zeros(1)))


SCHEDULES = {
    "StepLR": lambda o: optim.StepLR(o, 2),
    "MultiStepLR": lambda o: optim.MultiStepLR(o, [1, 3]),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, 0.1, 10),
    "SequentialLR": lambda o: optim.SequentialLR(
        o, [optim.ConstantLR(o, 0.5, 9), optim.StepLR(o, 1)], [2]
    ),
    "ChainedScheduler": lambda o: optim.ChainedScheduler(
        [optim.ConstantLR(o, 0.5, 9), optim.StepLR(o, 1)]
    ),
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_go_on_after_add_param_group(make):
    """The new group has the rates that a group of its first rate has had from the start."""
    optimizers = [optim.SGD([Parameter(np.zeros(1))], lr=1.0) for _ in range(2)]
    optimizers[1].add_param_group({"params": [Parameter(np.zeros(1))], "lr": 3.0})
    late, early = (make(optimizer) for optimizer in optimizers)
    late.step(), early.step()
    optimizers[0].add_param_group({"params": [Parameter(np.zeros(1))], "lr": 3.0})
    for _ in range(3):
        late.step(), early.step()
        assert late.get_last_lr() == early.get_last_lr()


def test_plateau_goes_on_after_add_param_group():
    optimizer = optim.SGD([Parameter(np.zeros(1))], lr=1.0)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, min_lr=np.float32(0.25))
    optimizer.add_param_group({"params": [Parameter(np.zeros(1))], "lr": 4.0})
    for _ in range(2):
        schedule.step(1.0)
    assert schedule.get_last_lr() == [0.25, 0.4]
    unlike = optim.ReduceLROnPlateau(optimizer, min_lr=[0.1, 0.2])
    optimizer.add_param_group({"params": [Parameter(np.zeros(1))]})
    with pytest.raises(ValueError, match="ReduceLROnPlateau: 2 min_lr for 3 parameter groups"):
        unlike.step(1.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.StepLR([], 3), TypeError, "optimizer must be an Optimizer, got list"),
        (lambda o: optim.StepLR(o, "3"), TypeError, "StepLR: step_size must be an int, got '3'"),
        (lambda o: optim.OneCycleLR(o, [0.1], 10), TypeError, "max_lr must be a number"),
        (lambda o: optim.OneCycleLR(o, -0.1, 10), ValueError, "max_lr must be finite and not neg"),
        (lambda o: optim.ExponentialLR(o, math.nan), ValueError, "gamma must be finite.*nan"),
        (lambda o: optim.ExponentialLR(o, -1.0), ValueError, "gamma must be finite.*-1.0"),
        (lambda o: optim.MultiStepLR(o, [1.7]), TypeError, "each milestone must be an int"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr="a"), TypeError, "min_lr must be a number"),
    ],
)
def test_impossible_options_of_schedules(make, error, message):
    with pytest.raises(error, match=message):
        make(optim.SGD([Parameter(np.zeros(1))], lr=0.1))


@pytest.mark.parametrize(
    ("make", "bad", "message"),
    [
        (SCHEDULES["MultiStepLR"], {"milestones": [1]}, "milestones must be a list of 2"),
        (SCHEDULES["StepLR"], {"base_lrs": ["a"]}, "base_lrs must be a number, got 'a'"),
        (SCHEDULES["StepLR"], {"last_epoch": -1}, "last_epoch must be an int that is not neg"),
        (SCHEDULES["OneCycleLR"], {"cycle_momentum": 1}, "cycle_momentum must be True or False"),
        (optim.ReduceLROnPlateau, {"mode": 3}, "mode must be a word, got 3"),
    ],
)
def test_a_bad_schedule_state_is_refused_and_changes_nothing(make, bad, message):
    schedule = make(optim.SGD([Parameter(np.zeros(1))], lr=0.1))
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict({**before, **bad})
    assert schedule.state_dict() == before


@pytest.mark.parametrize("make", [*SCHEDULES.values(), optim.ReduceLROnPlateau])
def test_schedules_share_no_list_with_their_saved_state(make):
    schedule, other = (make(optim.SGD([Parameter(np.zeros(1))], lr=0.1)) for _ in range(2))
    saved = schedule.state_dict()
    before = copy.deepcopy(saved)
    other.load_state_dict(saved)
    for value in saved.values():
        if isinstance(value, list):
            value.clear()
    assert schedule.state_dict() == other.state_dict() == before


def test_zero_calls_and_zero_rates_are_as_documented():
    optimizer = optim.SGD([Parameter(np.zeros(1))], lr=0.5)
    assert optim.ConstantLR(optimizer, total_iters=0).get_last_lr() == [0.5]
    still = optim.CosineAnnealingLR(optim.SGD([Parameter(np.zeros(1))], lr=0.0), 4, 0.1)
    still.step()
    assert still.get_last_lr() == [0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: optim.clip_grad_norm_(nn.Linear(2, 2), 1.0), "iterable of Param.*got Linear"),
        (lambda p: optim.clip_grad_norm_([p], "1"), "clip_grad_norm_: max_norm must be a number"),
        (lambda p: optim.clip_grad_norm_([p, 3], 1.0), "clip_grad_norm_: int is not a Parameter"),
        (lambda p: optim.clip_grad_value_([p], "1"), "clip_value must be a number, got '1'"),
        (lambda p: optim.get_ema_avg_fn("a"), "get_ema_avg_fn: decay must be a number"),
    ],
)
def test_impossible_arguments_of_clipping_and_averages(call, message):
    with pytest.raises(TypeError, match=message):
        call(Parameter(np.zeros(2)))
