"""Rows of result files: medians of repeats, ratios, geometric means, regressions.

A file holds one JSON object a line: a `session` (machine, versions, command, limits) each time the
program was started, and a `row` for each case, direction, kind of memory, repeat and peer. A row's
`ours` and `theirs` have the times of one interleaved run, so only their ratio is ever compared with
anything; the best peer of a case is the one with the lowest ratio.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

from .arrays import LAYOUTS
from .machine import UNLIMITED_PEERS

BEHIND = 0.97  # a case below this ratio is listed
Row = dict[str, Any]
Key = tuple[str, str, str]  # case, direction, memory


@dataclass
class Results:
    sessions: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def isa(self) -> str:
        return self.sessions[-1]["isa"] if self.sessions else ""

    def done(self) -> set[tuple[Any, ...]]:
        return {row_key(row) for row in self.rows}


def row_key(row: Row) -> tuple[Any, ...]:
    """What a row measured; one row a key stands in a file."""
    return tuple(row[name] for name in ("case", "dir", "memory", "peer", "repeat"))


def read(path: Path) -> Results:
    """All rows of a file. A last line that was cut off while it was written is passed over."""
    found = Results()
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise ValueError(f"{path}:{number}: not a line of results") from None
        (found.sessions if row["kind"] == "session" else found.rows).append(row)
    for name in ("isa", "threads"):
        if len({session[name] for session in found.sessions}) > 1:
            raise ValueError(f"{path}: sessions with different {name} in one file")
    return found


# ---- ratios --------------------------------------------------------------------------------------


def best_of(side: dict[str, Row]) -> tuple[str, float]:
    """The layout in which a side is fastest, and its seconds."""
    layout = min(side, key=lambda name: side[name]["best"])
    return layout, side[layout]["best"]


def ratios_of(row: Row) -> dict[str, float]:
    """For each layout of ours, how many times faster than the peer in its best layout."""
    _, theirs = best_of(row["theirs"])
    return {layout: theirs / ours["best"] for layout, ours in row["ours"].items()}


@dataclass(frozen=True)
class Case:
    """All rows of a problem, a direction and a kind of memory; medians over the repeats."""

    key: Key
    group: str  # class
    batch: int
    name: str
    ratio: dict[str, float]  # layout of ours: against the best peer
    peer: dict[str, str]  # layout of ours: who that was
    ms: dict[str, float]
    peer_ms: float
    percent: dict[str, float]  # of the limit; empty without one
    bound: str
    algorithm: dict[str, str]
    error: tuple[float, float]  # ours, theirs
    noisy: bool


def cases_of(results: Results, peers: Iterable[str] | None = None) -> list[Case]:
    """One `Case` for each key, in the order of the file."""
    banned = UNLIMITED_PEERS.get(results.isa, set())
    groups: dict[Key, list[Row]] = {}
    for row in results.rows:
        if row["peer"] not in banned and (peers is None or row["peer"] in peers):
            groups.setdefault((row["case"], row["dir"], row["memory"]), []).append(row)
    return [_merge(key, rows) for key, rows in groups.items()]


def _merge(key: Key, rows: list[Row]) -> Case:
    by_peer: dict[str, list[Row]] = {}
    for row in rows:
        by_peer.setdefault(row["peer"], []).append(row)
    layouts = [name for name in LAYOUTS if all(name in row["ours"] for row in rows)]
    ratio, peer = {}, {}
    for layout in layouts:
        against = {n: median(ratios_of(r)[layout] for r in part) for n, part in by_peer.items()}
        peer[layout] = min(against, key=against.__getitem__)
        ratio[layout] = against[peer[layout]]
    ms = {layout: 1e3 * median(row["ours"][layout]["best"] for row in rows) for layout in layouts}
    best = by_peer[peer[layouts[0]]]
    least = [row["limit"]["seconds"] for row in rows if row.get("limit")]
    return Case(
        key=key,
        group=rows[0]["class"],
        batch=rows[0]["batch"],
        name=rows[0]["name"],
        ratio=ratio,
        peer=peer,
        ms=ms,
        peer_ms=1e3 * median(best_of(row["theirs"])[1] for row in best),
        percent={n: 1e5 * median(least) / ms[n] for n in layouts} if least else {},
        bound=rows[-1]["limit"]["of"] if least else "",
        algorithm=rows[-1].get("algorithm", {}),
        error=tuple(max(row["error"][side] for row in rows) for side in ("ours", "theirs")),
        noisy=any(2 * sum(r["noisy"] for r in part) > len(part) for part in by_peer.values()),
    )


def geometric_mean(values: Sequence[float]) -> float:
    return exp(sum(log(value) for value in values) / len(values))


def behind(cases: Iterable[Case], layouts: Iterable[str] = LAYOUTS) -> list[tuple[Case, str]]:
    """(case, layout) wherever the ratio is below `BEHIND`, the worst first."""
    found = [(c, n) for c in cases for n in layouts if c.ratio.get(n, 1.0) < BEHIND]
    return sorted(found, key=lambda one: one[0].ratio[one[1]])


# ---- two files -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """The ratio of one case and layout, before and after."""

    case: Case
    layout: str
    before: float
    after: float

    @property
    def factor(self) -> float:
        """Above 1: faster than before, measured by the same peers."""
        return self.after / self.before


@dataclass(frozen=True)
class Comparison:
    changes: list[Change]
    gone: list[Key]  # measured before and not after
    new: list[Key]

    def regressions(self, percent: float) -> list[Change]:
        """Cases that take over `percent` more time than before, beside their peer; worst first."""
        slower = [one for one in self.changes if 1 / one.factor > 1 + percent / 100]
        return sorted(slower, key=lambda one: one.factor)

    def by_class(self) -> dict[tuple[str, str, str], float]:
        """Geometric mean of the factors of a (class, direction, layout)."""
        groups: dict[tuple[str, str, str], list[float]] = {}
        for one in self.changes:
            groups.setdefault((one.case.group, one.case.key[1], one.layout), []).append(one.factor)
        return {key: geometric_mean(factors) for key, factors in groups.items()}


def compare(before: Results, after: Results) -> Comparison:
    """Match the cases of two files, by the peers that a case has in both."""
    for name in ("isa", "threads"):
        values = {session[name] for results in (before, after) for session in results.sessions}
        if len(values) > 1:
            raise ValueError(f"the files cannot be compared: {name} {sorted(values)}")
    peers: list[dict[Key, set[str]]] = [{}, {}]
    for known, results in zip(peers, (before, after), strict=True):
        for row in results.rows:
            known.setdefault((row["case"], row["dir"], row["memory"]), set()).add(row["peer"])
    shared = {key: peers[0][key] & peers[1][key] for key in peers[0] if key in peers[1]}

    def common(results: Results) -> dict[Key, Case]:
        rows = [
            row
            for row in results.rows
            if row["peer"] in shared.get((row["case"], row["dir"], row["memory"]), ())
        ]
        return {case.key: case for case in cases_of(Results(results.sessions, rows))}

    old, new = common(before), common(after)
    changes = [
        Change(new[key], layout, case.ratio[layout], new[key].ratio[layout])
        for key, case in old.items()
        if key in new
        for layout in case.ratio
        if layout in new[key].ratio
    ]
    return Comparison(
        changes,
        gone=[key for key in peers[0] if not shared.get(key)],
        new=[key for key in peers[1] if not shared.get(key)],
    )
