"""Optimisers and schedules beside PyTorch's: 20 steps, every option, and every schedule's rates."""

import math

import numpy as np
import pytest
from striate import nn, optim

torch = pytest.importorskip("torch")

CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.01}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "amsgrad": True, "weight_decay": 0.01}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_twenty_steps(name, options, dtype):
    rng = np.random.default_rng(0)
    start = [rng.standard_normal((5, 4)).astype(dtype), rng.standard_normal(7).astype(dtype)]
    ours = [nn.Parameter(value) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    groups = [{"params": [0]}, {"params": [1], "lr": 0.03}]
    one = getattr(optim, name)([{**g, "params": [ours[g["params"][0]]]} for g in groups], **options)
    two = getattr(torch.optim, name)(
        [{**g, "params": [theirs[g["params"][0]]]} for g in groups], **options
    )
    for _ in range(20):
        for own, other in zip(ours, theirs, strict=True):
            gradient = rng.standard_normal(own.shape).astype(dtype)
            own.grad, other.grad = gradient, torch.tensor(gradient)
        one.step()
        two.step()
    close = 1e-6 if dtype == np.float32 else 1e-12
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own.data, other.detach(), rtol=close, atol=close)
    defaults = {k: v for k, v in one.defaults.items() if k not in options}
    assert defaults == {k: v for k, v in two.defaults.items() if k in defaults}


def schedules(lib, optimizer):
    """The same schedule in both libraries."""
    return {
        "StepLR": lambda: lib.StepLR(optimizer, 3, 0.5),
        "MultiStepLR": lambda: lib.MultiStepLR(optimizer, [2, 5, 9]),
        "ExponentialLR": lambda: lib.ExponentialLR(optimizer, 0.8),
        "LinearLR": lambda: lib.LinearLR(optimizer),
        "LinearLR, down": lambda: lib.LinearLR(optimizer, 1.0, 0.1, 8),
        "ConstantLR": lambda: lib.ConstantLR(optimizer, 0.25, 4),
        "CosineAnnealingLR": lambda: lib.CosineAnnealingLR(optimizer, 7, 0.01),
        "CosineAnnealingWarmRestarts": lambda: lib.CosineAnnealingWarmRestarts(optimizer, 3),
        "restarts that grow": lambda: lib.CosineAnnealingWarmRestarts(optimizer, 2, 2, 0.01),
        "OneCycleLR": lambda: lib.OneCycleLR(optimizer, 1.0, 16),
        "SequentialLR": lambda: lib.SequentialLR(
            optimizer,
            [
                lib.LinearLR(optimizer, 0.1, total_iters=4),
                lib.CosineAnnealingLR(optimizer, 6),
                lib.ExponentialLR(optimizer, 0.5),
            ],
            [4, 10],
        ),
        "ChainedScheduler": lambda: lib.ChainedScheduler(
            [lib.ConstantLR(optimizer, 0.1, 4), lib.ExponentialLR(optimizer, 0.9)]
        ),
    }


@pytest.mark.filterwarnings("ignore")  # of schedules that step before their optimiser
@pytest.mark.parametrize("name", schedules(None, None))
def test_the_rates_of_a_schedule(name):
    values = [np.zeros(2, np.float32), np.zeros(3, np.float32)]
    rates = {}
    for lib, optimizers, parameter in (
        (optim, optim, nn.Parameter),
        (torch.optim.lr_scheduler, torch.optim, torch.tensor),
    ):
        groups = [
            {"params": [parameter(values[0])]},
            {"params": [parameter(values[1])], "lr": 0.2},
        ]
        optimizer = optimizers.SGD(groups, lr=0.5, momentum=0.9)
        schedule = schedules(lib, optimizer)[name]()
        seen = [[group["lr"] for group in optimizer.param_groups]]
        for _ in range(15):
            optimizer.step()
            schedule.step()
            seen.append([group["lr"] for group in optimizer.param_groups])
        rates[lib] = seen
    ours, theirs = rates.values()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    (
        {"patience": 1},
        {"patience": 0, "cooldown": 2, "factor": 0.5, "min_lr": 0.05},
        {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
        {"mode": "max", "patience": 1, "threshold": 0.1},
    ),
    ids=str,
)
def test_a_plateau(options):
    metrics = [3, 2.5, 2.6, 2.7, 2.4999, 2.4, 2.4, 2.4, 2.4, 2.3, math.nan, 2.3, 2.9, 2.3, 2.3]
    ours = optim.SGD([nn.Parameter(np.zeros(2))], lr=1.0)
    theirs = torch.optim.SGD([torch.zeros(2)], lr=1.0)
    first = optim.ReduceLROnPlateau(ours, **options)
    second = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for metric in metrics:
        first.step(metric)
        second.step(metric)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)


@pytest.mark.parametrize("norm_type", (1.0, 2.0, 3.0, math.inf))
@pytest.mark.parametrize("max_norm", (0.5, 1e3))
def test_clipping(norm_type, max_norm):
    rng = np.random.default_rng(1)
    grads = [rng.standard_normal(shape) for shape in ((3, 4), (5,))]
    ours = [nn.Parameter(np.zeros(g.shape)) for g in grads] + [nn.Parameter(np.zeros(2))]
    theirs = [torch.zeros(g.shape, dtype=torch.float64) for g in grads]
    for own, other, g in zip(ours, theirs, grads, strict=False):
        own.grad, other.grad = g.copy(), torch.tensor(g)
    want = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert optim.clip_grad_norm_(ours, max_norm, norm_type) == pytest.approx(float(want))
    for own, other in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(own.grad, other.grad, rtol=1e-12)
    torch.nn.utils.clip_grad_value_(theirs, 0.1)
    optim.clip_grad_value_(ours, 0.1)
    for own, other in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(own.grad, other.grad, rtol=1e-12)
