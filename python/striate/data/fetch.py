"""Download a small file from the first mirror that serves the right bytes.

Mirrors die, move and answer with login pages, so a download is trusted only after its checksum;
any failure moves on to the next mirror, and only when all have failed is there an error, which
lists why.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from .atomic import write_atomically

TIMEOUT = 30.0
"""Seconds without an answer after which a mirror counts as dead."""

_CHUNK = 1 << 16
# What gzip may add to bytes that it cannot compress, generously.
_GZIP_SLACK = 1 << 20


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


Opener = Callable[[str], AbstractContextManager[Readable]]
"""Opens an address for reading; raises OSError where it cannot."""


def open_url(url: str) -> AbstractContextManager[Readable]:
    """The default opener: the standard library's, with a timeout."""
    response: AbstractContextManager[Readable] = urllib.request.urlopen(url, timeout=TIMEOUT)
    return response


def fetch_gzip(
    name: str,
    target: Path,
    mirrors: Sequence[str],
    *,
    sha256: str,
    size: int,
    opener: Opener = open_url,
    report: Callable[[str], None] | None = None,
) -> None:
    """Bring `name`, a gzip file, from one of `mirrors` to `target`.

    Parameters
    ----------
    name
        File name, appended to each mirror's address.
    target
        Where the file goes, still compressed; written atomically.
    mirrors
        Addresses of folders, tried in order.
    sha256, size
        Checksum (hex) and length of the *decompressed* bytes, so that recompressed copies pass too.
    opener
        Opens an address; for tests and for programs with their own proxy.
    report
        Called with one line of text before each attempt.

    Raises
    ------
    OSError
        No mirror delivered; the message lists what each one did wrong.
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        if report is not None:
            report(f"downloading {url}")
        try:
            with opener(url) as response:
                packed = _read_at_most(response, size + _GZIP_SLACK)
            _check(packed, sha256, size)
        except (OSError, ValueError, http.client.HTTPException, zlib.error) as error:
            failures.append(f"{url}: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, [packed])
        return
    raise OSError(f"could not download {name}; " + "; ".join(failures))


def _read_at_most(response: Readable, limit: int) -> bytes:
    chunks, total = [], 0
    while chunk := response.read(_CHUNK):
        total += len(chunk)
        if total > limit:
            raise ValueError(f"the answer is longer than the {limit} bytes that could be right")
        chunks.append(chunk)
    return b"".join(chunks)


def _check(packed: bytes, sha256: str, size: int) -> None:
    digest, length = hashlib.sha256(), 0
    for chunk in _decompressed(packed):
        length += len(chunk)
        if length > size:
            raise ValueError(f"it unpacks to more than the expected {size} bytes")
        digest.update(chunk)
    if length < size:
        raise ValueError(f"it unpacks to {length} bytes, fewer than the expected {size}")
    if digest.hexdigest() != sha256:
        raise ValueError(
            f"SHA-256 of the unpacked bytes is {digest.hexdigest()}, expected {sha256}"
        )


def _decompressed(packed: bytes) -> Iterator[bytes]:
    gunzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: a gzip header, not a zlib one
    rest = packed
    while rest and not gunzip.eof:
        yield gunzip.decompress(rest, _CHUNK)
        rest = gunzip.unconsumed_tail
    yield gunzip.flush()
    if not gunzip.eof:  # the bytes may be all there without the checksum behind them
        raise ValueError("it ends before its gzip stream does")
    if gunzip.unused_data:
        raise ValueError("something follows its gzip stream")
