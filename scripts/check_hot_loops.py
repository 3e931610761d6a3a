"""Lists the innermost multiply-add loops of the kernel objects and the stack accesses inside them.

    python scripts/check_hot_loops.py build/dev        # needs objdump (binutils)

A stack access between multiply-adds is a spill: the register tile is too large for the instruction
set, or the compiler lost track of it. (In loops that evaluate polynomials it is a constant, which
is read as well from there.) Prints one line a loop, worst first; exits with 1 if a register tile of
convolution touches the stack.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

FUSED = re.compile(r"\b(vfn?m(add|sub)|fml[as])")
STACK = re.compile(r"\(%rsp|\(%rbp|\[sp[,\]]")
HEADER = re.compile(r"^[0-9a-f]+ <(.*)>:$")
JUMP = re.compile(r"^\s*([0-9a-f]+):\s+(?:j\w+|b\.\w+|cbnz\s+\w+,)\s+([0-9a-f]+)")
ADDRESS = re.compile(r"^\s*([0-9a-f]+):")


def functions(listing):
    name, body = None, []
    for line in listing.splitlines():
        if found := HEADER.match(line):
            if name:
                yield name, body
            name, body = found[1], []
        elif name and ADDRESS.match(line):
            body.append(line)
    if name:
        yield name, body


def innermost_loops(body):
    """Bodies of backward jumps that contain no smaller loop."""
    at = {ADDRESS.match(line)[1]: i for i, line in enumerate(body)}
    spans = []
    for end, line in enumerate(body):
        jump = JUMP.match(line)
        if jump and at.get(jump[2], end) < end:
            spans.append((at[jump[2]], end))
    for begin, end in spans:
        if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in spans):
            yield body[begin : end + 1]


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/dev")
    must_not_spill = "tiles.kernel.cc.o"
    objects = sorted(folder.rglob("*.kernel.cc.o"))
    if not objects:
        sys.exit(f"no kernel objects under {folder}")
    rows = []
    for path in objects:
        listing = subprocess.run(
            ["objdump", "-dC", "--no-show-raw-insn", str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name, body in functions(listing):
            for loop in innermost_loops(body):
                fused = sum(bool(FUSED.search(line)) for line in loop)
                if fused:
                    stack = sum(bool(STACK.search(line)) for line in loop)
                    rows.append((stack, fused, len(loop), path.name, name))
    rows.sort(reverse=True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # quiet under `| head`
    print("stack  multiply-adds  instructions  function")
    for stack, fused, length, _, name in rows:
        print(f"{stack:5}  {fused:13}  {length:12}  {name[:120]}")
    sys.exit(any(row[0] and row[3] == must_not_spill for row in rows))


if __name__ == "__main__":
    main()
