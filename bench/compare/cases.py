"""Problems as text, and the classes they are reported in.

The text is that of oneDNN's benchdnn as `bench/native/problem.h` tells it; this is a second, small
reader of it, for a program that works without the native one. `bnorm` (batch norm + ReLU) is an op
of this reader alone.

A case is one distinct problem: where two networks share a layer it is timed once, and it weighs as
much as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

CASES = Path(__file__).resolve().parent.parent / "cases"
NORM_CASES = Path(__file__).resolve().parent / "bnorm.txt"

OPS = {  # op: its kinds, the first being the default
    "conv": ("",),
    "pool": ("max", "avg_np", "avg_p"),
    "resampling": ("nearest", "linear"),
    "bnorm": ("",),
}
DIRECTIONS = ("FWD", "BWD_D", "BWD_W")

CLASSES = (
    "3x3 s1",
    "3x3 s2",
    "5x5",
    "11x11 s4",
    "7x7 s2, 3 channels",
    "1x1",
    "LeNet, Fashion-MNIST",
    "grouped",
    "depthwise",
    "other",
    "max pooling",
    "average pooling",
    "batch norm + ReLU",
)


@dataclass(frozen=True)
class Axis:
    """One spatial axis; dilation 1 is dense (the text says 0)."""

    input: int
    output: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    pad_end: int = 0
    dilation: int = 1

    @property
    def symmetric_pad(self) -> bool:
        """Whether `pad` on both sides gives the same output, as one number a side can say it."""
        reach = (self.kernel - 1) * self.dilation + 1
        return (self.input + 2 * self.pad - reach) // self.stride + 1 == self.output


@dataclass(frozen=True)
class Problem:
    """A problem with its spatial axes in the order d, h, w (the last `rank` of them)."""

    op: str
    mb: int
    ic: int
    axes: tuple[Axis, ...]
    oc: int = 0
    g: int = 1
    alg: str = ""
    sources: tuple[str, ...] = field(default=(), compare=False)  # "resnet50:layer1.conv2*3"

    @property
    def rank(self) -> int:
        return len(self.axes)

    def sizes(self, name: str) -> tuple[int, ...]:
        return tuple(getattr(axis, name) for axis in self.axes)

    @property
    def text(self) -> str:
        """The problem in a form that says everything, and equal for equal problems."""
        shown = list(zip("dhw"[3 - self.rank :], self.axes, strict=True))
        while len(shown) > 1 and shown[-1][1] == shown[-2][1]:  # told by its twin
            shown.pop()
        named = [(f"g{self.g}" if self.g != 1 else "") + f"mb{self.mb}ic{self.ic}"]

        def add(key: str, name: str, offset: int = 0, always: bool = True) -> None:
            if always or any(getattr(axis, name) != 1 for _, axis in shown):
                named.extend(f"{key}{a}{getattr(axis, name) - offset}" for a, axis in shown)

        add("i", "input")
        if self.op == "conv":
            named.append(f"oc{self.oc}")
        if self.op != "bnorm":
            add("o", "output")
        if self.op in ("conv", "pool"):
            add("k", "kernel")
            add("s", "stride", always=False)
            add("p", "pad")
            add("d", "dilation", 1, always=False)
        kind = self.op + (f"/{self.alg}" if self.alg else "")
        return ("" if self.op == "conv" else f"{kind}:") + "".join(named)


_PAIR = re.compile(r"_*([a-z]+)(\d+)")
_AXIS_FIELDS = {
    "i": "input",
    "o": "output",
    "k": "kernel",
    "s": "stride",
    "p": "pad",
    "d": "dilation",
}


_AXIS_KEYS = {"conv": "iokspd", "pool": "iokspd", "resampling": "io", "bnorm": "i"}


def parse_problem(text: str, op: str = "conv", alg: str = "") -> Problem:
    """One line of benchdnn's syntax; ValueError says what is wrong with it."""
    prefix, colon, body = text.partition(":")
    if not colon or '"' in prefix:  # the colon of a name
        body = text
    else:
        op, _, alg = prefix.partition("/")
    pairs, _, name = body.partition("n")  # no key has an n
    if op not in OPS:
        raise ValueError(f"{text!r}: unknown op {op!r}, expected {', '.join(OPS)}")
    alg = alg or OPS[op][0]
    if alg not in OPS[op]:
        raise ValueError(f"{text!r}: {op} has no {alg!r}")
    given: dict[str, int] = {}
    at = 0
    while at < len(pairs.rstrip("_")):
        found = _PAIR.match(pairs, at)
        if not found:
            raise ValueError(f"{text!r}: expected a key and a number at {pairs[at:]!r}")
        if found[1] in given:
            raise ValueError(f"{text!r}: {found[1]!r} is given twice")
        given[found[1]] = int(found[2])
        at = found.end()
    return _finish(text, op, alg, given, name.strip('"'))


