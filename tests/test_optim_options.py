"""Options of optimisers, clipping and schedules: changed between steps, loaded, or impossible."""

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
