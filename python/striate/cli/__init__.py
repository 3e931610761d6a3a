"""The `striate` command: parse, dispatch, and turn failures into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C. Results go to stdout,
complaints to stderr. A command imports what it needs when it runs, so `striate --version` needs no
extra.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import striate

from . import info, predict, train

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default this process's) and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, as `head` does; what is left to flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as interrupt:
        return _fail(130, str(interrupt) or "interrupted")
    except OSError as error:  # without its "[Errno 2]"
        reason = error.strerror or str(error) or type(error).__name__
        return _fail(
            1, f"error: {error.filename}: {reason}" if error.filename else f"error: {reason}"
        )
    except (ValueError, ImportError, MemoryError, FloatingPointError) as error:
        return _fail(1, f"error: {error or type(error).__name__}")
    return 0


def _fail(code: int, message: str) -> int:
    print("striate:", " ".join(message.split()), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="striate",
        description="Convolutional networks on the CPU: train one, ask it, look around.",
    )
    parser.add_argument("--version", action="version", version=f"striate {striate.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, predict, info):
        command.add_command(commands)
    return parser
