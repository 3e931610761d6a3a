"""Why a convolution runs the way it does."""

from __future__ import annotations

from typing import Any, Literal

from .. import _core
from .arguments import memory_format_of, sizes
from .conv import form_of


def explain(
    input_shape: Any,
    weight_shape: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    direction: Literal["forward", "input_grad", "weight_grad"] = "forward",
    dtype: Literal["float32", "float64"] = "float32",
    exact: bool = False,
    memory_format: Literal["contiguous", "channels_last"] | None = None,
) -> dict[str, Any]:
    """The algorithm that a convolution would take, its candidates, and why the others declined.

    Parameters
    ----------
    input_shape, weight_shape : tuple of int
        (N, C, spatial...) and (O, C / groups, kernel...), with one to three spatial axes.
    stride, padding, dilation, groups, exact, memory_format
        As for `conv2d`.
    direction : {"forward", "input_grad", "weight_grad"}
    dtype : {"float32", "float64"}

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        As the convolution itself would.
    """
    op = "explain"
    input_shape = sizes(op, "input_shape", input_shape)
    weight_shape = sizes(op, "weight_shape", weight_shape)
    rank = len(input_shape) - 2
    if not 1 <= rank <= 3:
        raise ValueError(f"{op}: input_shape must have 1 to 3 spatial axes, got {input_shape}")
    if direction not in ("forward", "input_grad", "weight_grad"):
        raise ValueError(
            f"{op}: direction must be 'forward', 'input_grad' or 'weight_grad', got {direction!r}"
        )
    if dtype not in ("float32", "float64"):
        raise ValueError(f"{op}: dtype must be 'float32' or 'float64', got {dtype!r}")
    form = form_of(op, rank, input_shape, weight_shape, stride, padding, dilation, groups, exact)
    memory_format = memory_format_of(op, memory_format)
    return _core.explain_conv(
        f"conv{rank}d", direction, input_shape, weight_shape, dtype, *form, memory_format
    )
