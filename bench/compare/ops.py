"""The operations beside convolution, pooling and batch norm, beside PyTorch.

Every op runs forward, and forward with the gradients of all its inputs, on a float32 array in both
memory formats where it has them. Sides take turns; results are compared first. The ratio is of
PyTorch's faster format to striate's in the format of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import ours, peers
from .checking import difference
from .timing import compare

SECONDS = 0.4  # an op, direction and format
TOLERANCE = 2e-4  # of float32 results, of the largest value
IMAGES = (16, 64, 56, 56)
SMALL = (256, 3, 32, 32)

Run = Callable[..., Any]


class Op(NamedTuple):
    """`ours` and `theirs` map inputs of the `shapes`, first the image, to a result."""

    name: str
    ours: Run
    theirs: Run
    shapes: tuple[tuple[int, ...], ...] = (IMAGES,)
    formats: bool = True  # has two memory formats


def report(threads: int, names: list[str] | None) -> str:
    peers.load("pytorch").prepare(threads)
    ours.prepare(threads)
    lines = [
        "| op | inputs | format | forward, ms | PyTorch | ratio "
        "| with gradient, ms | PyTorch | ratio |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for op in ops():
        if names and not op.name.startswith(tuple(names)):
            continue
        for row in rows(op):
            lines.append(row)
    if len(lines) == 2:
        raise ValueError(f"no op begins with {', '.join(names or [])}")
    return "\n".join(lines)


def rows(op: Op) -> Iterator[str]:
    """A line of the table for each memory format."""
    formats = ("nchw", "nhwc") if op.formats else ("nchw",)
    cells: dict[str, list[str]] = {layout: [] for layout in formats}
    for back in (False, True):
        calls = {}
        for layout in formats:
            of = [
                _in_format(array, layout if i == 0 else "nchw")
                for i, array in enumerate(_drawn(op.shapes))
            ]
            calls[f"striate {layout}"] = _our_call(op, of, back, layout)
            calls[f"pytorch {layout}"] = _their_call(op, of, back, layout)
        answers = {name: np.asarray(call()) for name, call in calls.items()}
        for layout in formats:
            error = difference(answers[f"striate {layout}"], answers["pytorch nchw"])
            if error > TOLERANCE:
                raise ValueError(f"{op.name}, {layout}: the results differ by {error:.1g}")
        times = compare(calls, SECONDS * len(calls), False)
        theirs = min(times[f"pytorch {layout}"].best for layout in formats)
        for layout in formats:
            best = times[f"striate {layout}"].best
            cells[layout] += [f"{best * 1e3:.3f}", f"{theirs * 1e3:.3f}", f"{theirs / best:.2f}"]
    inputs = ", ".join("x".join(map(str, shape)) for shape in op.shapes)
    for layout in formats:
        yield f"| {op.name} | {inputs} | {layout} | " + " | ".join(cells[layout]) + " |"


def _drawn(shapes: tuple[tuple[int, ...], ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def _in_format(array: np.ndarray, layout: str) -> np.ndarray:
    if layout == "nchw":
        return array
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def _direction(shape: tuple[int, ...], layout: str) -> np.ndarray:
    """Another one than the input, along which a norm has no slope."""
    return _in_format(_drawn((shape,), 1)[0], layout)


def _our_call(op: Op, of: list[np.ndarray], back: bool, layout: str) -> Callable[[], Any]:
    from striate import Tensor, grad

    if not back:
        return lambda: op.ours(*of)
    inputs = [Tensor(array, requires_grad=True) for array in of]
    direction = _direction(op.ours(*of).shape, layout)

    def call() -> Any:
        result = op.ours(*inputs)
        return grad(result, inputs, direction)[0].data

    return call


def _their_call(op: Op, of: list[np.ndarray], back: bool, layout: str) -> Callable[[], Any]:
    import torch

    inputs = [torch.from_numpy(array) for array in of]
    if not back:
        return lambda: op.theirs(*inputs)
    for tensor in inputs:
        tensor.requires_grad_()
    direction = torch.from_numpy(_direction(tuple(op.theirs(*inputs).shape), layout))

    def call() -> Any:
        with torch.enable_grad():
            result = op.theirs(*inputs)
        return torch.autograd.grad(result, inputs, direction)[0]

    return call


def ops() -> list[Op]:
    """What is compared: one row of PyTorch's function for each of striate's."""
    import striate
    import torch.nn.functional as F

    def same(name: str, *form: Any, **options: Any) -> tuple[Run, Run]:
        """A function with one name and one form of arguments on both sides."""
        left, right = getattr(striate, name), getattr(F, name)
        return (lambda x: left(x, *form, **options)), (lambda x: right(x, *form, **options))

    listed = [
        Op(name, *same(name))
        for name in ("elu", "silu", "gelu", "mish", "softplus", "hardswish", "relu6")
    ]
    listed += [
        Op("gelu by tanh", *same("gelu", approximate="tanh")),
        Op("prelu", striate.prelu, F.prelu, (IMAGES, (64,))),
        Op("group_norm, 8 groups", *same("group_norm", 8)),
        Op("instance_norm", *same("instance_norm")),
        Op(
            "layer_norm",
            lambda x, w, b: striate.layer_norm(x, (768,), w, b),
            lambda x, w, b: F.layer_norm(x, (768,), w, b),
            ((4096, 768), (768,), (768,)),
            False,
        ),
        Op("local_response_norm, 5", *same("local_response_norm", 5)),
        Op("lp_pool2d, 2", *same("lp_pool2d", 2, 2)),
        Op("adaptive_avg_pool2d, 7", *same("adaptive_avg_pool2d", 7)),
        Op("adaptive_avg_pool2d, 6", *same("adaptive_avg_pool2d", 6)),
        Op("adaptive_max_pool2d, 6", *same("adaptive_max_pool2d", 6)),
        Op(
            "pad, reflect",
            lambda x: striate.pad(x, ((1, 1), (1, 1)), mode="reflect"),
            lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
        ),
        Op(
            "pad, circular",
            lambda x: striate.pad(x, ((1, 1), (1, 1)), mode="circular"),
            lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
        ),
        Op("pixel_shuffle, 2", *same("pixel_shuffle", 2)),
        Op("pixel_unshuffle, 2", *same("pixel_unshuffle", 2)),
        Op("unfold, 3", *same("unfold", 3), ((4, 64, 56, 56),), False),
        Op(
            "fold, 3",
            lambda x: striate.fold(x, (56, 56), 3),
            lambda x: F.fold(x, (56, 56), 3),
            ((4, 576, 54 * 54),),
            False,
        ),
    ]
    resized = ((4, 64, 56, 56),)
    for mode, options in (
        ("nearest", {}),
        ("bilinear", {"align_corners": False}),
        ("bilinear", {"antialias": True}),
        ("bicubic", {"align_corners": False}),
        ("area", {}),
    ):
        title = f"interpolate to 112, {mode}" + (" antialias" if "antialias" in options else "")
        listed.append(Op(title, *same("interpolate", (112, 112), mode=mode, **options), resized))
    listed.append(
        Op(
            "grid_sample, bilinear",
            lambda x, g: striate.grid_sample(x, g * 0.5, align_corners=False),
            lambda x, g: F.grid_sample(x, g * 0.5, align_corners=False),
            ((4, 64, 56, 56), (4, 56, 56, 2)),
        )
    )
    listed.append(Op("warp_affine", *_warps(), (SMALL,)))
    return listed


def _warps() -> tuple[Run, Run]:
    """256 small images, each turned and shifted by a map of its own: an augmentation."""
    import striate
    import torch
    import torch.nn.functional as F

    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, SMALL[0])
    theta = np.zeros((SMALL[0], 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(angle)
    theta[:, 0, 1] = np.sin(angle)
    theta[:, 1, 0] = -theta[:, 0, 1]
    theta[:, :, 2] = rng.uniform(-0.3, 0.3, (SMALL[0], 2))
    theta_ = torch.from_numpy(theta)
    # PyTorch's maps are of images from -1 to 1, striate's of pixels.
    middle = (SMALL[-1] - 1) / 2
    pixels = theta.copy()
    pixels[:, :, 2] = theta[:, :, 2] * (SMALL[-1] / 2) + middle - middle * theta[:, :, :2].sum(2)
    return (
        lambda x: striate.warp_affine(x, pixels),
        lambda x: F.grid_sample(x, F.affine_grid(theta_, SMALL, False), align_corners=False),
    )
