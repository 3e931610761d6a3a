"""What all losses share: their reduction, pairs of one shape, and the weighted sum of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .arguments import operand, real, same_dtype


def is_called(reduction: Any, name: str) -> bool:
    """Whether `reduction` is `name`; False for arrays, which would be compared by element."""
    return isinstance(reduction, str) and reduction == name


def reduced(op: str, losses: Any, reduction: str) -> Any:
    """The losses themselves, their sum or their mean."""
    if is_called(reduction, "none"):
        return losses
    if is_called(reduction, "sum"):
        return losses.sum()
    if is_called(reduction, "mean"):
        return losses.mean()
    raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def pair(op: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Two operands of one shape and dtype."""
    input, target = operand(op, "input", input), operand(op, "target", target)
    same_dtype(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"{op}: input and target must have one shape, got {input.shape}, {target.shape}"
        )
    return input, target


def multi_task_loss(losses: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> Any:
    """The weighted sum of named losses: of a network with several heads, trained on all at once.

    ``sum_i weights[i] * losses[i]``, as of a class and the 8 coordinates of a box's 4 corners.

    Parameters
    ----------
    losses : mapping of str to Tensor of shape () or number
    weights : mapping of str to float, optional
        Tasks that it does not name have weight 1.

    Returns
    -------
    scalar Tensor, or a number where no loss is a Tensor

    Raises
    ------
    TypeError
        A weight that is no number.
    ValueError
        No losses; a loss that is no scalar; weights of tasks that there are not.

    References
    ----------
    Lecture 004 (class loss plus L2 loss on box coordinates).
    """
    op = "multi_task_loss"
    weights = {} if weights is None else weights
    unknown = sorted(set(weights) - set(losses))
    if not losses or unknown:
        raise ValueError(f"{op}: weights name {unknown}, losses are {sorted(losses)}")
    total: Any = None
    for name, loss in losses.items():
        if getattr(loss, "shape", ()) != ():
            raise ValueError(f"{op}: loss {name!r} must be a scalar, has shape {loss.shape}")
        part = loss * real(op, f"weight of {name!r}", weights.get(name, 1.0))
        total = part if total is None else total + part
    return total