def _finish(text: str, op: str, alg: str, given: dict[str, int], name: str) -> Problem:
    plain = {key: given.pop(key, None) for key in ("mb", "ic", "oc", "g")}
    if plain["ic"] is None or (op == "conv") != (plain["oc"] is not None):
        raise ValueError(f"{text!r}: {op} needs ic" + (" and oc" if op == "conv" else " and no oc"))
    by_letter: dict[str, dict[str, int]] = {}
    for key, value in given.items():
        if len(key) != 2 or key[0] not in _AXIS_KEYS[op] or key[1] not in "dhw":
            raise ValueError(f"{text!r}: unknown key {key!r} of {op}")
        by_letter.setdefault(key[1], {})[_AXIS_FIELDS[key[0]]] = value
    silent = {"stride": 1, "pad": 0, "dilation": 0}  # these alone do not make an axis
    axes = {
        letter: _axis(text, op, letter, values)
        for letter, values in by_letter.items()
        if any(silent.get(key) != value for key, value in values.items())
    }
    if not axes or ("d" in axes and "w" in axes and "h" not in axes):
        raise ValueError(f"{text!r}: a spatial size is missing")
    if "d" in axes:
        h = axes.get("h", axes["d"])
        shape = (axes["d"], h, axes.get("w", h))
    elif "h" in axes:
        shape = (axes["h"], axes.get("w", axes["h"]))
    else:
        shape = (axes["w"],)
    mb = 2 if plain["mb"] is None else plain["mb"]
    problem = Problem(op, mb, plain["ic"], shape, plain["oc"] or 0, plain["g"] or 1, alg)
    return replace(problem, sources=(name,) if name else ())


def _axis(text: str, op: str, letter: str, values: dict[str, int]) -> Axis:
    if "input" not in values:
        raise ValueError(f"{text!r}: i{letter} is missing")
    size = values["input"]
    if op == "bnorm":
        return Axis(size, size)
    if op == "resampling":
        if "output" not in values:
            raise ValueError(f"{text!r}: o{letter} is missing")
        return Axis(size, values["output"])
    if "kernel" not in values:
        raise ValueError(f"{text!r}: k{letter} is missing")
    kernel, stride = values["kernel"], values.get("stride", 1)
    dilation = values.get("dilation", 0) + 1
    if kernel < 1 or stride < 1:
        raise ValueError(f"{text!r}: k{letter} and s{letter} must be positive")
    reach = (kernel - 1) * dilation + 1
    output = values.get("output")
    if output is None:
        spare = size + 2 * values.get("pad", 0) - reach
        if spare < 0:
            raise ValueError(f"{text!r}: the kernel reaches over the padded i{letter}")
        output = spare // stride + 1
        pad = values.get("pad", 0)
    else:
        pad = values.get("pad", max(((output - 1) * stride + reach - size) // 2, 0))
    pad_end = (output - 1) * stride + reach - size - pad
    if pad_end <= -stride:
        raise ValueError(f"{text!r}: o{letter}{output} does not fit")
    return Axis(size, output, kernel, stride, pad, pad_end, dilation)


# ---- files ---------------------------------------------------------------------------------------


def read_cases(paths: Iterable[Path]) -> list[Problem]:
    """The distinct problems of case files, in their order; each knows all its names."""
    found: dict[Problem, tuple[str, ...]] = {}
    for path in paths:
        for problem in _read_file(path):
            names = tuple(f"{path.stem}:{name}" for name in problem.sources or ("",))
            found[problem] = found.get(problem, ()) + names
    return [replace(problem, sources=sources) for problem, sources in found.items()]


def _read_file(path: Path) -> Iterable[Problem]:
    op, algs = "conv", [""]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for token in re.findall(r'#.*|(?:"[^"]*"|[^\s"#])+', line):
            if token.startswith("#"):
                break
            try:
                if token.startswith("--op="):
                    op, algs = token[5:], [""]
                elif token.startswith("--alg="):
                    algs = token[6:].split(",")
                elif token.startswith("--"):
                    raise ValueError(f"{token!r} says nothing to this program")
                else:
                    yield from (parse_problem(token, op, alg) for alg in algs)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None


def default_files() -> list[Path]:
    """All networks, pooling and batch norm; not what is for checks alone (smoke), nor resizing."""
    passed_over = {"smoke.txt", "resampling.txt"}
    return [p for p in sorted(CASES.glob("*.txt")) if p.name not in passed_over] + [NORM_CASES]


# ---- classes -------------------------------------------------------------------------------------


def class_of(problem: Problem) -> str:
    """The row of the results that a problem counts in."""
    if problem.op == "pool":
        return "max pooling" if problem.alg == "max" else "average pooling"
    if problem.op == "bnorm":
        return "batch norm + ReLU"
    networks = {source.partition(":")[0] for source in problem.sources}
    if networks and networks <= {"lenet", "fashion"}:
        return "LeNet, Fashion-MNIST"
    if problem.op == "conv" and problem.g > 1:
        return "depthwise" if problem.g == problem.ic else "grouped"
    first = problem.axes[0]
    form = (first.kernel, first.stride)
    same = all(a.kernel == first.kernel and a.stride == first.stride for a in problem.axes)
    if problem.op != "conv" or problem.rank != 2 or not same or first.dilation != 1:
        return "other"
    wide = min(problem.ic, problem.oc) >= 32
    if form == (3, 1) and wide:
        return "3x3 s1"
    if form == (3, 2) and wide:
        return "3x3 s2"
    if form == (5, 1):
        return "5x5"
    if form == (11, 4):
        return "11x11 s4"
    if form == (7, 2) and problem.ic == 3:
        return "7x7 s2, 3 channels"
    if form in ((1, 1), (1, 2)):
        return "1x1"
    return "other"


def directions_of(problem: Problem) -> tuple[str, ...]:
    return DIRECTIONS if problem.op == "conv" else DIRECTIONS[:2]


def sample(problems: Sequence[Problem], each: int) -> list[Problem]:
    """At most `each` cases of every class and batch size, evenly spread over the list."""
    groups: dict[tuple[str, int], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((class_of(problem), problem.mb), []).append(problem)
    kept = set()
    for group in groups.values():
        count = min(each, len(group))
        kept.update(group[(2 * i + 1) * len(group) // (2 * count)] for i in range(count))
    return [problem for problem in problems if problem in kept]
