"""Tables of results: Markdown whose columns are aligned, so that it reads as plain text too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .arrays import LAYOUTS
from .cases import CLASSES, DIRECTIONS
from .machine import UNLIMITED_PEERS
from .results import (
    BEHIND,
    Case,
    Change,
    Comparison,
    Results,
    behind,
    cases_of,
    geometric_mean,
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [list(head), *map(list, rows)]
    widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in lines
    )


def full(results: Results, peers: Sequence[str] | None = None, every_case: bool = False) -> str:
    """The machine, the classes for all batch sizes together and for each, and what is behind."""
    cases = cases_of(results, peers)
    if not cases:
        return "no rows"
    parts = [heading(results, cases), "### All batch sizes", classes(cases)]
    batches = sorted({case.batch for case in cases})
    for batch in batches if len(batches) > 1 else []:
        parts += [f"### Batch {batch}", classes([case for case in cases if case.batch == batch])]
    parts += [losses(cases)]
    if every_case:
        parts += ["### Every case", listing(cases)]
    return "\n\n".join(parts)


def heading(results: Results, cases: Sequence[Case]) -> str:
    session = results.sessions[-1]
    versions = ", ".join(f"{name} {version}" for name, version in session["versions"].items())
    repeats = max(row["repeat"] for row in results.rows) + 1
    lines = [
        f"{session['cpu']}, {session['threads']} threads, instruction set: {session['isa']}; "
        f"{session['date']}; {versions}.",
        f"`python -m bench.compare {session['command']}`: {len(cases)} rows, "
        f"{sum(case.noisy for case in cases)} noisy; "
        + ("one run" if repeats == 1 else f"medians of {repeats} runs")
        + "; against the fastest of "
        + ", ".join(sorted({name for case in cases for name in case.peer.values()}))
        + ".",
    ]
    measured = {row["peer"] for row in results.rows}
    if unlimited := measured & UNLIMITED_PEERS.get(results.isa, set()):
        names = ", ".join(sorted(unlimited))
        lines.append(f"{names} cannot be held to {results.isa}, and counts for nothing here.")
    if limits := session.get("limits"):
        levels = ", ".join(f"{name} {rate / 1e9:.0f}" for name, _, rate in limits["levels"])
        lines.append(f"Limits: {limits['flops'] / 1e9:.0f} GFLOP/s; copy {levels} GB/s.")
    ours, theirs = (max(case.error[i] for case in cases) for i in range(2))
    lines.append(f"Largest error: {ours:.1e} (peers {theirs:.1e}).")
    return "\n".join(lines)


def classes(cases: Sequence[Case]) -> str:
    """Geometric means a class: ratio in both layouts, and the share of the limit."""
    head = ["class", "cases"]
    kinds = [(d, m) for d in DIRECTIONS for m in ("fresh", "reused")]
    kinds = [kind for kind in kinds if any(case.key[1:] == kind for case in cases)]
    layouts = [n for n in LAYOUTS if any(n in case.ratio for case in cases)]
    parts = []
    for memory_bound in (False, True):
        family = [c for c in cases if (c.key[0].startswith(("pool", "bnorm"))) == memory_bound]
        present = [kind for kind in kinds if any(case.key[1:] == kind for case in family)]
        if not family:
            continue
        title = [
            f"{direction} {memory + ' ' if memory_bound else ''}{layout}"
            for direction, memory in present
            for layout in layouts
        ]
        rows = []
        for group in CLASSES:
            of_class = [case for case in family if case.group == group]
            if not of_class:
                continue
            cells = [
                _mean([c for c in of_class if c.key[1:] == kind], layout)
                for kind in present
                for layout in layouts
            ]
            rows.append([group, str(len({case.key[0] for case in of_class})), *cells])
        parts.append(table([*head, *title], rows))
    return "\n\n".join(parts)


def _mean(cases: Sequence[Case], layout: str) -> str:
    """`2.61 (93)`: ratio to the best peer and % of the limit, geometric means."""
    if not cases:
        return ""
    ratio = f"{geometric_mean([case.ratio[layout] for case in cases]):.2f}"
    shares = [case.percent[layout] for case in cases if case.percent]
    return ratio + (f" ({geometric_mean(shares):.0f})" if shares else "")


def losses(cases: Sequence[Case]) -> str:
    """Every case behind its best peer."""
    found = behind(cases)
    rows = [
        [
            case.key[0],
            case.name.split(" ")[0],
            case.key[1],
            case.key[2] if case.key[0].startswith(("pool", "bnorm")) else "",
            layout,
            f"{case.ratio[layout]:.2f}",
            case.peer[layout],
            f"{case.ms[layout]:.3f}",
            f"{case.percent[layout]:.0f}" if case.percent else "",
            case.algorithm.get(layout, ""),
            "noisy" if case.noisy else "",
        ]
        for case, layout in found
    ]
    total = sum(len(case.ratio) for case in cases)
    title = f"### Below {BEHIND}: {len(found)} of {total}"
    head = ["case", "layer", "dir", "memory", "layout", "ratio", "peer", "ms", "%", "algorithm", ""]
    return f"{title}\n\n{table(head, rows)}" if rows else title


def listing(cases: Sequence[Case]) -> str:
    """Every case: ms and ratio and % of the limit in each layout."""
    rows = []
    for case in cases:
        memory = f" {case.key[2]}" if case.key[0].startswith(("pool", "bnorm")) else ""
        cells = [
            f"{case.ms[n]:.3f} / {case.ratio[n]:.2f}"
            + (f" / {case.percent[n]:.0f}" if case.percent else "")
            if n in case.ratio
            else ""
            for n in LAYOUTS
        ]
        best = next(iter(case.peer.values()))
        rows.append([case.key[0], case.key[1] + memory, *cells, f"{case.peer_ms:.3f} {best}"])
    return table(["case", "dir", *(f"{n} ms / ratio / %" for n in LAYOUTS), "best peer, ms"], rows)


def comparison(found: Comparison, percent: float) -> str:
    """Change a class, and every case that became slower."""
    rows = [
        [f"{group} {direction} {layout}", f"{100 * (factor - 1):+.1f} %"]
        for (group, direction, layout), factor in found.by_class().items()
    ]
    parts = [table(["class", "faster"], rows)] if rows else ["no case is in both files"]
    slower = found.regressions(percent)
    parts.append(f"### Slower by more than {percent:g} %: {len(slower)} of {len(found.changes)}")
    if slower:
        parts.append(table(["case", "dir", "layout", "before", "after"], map(_change, slower)))
    for title, keys in (("Only in the first file", found.gone), ("Only in the second", found.new)):
        if keys:
            parts.append(f"{title}: {len(keys)}")
    return "\n\n".join(parts)


def _change(one: Change) -> list[str]:
    case, direction, memory = one.case.key
    memory = f" {memory}" if case.startswith(("pool", "bnorm")) else ""
    return [case, direction + memory, one.layout, f"{one.before:.2f}", f"{one.after:.2f}"]
