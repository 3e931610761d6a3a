"""The program that compares with other libraries: problems, classes, statistics, regressions.

Times are made up here, but for one run beside PyTorch, of which only the form is looked at.
"""

import json
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import striate
from test_bench_harness import BAD_LINES, ROUND_TRIPS

sys.path.append(str(Path(__file__).parent.parent))

from bench.compare import (
    cases,
    checking,
    denormals,
    machine,
    ours,
    packed,
    report,
    results,
    running,
)
from bench.compare.__main__ import main
from bench.compare.arrays import LAYOUTS, Operands, operations, output_shape, traffic
from bench.compare.cases import class_of, parse_problem, read_cases, sample
from bench.compare.results import Results, geometric_mean, ratios_of
from bench.compare.timing import Timing

# ---- problems ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ROUND_TRIPS)
def test_problems_read_as_the_native_harness_reads_them(text):
    op = text.partition(":")[0] if ":" in text else "conv"
    problem = parse_problem(text)
    printed = ROUND_TRIPS[text]
    assert parse_problem(printed, op) == problem
    assert parse_problem(problem.text) == problem
    # The harness's words, but for a kind of pooling and the names.
    body = problem.text.partition(":")[2] or problem.text
    assert body == printed.partition('n"')[0]


NOT_OF_PROBLEMS = ("--", "g4ic6", "pool:ic3ih5kh2ph2", "resampling:ic3ih0", 'ic3ih5oc4kh3n"a"b')


@pytest.mark.parametrize("text", [t for t in BAD_LINES if not t.startswith(NOT_OF_PROBLEMS)])
def test_bad_problems_are_refused(text):
    with pytest.raises(ValueError, match=r"^'"):
        parse_problem(text)


def test_output_and_padding_follow_from_each_other():
    ragged = parse_problem("pool:mb1ic64ih112oh56kh3sh2ph0").axes[0]
    assert (ragged.pad, ragged.pad_end, ragged.symmetric_pad) == (0, 1, False)
    resnet = parse_problem("mb1ic3ih224oc64oh112kh7sh2ph3").axes[0]
    assert (resnet.pad, resnet.pad_end, resnet.symmetric_pad) == (3, 2, True)


CLASSES = {
    "mb8ic64ih56oc64oh56kh3ph1": "3x3 s1",
    "mb8ic64ih56oc128oh28kh3sh2ph1": "3x3 s2",
    "mb8ic16ih28oc32oh28kh5ph2": "5x5",
    "mb8ic3ih227oc96oh55kh11sh4ph0": "11x11 s4",
    "mb8ic3ih224oc64oh112kh7sh2ph3": "7x7 s2, 3 channels",
    "mb8ic64ih56oc256oh56kh1ph0": "1x1",
    "mb8ic256ih56oc512oh28kh1sh2ph0": "1x1",
    "g2mb8ic96ih27oc256oh27kh5ph2": "grouped",
    "g64mb8ic64ih56oc64oh56kh3ph1": "depthwise",
    "mb8ic3ih224oc64oh224kh3ph1": "other",
    "mb1ic64ih56oc64kh3ph2dh1": "other",
    "mb1ic64iw56oc64kw3pw1": "other",
    "mb1ic64ih56iw56oc64kh3kw1ph1": "other",
    "pool:mb8ic64ih112oh56kh3sh2ph1": "max pooling",
    "pool/avg_np:mb8ic2048ih7oh1kh7sh7ph0": "average pooling",
    "bnorm:mb8ic64ih56": "batch norm + ReLU",
}


@pytest.mark.parametrize("text", CLASSES)
def test_class(text):
    assert class_of(parse_problem(text)) == CLASSES[text]


def test_case_files_cover_every_class_at_both_batch_sizes():
    found = read_cases(cases.default_files())
    assert len(set(found)) == len(found)
    classes = {(class_of(problem), problem.mb) for problem in found}
    for group in cases.CLASSES:
        for batch in (1, 64) if group.startswith("LeNet") else (1, 8):
            assert (group, batch) in classes
    first = next(p for p in found if p.text == "mb8ic64ih56oc64oh56kh3ph1")
    assert {"resnet18:layer1.conv*4", "resnet50:layer1.conv2*3"} <= set(first.sources)
    lenet = {class_of(p) for p in found for s in p.sources if s.startswith(("lenet:", "fashion:"))}
    assert lenet == {"LeNet, Fashion-MNIST"}


