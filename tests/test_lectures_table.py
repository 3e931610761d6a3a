"""What docs/lectures.md names exists, its one-line examples run, the others use what they show."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import nn, optim

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "lectures.md").read_text()
COMPLETE = ("Operations and their gradients", "Numbers to reproduce", "Training and data")


def rows():
    """(section, item, function, test, example), the latter three as the names in backticks."""
    section = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and not line.startswith("| Item"):
            item, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            assert len(cells) == 3, line
            yield section, item, *(re.findall(r"`([^`]+)`", cell) or [cell] for cell in cells)


ROWS = list(rows())
every_row = pytest.mark.parametrize(
    "functions, tests, examples",
    [row[2:] for row in ROWS if row[2] != ["later"]],
    ids=[row[1][:60] for row in ROWS if row[2] != ["later"]],
)


def test_what_is_open_is_said_to_be():
    """Neither page may claim that every item is there while rows read "later"."""
    assert any(row[2] == ["later"] for row in ROWS)
    for text in (PAGE.split("## ")[0], (ROOT / "README.md").read_text()):
        assert 'what is still open says "later"' in " ".join(text.split())


def test_no_row_is_empty():
    assert {section for section, *_ in ROWS} >= set(COMPLETE) and len(ROWS) > 90
    for section, item, *cells in ROWS:
        later = [cell == ["later"] for cell in cells]
        assert item and all(text for cell in cells for text in cell), item
        assert not any(later) or (all(later) and section not in COMPLETE), item


@every_row
def test_a_row_names_what_exists(functions, tests, examples):
    for name in functions:
        first, *path = name.split(".")
        assert first == "striate", name
        found = functools.reduce(getattr, path, striate)
        assert callable(found), name
        assert found.__doc__, name
    for test in tests:
        file, _, name = test.partition("::")
        text = (ROOT / "tests" / file).read_text()
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), test


@every_row
def test_the_example_of_a_row_runs(functions, tests, examples):
    x, w = np.ones((2, 4, 8, 8), np.float32), np.ones((6, 4, 3, 3), np.float32)
    known = {"np": np, "striate": striate, "nn": nn, "optim": optim}
    known.update(x=x, w=w, y=striate.conv2d(x, w))
    for example in examples:
        if example.startswith("examples/"):
            text = (ROOT / example).read_text()
            names = [name.rpartition(".")[2] for name in functions]
            assert any(re.search(rf"(?<!def )\b{name}\b", text) for name in names), example
        else:
            eval(example, known)
