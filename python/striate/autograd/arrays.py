"""What counts as an array: anything that can be one, in float32 or float64, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[np.floating[Any]]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def as_array(value: Any, what: str) -> Array:
    """`value` as a native, aligned float32 or float64 ndarray; copied only where that is needed.

    `what` opens the message of a TypeError, as in ``"conv2d: input"``.
    """
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array; fill it first, as in x.filled(0.0)")
    elif isinstance(value, np.matrix):
        raise TypeError(f"{what} is a numpy.matrix; convert it with numpy.asarray")
    elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        array = np.from_dlpack(value)
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:  # a ragged list
            raise TypeError(f"{what} cannot be made an array: {error}") from None
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        advice = "" if array.dtype.kind == "O" else "; convert it with .astype(numpy.float32)"
        raise TypeError(f"{what} has dtype {array.dtype}, but must be float32 or float64{advice}")
    native = FLOAT32 if array.dtype.itemsize == 4 else FLOAT64
    return np.require(array, dtype=native, requirements="A")
