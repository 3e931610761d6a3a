"""The loop over cases: times striate and one peer at a time, checks the answers, appends a row.

Rows go to a JSON-lines file as they are measured; a run that was cut, or that stopped at its limit
of time, goes on from there when it is started again with the same file.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from . import machine, peers, results
from .arrays import LAYOUTS, Operands, operations, traffic
from .cases import Problem, class_of, directions_of

NOISY = 0.10  # a ratio that moves this much between interleaved and alone
UNSTEADY = 1.5  # a median this many times the fastest


@dataclass(frozen=True)
class Plan:
    """What to measure, and how."""

    problems: Sequence[Problem]
    directions: Sequence[str]
    layouts: Sequence[str]
    peer_names: Sequence[str]
    memories: Sequence[str]
    repeats: int
    seconds: float  # a case and peer
    limit_seconds: float
    threads: int
    isa: str


def run(
    plan: Plan,
    sides: dict[str, ModuleType],
    output: Path | None,
    limits: machine.Limits | None,
    command: str,
) -> int:
    """Measure what `output` does not hold yet; the number of wrong answers."""
    started = time.monotonic()
    from . import ours

    known = results.read(output) if output and output.exists() else results.Results()
    session = describe(plan, limits, command)
    if known.sessions and any(known.sessions[-1][n] != session[n] for n in ("isa", "threads")):
        raise ValueError(f"{output} holds results of another instruction set or thread count")
    refuse_if_busy(limits, known)
    done = known.done()
    with _appending(output) if output else nullcontext() as file:
        if file:
            print(json.dumps(session), file=file, flush=True)
        wrong = left = 0
        for repeat in range(plan.repeats):
            for problem in plan.problems:
                operands = {layout: Operands(problem, layout) for layout in plan.layouts}
                for direction, memory, name in settings(plan, problem, sides):
                    key = (problem.text, direction, memory, name, repeat)
                    if key in done:
                        continue
                    if time.monotonic() - started > plan.limit_seconds:
                        left += 1
                        continue
                    row = measure(plan, ours, sides[name], problem, direction, memory, operands)
                    if row is None:
                        continue
                    row |= {"repeat": repeat, "limit": bound(limits, problem, direction)}
                    wrong += row["wrong"]
                    if file:
                        print(json.dumps(row), file=file, flush=True)
                    print(line(row, plan.isa), flush=True)
    if left:
        print(f"stopped after {plan.limit_seconds:g} s; up to {left} rows left for the next run")
    return wrong


def refuse_if_busy(limits: machine.Limits | None, known: results.Results) -> None:
    """Rows of a machine that is at work elsewhere would spoil the file, and their % too."""
    earlier = [machine.Limits.from_dict(s["limits"]) for s in known.sessions if s["limits"]]
    if limits and any(limits.is_below(one) for one in earlier):
        raise machine.Busy(f"the machine is busy: {limits}, but in this file it was {earlier[0]}")


def settings(plan: Plan, problem: Problem, names: Any) -> Iterator[tuple[str, str, str]]:
    """(direction, memory, peer) that a problem has."""
    for direction in directions_of(problem):
        for memory in plan.memories if problem.op != "conv" else ("fresh",):
            for name in names:
                if direction in plan.directions and (
                    name not in peers.FORWARD_ONLY or (direction == "FWD" and problem.op == "conv")
                ):
                    yield direction, memory, name


def load_sides(plan: Plan) -> dict[str, ModuleType]:
    """The peers that are installed, PyTorch first: striate then shares its OpenMP threads."""
    sides = {}
    for name in plan.peer_names:
        try:
            sides[name] = peers.load(name)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        sides[name].prepare(plan.threads)
    from . import ours

    ours.prepare(plan.threads)
    return sides


def describe(plan: Plan, limits: machine.Limits | None, command: str) -> dict[str, Any]:
    return {
        "kind": "session",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cpu": machine.cpu_name(),
        "isa": plan.isa,
        "threads": plan.threads,
        "command": command,
        "versions": machine.versions(),
        "limits": limits.as_dict() if limits else None,
        "shared_openmp": openmp_runtimes() <= 1,
    }


def openmp_runtimes() -> int:
    """How many OpenMP libraries this process has loaded: two keep two sets of waiting threads."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return 2
    return len(set(re.findall(r"\S*lib(?:gomp|iomp|omp)[^/\s]*$", maps, re.MULTILINE)))


def bound(limits: machine.Limits | None, problem: Problem, direction: str) -> dict[str, Any] | None:
    if limits is None:
        return None
    seconds, of = limits.least_time(operations(problem), traffic(problem, direction))
    return {"seconds": seconds, "of": of}


# ---- one row -------------------------------------------------------------------------------------


