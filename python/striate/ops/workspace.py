"""How much scratch memory a convolution's algorithm may need."""

from __future__ import annotations

from .. import _core
from .arguments import integer


def get_workspace_limit() -> int | None:
    """The bytes of scratch memory that an algorithm may need; None is no limit, as at first."""
    return _core.get_workspace_limit()


def set_workspace_limit(bytes: int | None) -> None:
    """Let convolutions take only algorithms that need at most `bytes` of scratch memory.

    Others decline; `explain` tells what each needs. The last resort, slow naive loops, needs none.
    Counted is what a call needs once, packed and transformed arrays above all; each further thread
    adds its tile, some 100 KB, which is not counted, as a choice never depends on the number of
    threads. The keyword ``workspace=`` of a call overrules this limit. None takes it away.
    """
    _core.set_workspace_limit(None if bytes is None else integer("set_workspace_limit", "bytes", bytes))
