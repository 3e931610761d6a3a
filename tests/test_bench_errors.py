"""`bench.compare errors`: rounding errors as multiples of PyTorch's."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.compare.__main__ import main
from bench.compare.arrays import Operands
from bench.compare.cases import parse_problem


@pytest.fixture
def torch():
    library = pytest.importorskip("torch", reason="the comparison needs the extra bench")
    threads, recording = library.get_num_threads(), library.is_grad_enabled()
    yield library
    library.set_num_threads(threads)
    library.set_grad_enabled(recording)


def test_a_row_for_each_direction_and_layout(capsys, torch):
    command = ["errors", "--case=mb2ic16ih12oc16kh3ph1", "--dir=FWD,BWD_W", "--all"]
    assert main(command) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| mb2")]
    assert [row.split(" | ")[1:3] for row in rows] == [
        [direction, layout] for direction in ("FWD", "BWD_W") for layout in ("nchw", "nhwc")
    ]
    for row in rows:
        largest, rms = (float(text) for text in row.split("|")[-2].split("/"))
        assert 0 < largest < 20 and 0 < rms < 20


def test_every_draw_is_another():
    problem = parse_problem("mb1ic2ih3oc2kh1")
    first, again, second = (Operands(problem, "nchw", draw) for draw in (0, 0, 1))
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, second.x) and not np.array_equal(first.dy, second.dy)