def measure(
    plan: Plan,
    ours: ModuleType,
    peer: ModuleType,
    problem: Problem,
    direction: str,
    memory: str,
    operands: dict[str, Operands],
) -> dict[str, Any] | None:
    """A row of results, or None where the peer does not have the op."""
    theirs = peer.calls(problem, direction, memory, operands)
    if not theirs:
        return None
    mine = ours.calls(problem, direction, memory, operands)
    errors = check(problem, direction, operands, ours, mine, peer, theirs)
    both = {("ours", n): c for n, c in mine.items()} | {("theirs", n): c for n, c in theirs.items()}
    both = dict(sorted(both.items(), key=lambda one: one[0][1]))  # A B of nchw, A B of nhwc
    settle = peer.NAME != "pytorch" or openmp_runtimes() > 1
    from .timing import compare

    times = compare(both, plan.seconds, settle)
    if is_noisy(times):
        again = compare(both, plan.seconds, settle)
        if not is_noisy(again) or disturbance(again) < disturbance(times):
            times = again
    sides: dict[str, dict[str, Any]] = {"ours": {}, "theirs": {}}
    for (side, layout), timing in times.items():
        sides[side][layout] = timing.as_dict()
    return {
        "kind": "row",
        "case": problem.text,
        "name": " ".join(problem.sources),
        "class": class_of(problem),
        "batch": problem.mb,
        "dir": direction,
        "memory": memory,
        "peer": peer.NAME,
        **sides,
        "algorithm": {layout: ours.algorithm(problem, direction, layout) for layout in mine},
        **errors,
        "noisy": is_noisy(times),
    }


def is_noisy(times: dict[tuple[str, str], Any]) -> bool:
    """The sides hinder each other, or something else hinders them most of the time."""
    spread = max(
        min((t for (s, _), t in times.items() if s == side), key=lambda t: t.best).spread
        for side in ("ours", "theirs")
    )
    return disturbance(times) > NOISY or spread > UNSTEADY


def disturbance(times: dict[tuple[str, str], Any]) -> float:
    """How far the ratio of the sides, in their best layouts, moves when each runs alone.

    The times themselves may: a side that is alone finds its own arrays in the cache.
    """

    def ratio(kind: str) -> float:
        best = {
            side: min(getattr(t, kind) for (s, _), t in times.items() if s == side)
            for side in ("ours", "theirs")
        }
        return best["theirs"] / best["ours"]

    interleaved, alone = ratio("best"), ratio("alone")
    return max(interleaved / alone, alone / interleaved) - 1


def check(
    problem: Problem,
    direction: str,
    operands: dict[str, Operands],
    ours: ModuleType,
    mine: dict[str, Any],
    peer: ModuleType,
    theirs: dict[str, Any],
) -> dict[str, Any]:
    """Largest errors of both sides against float64, and whether ours is wrong anywhere."""
    from .checking import TOLERANCE, difference, error

    first = operands[next(iter(operands))]
    answers = {n: ours.result(call()) for n, call in mine.items()}
    reference = [peer.result(call()) for call in theirs.values()]
    own = max(error(answer, problem, direction, first) for answer in answers.values())
    other = max(error(answer, problem, direction, first) for answer in reference)
    apart = 0.0
    if problem.op != "bnorm":  # of which float64 has all
        apart = max(difference(answer, reference[0]) for answer in answers.values())
    return {
        "error": {"ours": float(f"{own:.2g}"), "theirs": float(f"{other:.2g}")},
        "wrong": not (own <= TOLERANCE and apart <= 2 * TOLERANCE),
    }


def line(row: dict[str, Any], isa: str) -> str:
    """A row for the screen: ratio and milliseconds of each layout, and the peer's best."""
    ratios = results.ratios_of(row)
    layout, best = results.best_of(row["theirs"])
    words = [f"{row['dir']:5}"]
    for name in LAYOUTS:
        if name in ratios:
            ours = row["ours"][name]["best"]
            words.append(f"{name} {ratios[name]:5.2f}x {1e3 * ours:8.3f} ms")
            if row["limit"]:
                words.append(f"{100 * row['limit']['seconds'] / ours:4.0f} %")
    words.append(f" {row['peer']} {1e3 * best:8.3f} ms ({layout}) ")
    words.append(f"error {row['error']['ours']:.0e} / {row['error']['theirs']:.0e} ")
    chosen = list(dict.fromkeys(filter(None, row["algorithm"].values())))
    words.append(" ".join([*chosen, row["memory"] * (not chosen), row["case"]]))
    if row["peer"] in machine.UNLIMITED_PEERS.get(isa, ()):
        words.append(f" (not held to {isa})")
    words.append("  WRONG" if row["wrong"] else "  noisy" if row["noisy"] else "")
    return " ".join(words).rstrip()


def _appending(path: Path) -> Any:
    """The file, after whole lines only: a half-written last line is cut off."""
    if path.exists():
        text = path.read_text()
        if text and not text.endswith("\n"):
            path.write_text(text[: text.rfind("\n") + 1])
    return path.open("a")
