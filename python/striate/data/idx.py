"""The IDX format of MNIST and its relatives, plain or gzip-compressed.

    0  0  type  rank | size_0 ... size_{rank-1} (big-endian uint32) | values (big-endian)

A file is untrusted: the size that its header declares is compared with the length of the file
before anything of that size is allocated, and decompression stops at the declared size.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}

_GZIP_MAGIC = b"\x1f\x8b"
# A deflate stream cannot expand further than this, so a longer claim is a lie: no need to unpack
# it to know.
_DEFLATE_MAX_RATIO = 1032


def read_idx(path: str | os.PathLike[str], *, sha256: str | None = None) -> npt.NDArray[Any]:
    """Read one IDX file.

    Parameters
    ----------
    path
        The file; gzip is recognised by its content, not by its name.
    sha256
        Expected SHA-256 (hex) of the decompressed bytes, header included.

    Returns
    -------
    ndarray
        A fresh array of the declared shape in native byte order.

    Raises
    ------
    ValueError
        The file is not IDX, is shorter or longer than it declares, or fails its checksum; the
        message names the file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            packed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(unpacked, length * _DEFLATE_MAX_RATIO, sha256)
            return _read(file, length, sha256)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a valid IDX file: {error}") from error


def write_idx(file: BinaryIO, array: npt.ArrayLike) -> None:
    """Write an array (uint8, int8, int16, int32, float32, float64) to an open binary file."""
    values = np.asarray(array)
    code = _CODES.get(values.dtype.newbyteorder("="))
    if code is None:
        allowed = ", ".join(str(dtype) for dtype in _CODES)
        raise TypeError(f"write_idx: dtype {values.dtype} is not an IDX type ({allowed})")
    file.write(struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape))
    file.write(values.astype(_DTYPES[code]).tobytes())


def _read(file: BinaryIO | gzip.GzipFile, longest: int, sha256: str | None) -> npt.NDArray[Any]:
    """Read header and values; `longest` bounds the decompressed length from what the disk holds."""
    magic = _exactly(file, 4, "the magic number")
    dtype = _DTYPES.get(magic[2])
    if magic[:2] != b"\0\0" or dtype is None:
        raise ValueError(
            f"magic number {magic.hex()} is not that of IDX (0000, a known type, the rank)"
        )
    sizes = _exactly(file, 4 * magic[3], "the sizes")
    shape = struct.unpack(f">{magic[3]}I", sizes)

    # Python integers: a product of sizes that overflows 64 bits is simply too large here.
    count = math.prod(shape) * dtype.itemsize
    if count > longest - len(magic) - len(sizes):
        raise ValueError(
            f"it declares {dtype.name} values of shape {shape}, more than the file can hold"
        )
    values = _exactly(file, count, f"{dtype.name} values of shape {shape}")
    if file.read(1):
        raise ValueError(f"more bytes follow the declared values of shape {shape}")

    if sha256 is not None:
        digest = hashlib.sha256(magic + sizes)
        digest.update(values)
        if digest.hexdigest() != sha256:
            raise ValueError(f"its SHA-256 is {digest.hexdigest()}, expected {sha256}")
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _exactly(file: BinaryIO | gzip.GzipFile, count: int, what: str) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ValueError(f"it ends {count - len(data)} bytes short in {what}")
    return data
