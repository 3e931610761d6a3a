"""The cost of a small call, and a training step of LeNet-5 at batch 64, beside PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import peers
from .timing import Timing, compare

SECONDS = 2.0


def report(threads: int) -> str:
    torch_side = peers.load("pytorch")
    from . import ours

    torch_side.prepare(threads)
    ours.prepare(threads)
    lines = []
    for title, unit, factor, calls in (
        ("conv2d 1x8x8x8, 8 -> 8, 3x3, padding 1", "us", 1e6, small_calls()),
        ("LeNet-5 training step, batch 64", "ms", 1e3, lenet_steps()),
    ):
        times: dict[str, Timing] = compare(calls, SECONDS, False)
        shown = ", ".join(
            f"{name} {t.best * factor:.2f} {unit} (median {t.median * factor:.2f})"
            for name, t in times.items()
        )
        ratio = times["pytorch"].best / times["striate"].best
        lines.append(f"{title}: {shown}; ratio {ratio:.2f}")
    return "\n".join(lines)


def small_calls() -> dict[str, Any]:
    import striate
    import torch

    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 8, 8, 8), np.float32)
    w = rng.standard_normal((8, 8, 3, 3), np.float32)
    x_torch, w_torch = torch.from_numpy(x), torch.from_numpy(w)
    run = torch.nn.functional.conv2d

    def on_torch() -> Any:
        return run(x_torch, w_torch, None, 1, 1)

    return {"striate": lambda: striate.conv2d(x, w, None, 1, 1), "pytorch": on_torch}


def _lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and max pooling; `striate.nn` and `torch.nn` have the same names."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def lenet_steps() -> dict[str, Any]:
    """Forward, loss, backward and SGD with momentum, on the same 64 images and first weights."""
    import torch
    from striate import Tensor, nn, ops, optim

    rng = np.random.default_rng(0)
    images = rng.standard_normal((64, 1, 32, 32), np.float32)
    labels = rng.integers(0, 10, 64)
    theirs = _lenet(torch.nn)
    ours = _lenet(nn)
    ours.load_state_dict({n: p.detach().numpy() for n, p in theirs.state_dict().items()})
    form = {"lr": 0.01, "momentum": 0.9}
    our_optimizer = optim.SGD(ours.parameters(), **form)
    their_optimizer = torch.optim.SGD(theirs.parameters(), **form)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    x_ours = Tensor(images)

    def our_step() -> Any:
        loss = ops.cross_entropy(ours(x_ours), labels)
        our_optimizer.zero_grad()
        loss.backward()
        our_optimizer.step()
        return float(loss.data)

    def their_step() -> Any:
        with torch.enable_grad():
            loss = torch.nn.functional.cross_entropy(theirs(x), y)
            their_optimizer.zero_grad()
            loss.backward()
            their_optimizer.step()
        return loss.item()

    first = our_step(), their_step()
    second = our_step(), their_step()
    for pair in (first, second):  # the same step, or the times mean nothing
        if abs(pair[0] - pair[1]) > 1e-4 * abs(pair[1]):
            raise ValueError(f"the losses of the two networks differ: {pair}")
    return {"striate": our_step, "pytorch": their_step}
