"""Files that are either there in full or not there: write aside, sync, rename, sync the folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], chunks: Iterable[bytes]) -> None:
    """Write `chunks` to `path` so that no reader, crash or full disk ever leaves half a file there.

    The bytes go to a temporary file in the same folder (a rename is atomic only inside one file
    system), reach the disk, and take the name in one step; then the folder's entry reaches the
    disk too. On any failure, Ctrl-C included, the previous file stays as it was and the temporary
    one goes.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