def test_sample_keeps_every_class_and_the_order():
    found = read_cases(cases.default_files())
    few = sample(found, 2)
    assert [p for p in found if p in set(few)] == few
    groups = {(class_of(p), p.mb) for p in found}
    assert {(class_of(p), p.mb) for p in few} == groups
    assert len(groups) <= len(few) <= 2 * len(groups)


def test_errors_in_case_files_name_the_line(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("# fine\nmb1ic3ih5oc4kh3\nmb1ic3\n")
    with pytest.raises(ValueError, match=r"bad\.txt:3: .*conv needs ic and oc"):
        read_cases([path])


# ---- operands and their check --------------------------------------------------------------------


def test_operations_and_bytes():
    conv = parse_problem("g2mb8ic64ih56oc32oh28kh3sh2ph1")
    assert operations(conv) == 2 * 8 * 32 * 28 * 28 * 32 * 9
    assert traffic(conv, "BWD_W") == 4 * (8 * 64 * 56**2 + 32 * 32 * 9 + 8 * 32 * 28**2)
    pool = parse_problem("pool:mb1ic4ih8oh4kh2sh2ph0")
    assert traffic(pool, "FWD") == 4 * 4 * (64 + 16)
    assert traffic(pool, "BWD_D") == 4 * 4 * (64 + 16) + 8 * 4 * 16
    assert traffic(parse_problem("bnorm:mb2ic3ih5"), "BWD_D") == 3 * 4 * 150


def test_operands_are_equal_in_both_formats():
    problem = parse_problem("g2mb2ic6ih8oc8kh3ph1")
    first, second = (Operands(problem, layout) for layout in LAYOUTS)
    for name in ("x", "w", "dy"):
        a, b = getattr(first, name), getattr(second, name)
        assert np.array_equal(a, b) and a.ctypes.data % 64 == b.ctypes.data % 64 == 0
        assert a.flags.c_contiguous and np.moveaxis(b, 1, -1).flags.c_contiguous
    assert first.dy.shape == output_shape(problem) == (2, 8, 8, 8)


SMOKE = [
    problem
    for problem in read_cases([cases.CASES / "smoke.txt", cases.NORM_CASES])
    if problem.op in ("conv", "pool", "bnorm") and 0 < prod(output_shape(problem)) < 1e5
]


@pytest.mark.parametrize("problem", SMOKE, ids=lambda problem: problem.text)
def test_striate_passes_the_check(problem):
    if problem.alg == "max" and problem.axes[0].dilation > 1:
        pytest.skip("the comparison has no dilated pooling")
    operands = {layout: Operands(problem, layout) for layout in LAYOUTS}
    for direction in cases.directions_of(problem):
        for memory in ("fresh",) if problem.op == "conv" else ("fresh", "reused"):
            for layout, call in ours.calls(problem, direction, memory, operands).items():
                result = ours.result(call())
                assert checking.error(result, problem, direction, operands[layout]) < 1e-5


def test_a_wrong_tap_a_shape_and_a_nan_are_noticed():
    problem = parse_problem("mb2ic8ih9oc8kh3ph1")
    operands = {"nchw": Operands(problem, "nchw")}
    right = ours.result(ours.calls(problem, "FWD", "fresh", operands)["nchw"]())

    def verdict(answer):
        side = SimpleNamespace(result=lambda value: value)
        mine, theirs = {"nchw": lambda: answer}, {"nchw": lambda: right}
        return running.check(problem, "FWD", operands, side, mine, side, theirs)["wrong"]

    first_image = right.copy()  # beyond the part that is computed again
    first_image[0, 0, 4, 4] += 0.01
    last_pixel = right.copy()
    last_pixel[-1, -1, -1, -1] += 0.01
    hole = right.copy()
    hole[0, 1, 2, 3] = np.nan
    assert not verdict(right)
    assert all(map(verdict, (first_image, last_pixel, hole, right[..., 1:])))


# ---- limits --------------------------------------------------------------------------------------


def test_limits_are_read_from_the_harness():
    text = (
        "Some CPU\nlimits: avx2 f32 2 threads: peak 200.0 GFLOP/s; copy L2 100.0, L3 50.0, "
        "mem 25.0 GB/s\n   min ms\n"
    )
    limits = machine.parse_limits(text, threads=2)
    assert [level[0] for level in limits.levels] == ["L2", "L3", "mem"]
    assert limits.least_time(2e9, 1e3) == (0.01, "peak")
    assert limits.least_time(0, 1e12) == (40.0, "mem")
    assert limits.least_time(0, 1e3) == (1e3 / 100e9, "L2")
    assert machine.Limits.from_dict(json.loads(json.dumps(limits.as_dict()))) == limits
    with pytest.raises(ValueError, match="no limits"):
        machine.parse_limits("striate-bench: no", 1)


# ---- statistics ----------------------------------------------------------------------------------


def session(**changes):
    return {
        "kind": "session",
        "isa": "native",
        "threads": 2,
        "cpu": "a cpu",
        "date": "2026-01-01",
        "command": "run",
        "versions": {"striate": "0"},
        "limits": None,
        **changes,
    }


def row(ours=2.0, theirs=3.0, *, case="mb8ic64ih56oc64oh56kh3ph1", **changes):
    """A row with milliseconds (nchw; or nchw, nhwc) of both sides."""

    def times(values):
        values = values if isinstance(values, tuple) else (values,)
        return {
            layout: {"best": value / 1e3, "median": value / 1e3, "alone": value / 1e3}
            for layout, value in zip(LAYOUTS, values, strict=False)
        }

    problem = parse_problem(case)
    return {
        "kind": "row",
        "case": problem.text,
        "name": "net:layer",
        "class": class_of(problem),
        "batch": problem.mb,
        "dir": "FWD",
        "memory": "fresh",
        "peer": "pytorch",
        "repeat": 0,
        "ours": times(ours),
        "theirs": times(theirs),
        "limit": {"seconds": 1e-3, "of": "peak"},
        "algorithm": {"nchw": "tiles"},
        "error": {"ours": 1e-6, "theirs": 2e-6},
        "wrong": False,
        "noisy": False,
        **changes,
    }


def file_of(path, *rows, **changes):
    path.write_text("".join(json.dumps(line) + "\n" for line in (session(**changes), *rows)))
    return path


def only_case(*rows, isa="native"):
    (case,) = results.cases_of(Results([session(isa=isa)], list(rows)))
    return case


def test_each_layout_is_compared_with_the_best_layout_of_the_peer():
    assert ratios_of(row((2.0, 4.0), (8.0, 6.0))) == pytest.approx({"nchw": 3.0, "nhwc": 1.5})


def test_best_peer_by_ratio_and_not_by_time():
    # The second run was slower on both sides, and the peer of that run is the better one.
    case = only_case(row(2.0, 3.0), row(4.0, 5.0, peer="openvino"))
    assert case.ratio["nchw"] == pytest.approx(1.25)
    assert case.peer["nchw"] == "openvino"
    assert case.peer_ms == pytest.approx(5.0)


def test_medians_over_repeats():
    times = ((2.0, 3.0), (2.0, 30.0), (1.0, 1.0))
    case = only_case(*(row(a, b, repeat=i) for i, (a, b) in enumerate(times)))
    assert case.ratio["nchw"] == pytest.approx(1.5)
    assert case.ms["nchw"] == pytest.approx(2.0)
    assert case.percent["nchw"] == pytest.approx(50.0)


def test_a_peer_that_cannot_be_limited_is_not_the_best():
    rows = row(2.0, 3.0), row(2.0, 1.0, peer="onnxruntime")
    assert only_case(*rows).peer["nchw"] == "onnxruntime"
    assert only_case(*rows, isa="avx2").peer["nchw"] == "pytorch"


def test_noise_is_a_ratio_that_moves_not_times_that_do():
    def timing(best, alone, median=None):
        return Timing(best, median or best, alone)

    cache = {("ours", "nchw"): timing(2.0, 1.0), ("theirs", "nchw"): timing(4.0, 2.0)}
    assert running.disturbance(cache) == pytest.approx(0.0)
    hindered = {("ours", "nchw"): timing(2.0, 1.0), ("theirs", "nchw"): timing(4.0, 4.0)}
    assert running.disturbance(hindered) == pytest.approx(1.0)
    unsteady = {**cache, ("ours", "nchw"): timing(2.0, 1.0, median=4.0)}
    assert [running.is_noisy(t) for t in (cache, hindered, unsteady)] == [False, True, True]


def test_a_busy_machine_does_not_add_to_a_file():
    def limits(flops, copy):
        return machine.Limits(flops, (("L2", 1e6, copy), ("mem", 1e18, 1e10)))

    known = Results([session(limits=limits(4e11, 1e11).as_dict())], [])
    running.refuse_if_busy(limits(3.5e11, 0.9e11), known)
    running.refuse_if_busy(None, known)
    for busy in (limits(2e11, 1e11), limits(4e11, 1e10)):
        with pytest.raises(machine.Busy, match="the machine is busy"):
            running.refuse_if_busy(busy, known)


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 8.0, 1.0]) == pytest.approx(2.0)


