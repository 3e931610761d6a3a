"""Optional packages: imported where they are needed; where missing, the error names the extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingExtraError(ImportError):
    """A package is missing that one of striate's extras installs."""


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import `module`, or say which extra brings it.

    Raises
    ------
    MissingExtraError
        As in `drawing a picture needs matplotlib: pip install 'striate[viz]'`.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {package}: pip install 'striate[{extra}]'", name=package
        ) from error
