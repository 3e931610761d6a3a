"""How many threads the kernels use. The results do not depend on it, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import _core
from .arguments import integer


def get_num_threads() -> int:
    """How many threads kernels may use.

    At first the smallest of the process's affinity, its cgroup's quota and the cores, unless the
    environment sets STRIATE_NUM_THREADS or OMP_NUM_THREADS.
    """
    return _core.get_num_threads()


def set_num_threads(count: int) -> None:
    """Let kernels use `count` threads from now on; ValueError below one."""
    _core.set_num_threads(integer("set_num_threads", "count", count))


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    """Let kernels use `count` threads inside a ``with`` block."""
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)