def test_report_has_classes_batches_and_what_is_behind(tmp_path):
    one_by_one = "mb1ic64ih14oc64oh14kh1ph0"
    pool = "pool/max:mb8ic64ih112oh56kh3sh2ph1"
    path = file_of(
        tmp_path / "r.jsonl",
        row((2.0, 1.0), (4.0, 5.0)),
        row((1.0, 1.0), (0.5, 0.6), case=one_by_one, dir="BWD_W"),
        row((1.0, 1.0), (2.0, 2.0), case=pool, memory="reused"),
    )
    text = report.full(results.read(path), every_case=True)
    assert "| 3x3 s1 |     1 | 2.00 (50) | 4.00 (100) |" in text
    assert "| max pooling |     1 |      2.00 (100) |      2.00 (100) |" in text
    assert "### Batch 1\n" in text and "### Batch 8\n" in text
    assert "### Below 0.97: 2 of 6" in text
    assert text.count(f"| {one_by_one}") == 3  # nchw, nhwc, and the list of all
    for block in text.split("\n\n"):
        widths = {len(line) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1  # columns are aligned


# ---- files ---------------------------------------------------------------------------------------


def test_a_cut_last_line_is_passed_over_and_others_are_not(tmp_path):
    path = file_of(tmp_path / "r.jsonl", row())
    path.write_text(path.read_text() + '{"kind": "ro')
    assert len(results.read(path).rows) == 1
    path.write_text('{"kind": "ro\n' + path.read_text())
    with pytest.raises(ValueError, match=r"r\.jsonl:1"):
        results.read(path)


def test_sessions_of_different_machines_do_not_mix(tmp_path):
    path = file_of(tmp_path / "r.jsonl", row(), session(isa="avx2"))
    with pytest.raises(ValueError, match="different isa"):
        results.read(path)


# ---- regressions ---------------------------------------------------------------------------------


def diff(before, after, capsys):
    status = main(["diff", str(before), str(after)])
    return status, capsys.readouterr().out


def test_diff_flags_what_became_slower_beside_its_peer(tmp_path, capsys):
    other = "mb1ic64ih14oc64oh14kh1ph0"
    before = file_of(tmp_path / "a", row((2.0, 2.0), 3.0), row(1.0, 1.0, case=other))
    # The machine was twice as slow; one layout lost 10 %, everything else kept its ratio.
    after = file_of(tmp_path / "b", row((4.4, 4.0), 6.0), row(2.0, 2.0, case=other))
    status, out = diff(before, after, capsys)
    assert status == 1
    assert "Slower by more than 5 %: 1 of 3" in out
    assert "| mb8ic64ih56oc64oh56kh3ph1 | FWD |   nchw |   1.50 |  1.36 |" in out
    assert "3x3 s1 FWD nchw | -9.1 %" in out and "3x3 s1 FWD nhwc | +0.0 %" in out
    assert diff(after, before, capsys)[0] == 0


def test_diff_allows_five_percent(tmp_path, capsys):
    before = file_of(tmp_path / "a", row(2.0, 3.0))
    assert diff(before, file_of(tmp_path / "b", row(2.09, 3.0)), capsys)[0] == 0
    assert diff(before, file_of(tmp_path / "c", row(2.11, 3.0)), capsys)[0] == 1


def test_diff_takes_only_peers_that_both_files_have(tmp_path, capsys):
    before = file_of(tmp_path / "a", row(2.0, 4.0))
    after = file_of(tmp_path / "b", row(2.0, 4.0), row(2.0, 2.0, peer="openvino"))
    assert diff(before, after, capsys)[0] == 0


def test_diff_tells_cases_that_only_one_file_has(tmp_path, capsys):
    other = "mb1ic64ih14oc64oh14kh1ph0"
    before, after = file_of(tmp_path / "a", row()), file_of(tmp_path / "b", row(case=other))
    status, out = diff(before, after, capsys)
    assert status == 0 and "Only in the first file: 1" in out and "Only in the second: 1" in out


def test_diff_refuses_other_settings(tmp_path, capsys):
    before = file_of(tmp_path / "a", row())
    assert main(["diff", str(before), str(file_of(tmp_path / "b", row(), threads=1))]) == 2
    assert "threads [1, 2]" in capsys.readouterr().err
    assert main(["diff", str(before), str(tmp_path / "absent")]) == 2


# ---- the whole program ---------------------------------------------------------------------------


@pytest.fixture
def torch():
    library = pytest.importorskip("torch", reason="the comparison needs the extra bench")
    threads, recording = library.get_num_threads(), library.is_grad_enabled()
    yield library
    library.set_num_threads(threads)
    library.set_grad_enabled(recording)


def test_run_beside_pytorch_and_go_on(tmp_path, capsys, torch):
    path = tmp_path / "r.jsonl"
    shapes = (
        "mb2ic6ih9oc8kh3sh2ph1",
        "g2mb1ic4iw9oc6kw3pw1",
        "pool:ic3ih8oh4kh3sh2",
        "bnorm:ic4ih6",
    )
    command = ["run", "--peer=pytorch", "--seconds=0.001", f"--output={path}", "--repeat=2"]
    command += [f"--case={shape}" for shape in shapes]
    assert main([*command, "--limit-seconds=0"]) == 0
    assert not results.read(path).rows and "stopped after 0 s" in capsys.readouterr().out
    assert main(command) == 0
    found = results.read(path)
    assert len(found.rows) == 2 * (3 + 3 + 2 * 2 + 2 * 2)
    assert not any(one["wrong"] for one in found.rows)
    assert len(results.cases_of(found)) == len(found.rows) / 2
    path.write_text(path.read_text()[:-20])  # killed while it wrote the last row
    assert main(command) == 0
    assert len(results.read(path).rows) == len(found.rows)
    capsys.readouterr()
    assert main(["report", str(path)]) == 0
    assert "medians of 2 runs" in capsys.readouterr().out


def test_of_packed_layers_only_the_parameter_is_kept():
    for layer in packed.LAYERS[:4]:
        with striate.no_grad():
            before = striate.packed_weights_stats()["held_forms"]
            calls, parameter = packed.of(layer, False)
            assert parameter.packed_weights().forms == 1
            assert np.array_equal(calls["tensor"]().data, calls["parameter"]().data)
            assert striate.packed_weights_stats()["held_forms"] == before + 1
            del calls, parameter


def test_denormal_calls_compute_on_denormals():
    calls = denormals.calls()
    assert {title.split()[0] for title in calls} == {"conv2d", "max", "average", "batch"}
    for title, pair in calls.items():
        normal, denormal = (ours.result(call()).copy() for call in pair.values())
        assert np.isfinite(denormal).all() and np.abs(denormal).max() < np.abs(normal).max(), title
    kept = calls["max pooling 2x2"]["denormal"]()
    assert 0 < np.abs(kept).max() < np.finfo(np.float32).tiny


def test_bad_options_are_named(capsys):
    for option, message in (
        ("--dir=SIDEWAYS", "--dir: unknown 'SIDEWAYS'"),
        ("--case=mb8", "'mb8': conv needs ic"),
        ("--case=resampling:ic3ih4oh8", "no peers for resampling"),
        ("--class=9x9", "no case is left"),
    ):
        assert main(["run", option]) == 2
        assert message in capsys.readouterr().err
