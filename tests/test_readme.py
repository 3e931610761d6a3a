"""The Python code in README and training guide runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

PRINTED = (r"'chosen': 'winograd4'", r"0\.[78]\d*")


def test_there_are_two_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example, expected", list(zip(EXAMPLES, PRINTED, strict=True)))
def test_an_example_runs(example, expected):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout)


def test_the_training_guide_runs_from_top_to_bottom(tmp_path):
    guide = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.split()
    assert float(first) > 0.5 and float(last) > 0.7, done.stdout
    assert (tmp_path / "run.safetensors").exists()
