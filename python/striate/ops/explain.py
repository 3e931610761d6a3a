"""Why a convolution runs the way it does."""

from __future__ import annotations

from typing import Any, Literal

from .. import _core
from .arguments import memory_format_of, sizes
from .conv import form_of

_Direction = Literal["forward", "input_grad", "weight_grad"]
_DIRECTIONS: dict[str, _Direction] = {
    "": "forward",
    "_input_grad": "input_grad",
    "_weight_grad": "weight_grad",
}
_OPS = {f"conv{rank}d{end}": (rank, way) for rank in (1, 2, 3) for end, way in _DIRECTIONS.items()}


def explain(
    op: str,
    input_shape: Any,
    weight_shape: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    dtype: Literal["float32", "float64"] = "float32",
    exact: bool = False,
    workspace: int | None = None,
    memory_format: Literal["contiguous", "channels_last"] | None = None,
    measure: bool = False,
) -> dict[str, Any]:
    """The algorithm that a convolution would take, its candidates, and why the others declined.

    Parameters
    ----------
    op : str
        "conv2d", "conv2d_input_grad", "conv2d_weight_grad", or the same in 1 or 3 dimensions.
    input_shape, weight_shape : tuple of int
        (N, C, spatial...) and (O, C / groups, kernel...), with one to three spatial axes.
    stride, padding, dilation, groups, exact, workspace
        As for `conv2d`.
    dtype : {"float32", "float64"}
    memory_format : {None, "contiguous", "channels_last"}
        Of all images; None is contiguous.
    measure : bool
        Run every candidate on made-up data, with as many threads as `get_num_threads` says (the
        naive reference only up to ten million multiply-adds).

    Returns
    -------
    dict
        ``chosen``, the name of the algorithm; ``candidates``, for each its ``name``, the reason
        why it was ``declined`` (None: it applies), the seconds ``predicted`` for one core, the
        seconds ``measured`` (None: not), the bytes of ``workspace`` it needs, the bytes ``packed``
        that the weight takes where it stays packed between calls, as a parameter's does (None: not
        measured), and the seconds ``measured_packed`` of a call then; ``output_shape``;
        ``multiply_adds``; ``isa``. The candidate with the least prediction is chosen; those without
        one stand behind all others. Predictions use fixed speeds of a core of the instruction set,
        so a choice never depends on the machine's mood, nor on the number of threads.

    Raises
    ------
    ValueError
        As the convolution itself would.
    """
    if op not in _OPS:
        raise ValueError(f"explain: op must be one of {', '.join(_OPS)}, got {op!r}")
    rank, direction = _OPS[op]
    input_shape = sizes(op, "input_shape", input_shape)
    weight_shape = sizes(op, "weight_shape", weight_shape)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"{op}: dtype must be 'float32' or 'float64', got {dtype!r}")
    form = form_of(
        op, rank, input_shape, weight_shape, stride, padding, dilation, groups, exact, workspace
    )
    memory_format = memory_format_of(op, memory_format)
    return _core.explain_conv(
        op, rank, direction, input_shape, weight_shape, dtype, *form, memory_format, bool(measure)
    )
