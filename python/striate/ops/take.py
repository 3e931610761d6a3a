"""Elements of every spatial axis taken by a table of positions, and the adjoint of that.

``y[n, c, i, j] = x[n, c, table_h[i], table_w[j]]``, and 0 where a table says -1. Pads that mirror
and the windows of adaptive pools are tables. Each of the two primitives is the gradient of the
other, to any order.
"""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import primitive
from .arguments import format_of


@primitive(extra=("format",))
def take(op: str, input: Any, tables: list[list[int]], memory_format: Any, out: Any) -> Any:
    return _core.take(op, input, tables, memory_format, out), format_of(input)


@primitive
def spread(op: str, shape: Any, input: Any, tables: list[list[int]], memory_format: Any) -> Any:
    return _core.spread(op, shape, input, tables, memory_format)


@take.vjp("input")
def _(grad: Any, op: str, input_shape: Any, tables: Any, format: Any) -> Any:
    return spread(op, input_shape, grad, tables, format)


spread.vjp("input")(lambda grad, op, tables: take(op, grad, tables, None, None)[0])
