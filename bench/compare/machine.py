"""What must be set before a library is imported, the limits of this machine, what it is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = ("numpy", "torch", "onnxruntime", "openvino")

# What holds each library back to AVX2. onnxruntime's kernels (MLAS) have no such switch: its rows
# are marked and never taken for the best peer.
AVX2_LIMITS = {
    "STRIATE_ISA": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
BUSY = 0.75  # of an earlier limit: the machine is doing something else
UNLIMITED_PEERS = {"avx2": {"onnxruntime"}}


def prepare(isa: str) -> None:
    """Environment of this process; before NumPy's and every library's import."""
    if isa == "avx2":
        os.environ.update(AVX2_LIMITS)


def versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["python"] = platform.python_version()
    found["striate"] = _commit()
    return found


def _commit() -> str:
    """The commit of this tree, with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return (commit.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")


def cpu_name() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


# ---- limits --------------------------------------------------------------------------------------


class Busy(RuntimeError):
    """The machine is slower than it was when earlier rows of the file were measured."""


@dataclass(frozen=True)
class Limits:
    """Multiply-add rate of registers alone, and copy bandwidth of the levels of memory.

    `levels` are (name, the most bytes that it holds, bytes a second), smallest first.
    """

    flops: float
    levels: tuple[tuple[str, float, float], ...]

    def least_time(self, flops: float, size: float) -> tuple[float, str]:
        """Seconds that nothing here can beat with direct algorithms, and what bounds them."""
        level = next((one for one in self.levels if size <= one[1]), self.levels[-1])
        return max((flops / self.flops, "peak"), (size / level[2], level[0]))

    def is_below(self, other: Limits) -> bool:
        """Whether anything is slower than at the other time by so much that others are at work."""
        pairs = [(self.flops, other.flops)]
        pairs += [(a[2], b[2]) for a, b in zip(self.levels, other.levels, strict=False)]
        return any(mine < BUSY * theirs for mine, theirs in pairs)

    def as_dict(self) -> dict[str, Any]:
        return {"flops": self.flops, "levels": [list(level) for level in self.levels]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Limits:
        return cls(values["flops"], tuple((n, s, r) for n, s, r in values["levels"]))


def find_harness() -> Path | None:
    """The newest striate-bench of this tree."""
    built = [path for path in (ROOT / "build").glob("*/striate-bench") if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def measure_limits(harness: Path, isa: str, threads: int) -> Limits:
    """Let the native harness measure the machine, as it does before it times a problem."""
    command = [str(harness), f"--isa={isa}", f"--threads={threads}", "--dir=FWD", "--min-time=0"]
    out = subprocess.run([*command, "mb1ic1ih1oc1kh1"], capture_output=True, text=True, check=True)
    return parse_limits(out.stdout, threads)


def parse_limits(text: str, threads: int) -> Limits:
    """The line that begins with `limits:`, and the sizes by which the harness picks a level."""
    line = re.search(r"^limits: .*peak ([\d.]+) GFLOP/s; copy (.*) GB/s$", text, re.MULTILINE)
    if not line:
        raise ValueError(f"the harness printed no limits:\n{text}")
    mib = 2**20
    l2 = (_cache("LEVEL2_CACHE_SIZE") or mib // 2) * threads
    l3 = min(max(_cache("LEVEL3_CACHE_SIZE") or 8 * mib, 2 * l2), 32 * mib)
    holds = {"L2": l2, "L3": l3, "mem": float("inf")}
    levels = []
    for name, rate in re.findall(r"(\w+) ([\d.]+)", line[2]):
        levels.append((name, min(holds[name], 1e18), float(rate) * 1e9))
    return Limits(float(line[1]) * 1e9, tuple(levels))


def _cache(name: str) -> int:
    try:
        out = subprocess.run(["getconf", name], capture_output=True, text=True)
    except OSError:
        return 0
    return int(out.stdout) if out.stdout.strip().isdigit() else 0
