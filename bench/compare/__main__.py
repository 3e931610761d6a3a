"""`python -m bench.compare run | report | diff | choices | small | denormals | packed | ops | ...`.

To be started in the repository's root.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from . import cases, machine, peers

DESCRIPTION = "Striate beside its peers, and its plans beside what they could have been."
QUICK_CASES = 3  # a class and batch size
QUICK_SECONDS = 0.2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench.compare", description=DESCRIPTION)
    commands = top.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="measure cases and append the rows to a file")
    run.add_argument("files", nargs="*", type=Path, help="case files (all of bench/cases)")
    run.add_argument("--case", action="append", help="one problem, instead of files")
    run.add_argument("--class", dest="groups", action="append", help="beginning of a class's name")
    run.add_argument("--dir", default=",".join(cases.DIRECTIONS), help="FWD,BWD_D,BWD_W")
    run.add_argument("--layout", default="nchw,nhwc", help="of striate's arrays; peers try both")
    run.add_argument("--batch", help="batch sizes, such as 1,8")
    run.add_argument("--peer", default=",".join(peers.NAMES), help=",".join(peers.NAMES))
    run.add_argument("--memory", default="fresh,reused", help="of pooling and batch norm")
    run.add_argument("--repeat", type=int, default=1, help="whole runs; the report takes medians")
    run.add_argument("--seconds", type=float, help="time for a case and peer (0.6)")
    run.add_argument("--quick", action="store_true", help="a few cases a class, shorter")
    run.add_argument(
        "--limit-seconds", type=float, default=1e9, help="stop then; run again to go on"
    )
    run.add_argument("--output", type=Path, help="JSON-lines file to append to and to go on from")
    run.add_argument("--harness", type=Path, help="striate-bench, for %% of the limit (build/*/)")
    _common(run)

    report = commands.add_parser("report", help="tables of a result file, in Markdown")
    report.add_argument("file", type=Path)
    report.add_argument("--cases", action="store_true", help="every case too")
    report.add_argument("--peer", help="only against these")

    diff = commands.add_parser("diff", help="compare two result files; status 1 on regressions")
    diff.add_argument("before", type=Path)
    diff.add_argument("after", type=Path)
    diff.add_argument("--percent", type=float, default=5.0, help="slower than this is flagged (5)")

    choices = commands.add_parser("choices", help="every algorithm against the one that is chosen")
    choices.add_argument("files", nargs="*", type=Path, help="case files (all of bench/cases)")
    choices.add_argument("--case", action="append", help="one problem, instead of files")
    choices.add_argument("--class", dest="groups", action="append", help="beginning of its name")
    choices.add_argument("--dir", default=",".join(cases.DIRECTIONS), help="FWD,BWD_D,BWD_W")
    choices.add_argument("--layout", default="nchw,nhwc")
    choices.add_argument("--batch", help="batch sizes, such as 1,8")
    choices.add_argument("--quick", action="store_true", help="a few cases a class")
    choices.add_argument(
        "--limit-seconds", type=float, default=1e9, help="stop then; run again to go on"
    )
    choices.add_argument("--output", type=Path, help="JSON lines, to append to and to go on from")
    _common(choices)

    small = commands.add_parser("small", help="small calls, and a training step of LeNet-5")
    _common(small)

    denormals = commands.add_parser("denormals", help="calls on denormal and on ordinary numbers")
    _common(denormals)

    packed = commands.add_parser("packed", help="layers at batch 1 whose weights stay packed")
    _common(packed)

    ops = commands.add_parser("ops", help="activations, norms, resampling and so on")
    ops.add_argument("names", nargs="*", help="beginnings of their names (all)")
    _common(ops)

    errors = commands.add_parser("errors", help="rounding errors of convolutions beside PyTorch's")
    errors.add_argument("--case", action="append", help="one problem, instead of a list of layers")
    errors.add_argument("--dir", default=",".join(cases.DIRECTIONS), help="FWD,BWD_D,BWD_W")
    errors.add_argument("--layout", default="nchw,nhwc", help="of both sides' arrays")
    errors.add_argument("--all", action="store_true", help="every row, not those past the limit")
    _common(errors)

    epoch = commands.add_parser("epoch", help="training a network, a batch each in turn")
    epoch.add_argument("--batches", type=int, default=200, help="how many (default: %(default)s)")
    _common(epoch)
    return top


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--isa", choices=("native", "avx2"), default="native")
    command.add_argument("--threads", type=int, default=2)


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(words)
    try:
        command = {
            "run": _run,
            "report": _report,
            "diff": _diff,
            "choices": _choices,
            "small": _small,
            "denormals": _denormals,
            "packed": _packed,
            "epoch": _epoch,
            "errors": _errors,
            "ops": _ops,
        }[options.command]
        return command(options, shlex.join(words))
    except (ValueError, OSError) as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 2
    except machine.Busy as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 3


def _listed(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    values = text.split(",")
    for value in values:
        if value not in known:
            raise ValueError(f"--{option}: unknown {value!r}, expected {', '.join(known)}")
    return values


def select(options: argparse.Namespace) -> list[cases.Problem]:
    """The problems that the options name."""
    if options.case:
        chosen = [cases.parse_problem(text) for text in options.case]
    else:
        chosen = cases.read_cases(options.files or cases.default_files())
    if options.groups:
        chosen = [p for p in chosen if cases.class_of(p).startswith(tuple(options.groups))]
    if options.batch:
        sizes = {int(size) for size in options.batch.split(",")}
        chosen = [problem for problem in chosen if problem.mb in sizes]
    if options.quick and not options.case:
        chosen = cases.sample(chosen, QUICK_CASES)
    if not chosen:
        raise ValueError("no case is left by the options")
    return chosen


def _run(options: argparse.Namespace, words: str) -> int:
    from . import arrays, running

    machine.prepare(options.isa)
    problems = select(options)
    unknown = sorted({p.op for p in problems} - {"conv", "pool", "bnorm"})
    if unknown:
        raise ValueError(f"no peers for {', '.join(unknown)} yet")
    plan = running.Plan(
        problems=problems,
        directions=_listed("dir", options.dir, cases.DIRECTIONS),
        layouts=_listed("layout", options.layout, arrays.LAYOUTS),
        peer_names=_listed("peer", options.peer, peers.NAMES),
        memories=_listed("memory", options.memory, ("fresh", "reused")),
        repeats=options.repeat,
        seconds=options.seconds or (QUICK_SECONDS if options.quick else 0.6),
        limit_seconds=options.limit_seconds,
        threads=options.threads,
        isa=options.isa,
    )
    sides = running.load_sides(plan)
    harness = options.harness or (None if options.case else machine.find_harness())
    limits = None
    if harness:
        import striate

        isa = os.environ.get("STRIATE_ISA") or striate.get_isa()
        limits = machine.measure_limits(harness, isa, options.threads)
    return 1 if running.run(plan, sides, options.output, limits, words) else 0


def _report(options: argparse.Namespace, words: str) -> int:
    from . import report, results

    wanted = _listed("peer", options.peer, peers.NAMES) if options.peer else None
    print(report.full(results.read(options.file), wanted, options.cases))
    return 0


def _diff(options: argparse.Namespace, words: str) -> int:
    from . import report, results

    found = results.compare(results.read(options.before), results.read(options.after))
    print(report.comparison(found, options.percent))
    return 1 if found.regressions(options.percent) else 0


def _choices(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import arrays, choices, ours

    ours.prepare(options.threads)
    rows, complete = choices.measure(
        select(options),
        _listed("dir", options.dir, cases.DIRECTIONS),
        _listed("layout", options.layout, arrays.LAYOUTS),
        options.output,
        options.limit_seconds,
    )
    print(choices.report(rows))
    if not complete:
        print(f"\nstopped after {options.limit_seconds:.0f} s; run again to go on")
    return 0


def _small(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import small

    print(small.report(options.threads))
    return 0


def _packed(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import packed

    print(packed.report(options.threads))
    return 0


def _errors(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import arrays, errors

    texts = options.case
    found = list(
        errors.rows(
            [cases.parse_problem(text) for text in texts] if texts else errors.default_problems(),
            _listed("dir", options.dir, cases.DIRECTIONS),
            _listed("layout", options.layout, arrays.LAYOUTS),
            options.threads,
        )
    )
    print(errors.report(found, options.all))
    return 0


def _epoch(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import epoch

    print(epoch.report(options.threads, options.batches))
    return 0


def _ops(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import ops

    print(ops.report(options.threads, options.names))
    return 0


def _denormals(options: argparse.Namespace, words: str) -> int:
    machine.prepare(options.isa)
    from . import denormals

    print(denormals.report(options.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
