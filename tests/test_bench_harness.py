"""The native harness: its problem syntax, its messages, and its own check against the reference."""

import os
import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CASES = ROOT / "bench" / "cases"


def find_harness():
    """$STRIATE_BENCH, else the newest striate-bench under build/."""
    if named := os.environ.get("STRIATE_BENCH"):
        return Path(named)
    built = [path for path in (ROOT / "build").glob("*/striate-bench") if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


HARNESS = find_harness()
pytestmark = pytest.mark.skipif(
    HARNESS is None, reason="no build/*/striate-bench; build it or set STRIATE_BENCH"
)


def run(*arguments, status=0):
    result = subprocess.run([HARNESS, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stderr if status == 2 else result.stdout


def checked_problems(*arguments):
    """The problems that a check reports, as the harness prints them, without their settings."""
    return [
        line.split(" 1t ", 1)[1]
        for line in run("--check", "--threads=1", *arguments).splitlines()[:-1]
    ]


def rows_of(out):
    """The words of every timed row: milliseconds, rates, share of the limit, algorithm, request."""
    return [line.split() for line in out.splitlines() if re.match(r" *\d+\.\d{3} ", line)]


def smoke_checks():
    """How many checks the smoke file asks for, a layout, type and thread count."""
    count, directions, algs = 0, 3, 1  # convolution comes first in the file
    for line in (CASES / "smoke.txt").read_text().splitlines():
        if "--op=" in line:
            directions = 2  # no weight
        if found := re.search(r"--alg=(\S+)", line):
            algs = len(found[1].split(","))
        count += directions * algs * bool(re.match(r"(mb|ic|g)\d", line))
    return count


def test_smoke_cases_equal_the_reference():
    out = run(
        "--check",
        "--layout=nchw,nhwc",
        "--dtype=f32,f64",
        "--threads=1,2",
        f"--batch={CASES / 'smoke.txt'}",
    )
    assert "FAILED" not in out
    assert out.splitlines()[-1] == f"{8 * smoke_checks()} checked, 0 failed"


DIRECTIONS = ("FWD", "BWD_D", "BWD_W")
ALGORITHMS = (
    "tiles",
    "depthwise",
    "groups",
    "winograd4",
    "winograd3",
    "winograd2",
    "winograd_rows",
    "polyphase",
)
NETWORKS = sorted({p.stem for p in CASES.glob("*.txt")} - {"pool", "resampling", "smoke"})
MOST_MACS = 1e7  # naive loops need a tenth of a second for them


def layers_of(network):
    """The convolutions of a network, each once: an image, halved until naive loops can do it."""
    layers = set()
    layer = r"(g\d+)?mb\d+ic(\d+)ih(\d+)oc(\d+)oh(\d+)kh(\d+)(sh\d+)?(ph\d+)"
    for line in (CASES / f"{network}.txt").read_text().splitlines():
        if not (found := re.match(layer, line)):
            continue
        groups, stride, padding = found[1] or "g1", found[7] or "", found[8]
        ic, ih, oc, oh, kh = (int(found[i]) for i in (2, 3, 4, 5, 6))
        while ic * oc // int(groups[1:]) * kh * kh * oh * oh > MOST_MACS and oh > 7:
            ih, oh = (ih + 1) // 2, (oh + 1) // 2
        layers.add(f"{groups}mb1ic{ic}ih{ih}oc{oc}kh{kh}{stride}{padding}")
    return sorted(layers)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_layers_of_networks_equal_the_reference(network):
    served = set()
    for layer, algorithm, direction in product(layers_of(network), ALGORITHMS, DIRECTIONS):
        settings = (f"--dir={direction}", "--layout=nchw,nhwc", f"--algorithm={algorithm}")
        result = subprocess.run(
            [HARNESS, "--check", *settings, layer], capture_output=True, text=True, timeout=300
        )
        if result.returncode == 2 and " applies: " in result.stderr:
            continue  # it declines
        assert result.returncode == 0, result.stdout + result.stderr
        served.add((layer, algorithm))
    assert len(served) >= len(layers_of(network))


def test_check_allows_winograd_its_rounding_only():
    problem = "mb1ic32ih16oc32oh16kh3ph1"
    assert "0 failed" in run("--check", "--algorithm=winograd4", problem)
    assert "0 failed" in run("--check", "--algorithm=tiles", problem)


@pytest.mark.parametrize("algorithm", ["tiles", "reference"])
def test_forced_algorithm_is_the_one_timed(algorithm):
    out = run("--min-time=0", "--dir=FWD", f"--algorithm={algorithm}", "mb1ic4ih8oc4kh3ph1")
    (row,) = rows_of(out)
    assert row[6] == algorithm


# The text, and how the harness prints it: output and padding filled in, twins left out.
ROUND_TRIPS = {
    'mb8ic8ih9oc8oh9kh3ph1n"res2a"': 'mb8ic8ih9oc8oh9kh3ph1n"res2a"',
    "ic3ih7oc5kh3": "mb2ic3ih7oc5oh5kh3ph0",
    "ic3ih7oc5oh7kh3": "mb2ic3ih7oc5oh7kh3ph1",
    "g2mb1_ic4ih7_oc6_kh3ph1": "g2mb1ic4ih7oc6oh7kh3ph1",
    "mb1ic3ih10oc4oh10kh4ph1": "mb1ic3ih10oc4oh10kh4ph1",
    "mb1ic3ih14oc4kh3ph2dh1": "mb1ic3ih14oc4oh14kh3ph2dh1",
    "mb1ic3ih8iw9oc4kh3kw2sh2sw1ph1": "mb1ic3ih8iw9oc4oh4ow8kh3kw2sh2sw1ph1pw0",
    "mb1ic3iw9oc4kw3pw1": "mb1ic3iw9oc4ow9kw3pw1",
    "mb1ic3id6oc4kd3pd1": "mb1ic3id6oc4od6kd3pd1",
    "mb1ic3id4ih5oc4kd1kh3ph1": "mb1ic3id4ih5oc4od4oh5kd1kh3pd0ph1",
    "mb1ic3ih6oc4oh3kh1sh2": "mb1ic3ih6oc4oh3kh1sh2ph0",
    "pool:mb1ic3ih9oh5kh2sh2ph0": "mb1ic3ih9oh5kh2sh2ph0",
    "pool:ic3iw9kw3dw1": "mb2ic3iw9ow5kw3pw0dw1",
    "resampling:mb1ic3ih7iw9oh10ow4": "mb1ic3ih7iw9oh10ow4",
    "resampling:mb1ic3id4od8": "mb1ic3id4od8",
    "conv:mb1ic3ih5oc4kh1nplain name": 'mb1ic3ih5oc4oh5kh1ph0n"plain name"',
}


@pytest.mark.parametrize("text", ROUND_TRIPS)
def test_problem_round_trip(text):
    op = text.partition(":")[0] if ":" in text else "conv"
    (printed,) = checked_problems("--dir=FWD", text)
    assert printed == ROUND_TRIPS[text]
    assert checked_problems("--dir=FWD", f"--op={op}", printed) == [printed]


BAD_LINES = {
    "mb8ic64ih": "column 10: 'ih' needs a number",
    "mb8ic64zz4": "column 8: unknown key 'zz' of conv",
    "mb8ic3ic3": "column 7: 'ic' is given twice",
    "mb8+ic3": "column 4: expected a key such as mb, ic or ih, got '+'",
    "ic99999999999999999999": "column 3: the number after 'ic' is too large",
    "ic3ih5oc4kh-3": "column 12: 'kh' must not be negative, got -3",
    'ic3ih5oc4kh3n"a"b': "column 14: the name must end the line with a second quote",
    "what:ic3": "column 1: unknown op 'what', expected conv, pool or resampling",
    "mb8ih5oc4kh3": "ic (input channels) is missing",
    "mb8ic3ih5kh3": "oc (output channels) is missing",
    "ic3oc4": "no spatial size",
    "ic3ih5oc4": "kh is missing",
    "ic3oc4kh3": "ih is missing",
    "ic3ih5oc4kh3kw3": "iw is missing",
    "ic3id5iw5oc4kd3kw3": "d and w are given, but h is missing",
    "ic3ih5oc4kh3sh0": "sh must be positive",
    "ic3ih5oc4kh7": "the kernel reaches over 7, but padded ih is 5",
    "ic3ih5oc4oh2kh3ph0": "oh2 does not fit",
    "g4ic6ih5oc8kh3": "groups=4 must divide the input's 6 channels",
    "pool:ic3ih5oc4kh3": "column 12: unknown key 'oc' of pool",
    "pool:ic3ih5kh2ph2": "padding must be at most half",
    "resampling:ic3ih5oh7kh3": "column 21: unknown key 'kh' of resampling",
    "resampling:ic3ih5": "oh is missing",
    "resampling:ic3ih0oh4": "interpolate: ",
    "--isa=abacus": "unknown instruction set 'abacus'",
    "--layout=nchw,chw": "--layout: unknown 'chw', expected nchw, nhwc",
    "--threads=0": "--threads: must be a number from 1 to 1024, got '0'",
    "--shape=3": "unknown option --shape",
    "--batch=absent.txt": "cannot read absent.txt",
}


@pytest.mark.parametrize("text", BAD_LINES)
def test_bad_lines_are_named(text):
    assert BAD_LINES[text] in run("--check", text, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--alg=median", "pool:ic3ih5kh2"), "--alg: pool has no 'median'"),
        (("--dir=BWD_W", "pool:ic3ih5kh2"), "pool has no weight, so no BWD_W"),
        (("--alg=avg_p", "pool:ic3ih9kh2dh1"), "a mean has no dilation"),
        (("--alg=linear", "resampling:ic3ih7oh9"), "not exact in float32"),
        (
            (
                "--dir=BWD_W",
                "mb1ic1iw16777300oc1kw1",
            ),
            "sums of 1.67773e+07 products are not exact in float32",
        ),
    ],
)
def test_what_an_op_lacks_is_named(arguments, message):
    assert message in run("--check", *arguments, status=2)


def test_unknown_algorithm_is_named():
    assert "no algorithm 'magic'" in run("--check", "--algorithm=magic", "ic3ih5oc4kh3", status=2)


def test_case_file_errors_name_the_line(tmp_path):
    cases = tmp_path / "cases.txt"
    cases.write_text("# fine\n--dir=FWD ic3ih5oc4kh3\n\nic3ih5oc4kh3  icx  # wrong\n")
    message = run("--check", f"--batch={cases}", status=2)
    assert f"{cases}:4: 'icx': column 1: unknown key 'icx' of conv" in message


def test_case_file_options_end_with_the_file(tmp_path):
    cases = tmp_path / "cases.txt"
    cases.write_text("--dir=FWD\nic3ih5oc4kh3\n")
    out = run("--check", f"--batch={cases}", "ic3ih5oc4kh3")
    assert out.splitlines()[-1] == "4 checked, 0 failed"  # 1 from the file, 3 directions after it


@pytest.mark.parametrize("path", sorted(CASES.glob("*.txt")), ids=lambda path: path.name)
def test_every_case_file_parses(path):
    # A bad line at the end stops the run after everything has been read, before anything has run.
    assert "'stop': column 1" in run(f"--batch={path}", "stop", status=2)


def test_timing_prints_limits_and_one_row_a_problem():
    out = run("--min-time=0", "--threads=1", "mb1ic8ih14oc8kh3ph1")
    assert re.search(r"^limits: .*: peak [\d.]+ GFLOP/s; copy L2 [\d.]+", out, re.MULTILINE)
    rows = rows_of(out)
    assert [row[8] for row in rows] == ["FWD", "BWD_D", "BWD_W"]
    for row in rows:
        best, median, gflops = map(float, row[:3])
        assert 0 < best <= median
        assert gflops > 0
