"""What `import striate` costs: the modules that it adds to NumPy's are listed, all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ADDED = {
    "striate",
    "striate._core",
    "striate._load",
    "striate.autograd",
    "striate.autograd.arithmetic",
    "striate.autograd.arrays",
    "striate.autograd.finite_differences",
    "striate.autograd.jacobian",
    "striate.autograd.tape",
    "striate.autograd.tensor",
    "striate.ops",
    "striate.ops.adaptive_pool",
    "striate.ops.arguments",
    "striate.ops.avg_pool",
    "striate.ops.channel_pool",
    "striate.ops.conv",
    "striate.ops.conv_grad",
    "striate.ops.conv_transpose",
    "striate.ops.convolve",
    "striate.ops.class_loss",
    "striate.ops.curves",
    "striate.ops.dropout",
    "striate.ops.explain",
    "striate.ops.group_norm",
    "striate.ops.layout",
    "striate.ops.linear",
    "striate.ops.logistic",
    "striate.ops.loss",
    "striate.ops.lp_pool",
    "striate.ops.max_pool",
    "striate.ops.norm",
    "striate.ops.pad",
    "striate.ops.resample",
    "striate.ops.shuffle",
    "striate.ops.take",
    "striate.ops.probability_loss",
    "striate.ops.rectifiers",
    "striate.ops.regression_loss",
    "striate.ops.response_norm",
    "striate.ops.sigmoids",
    "striate.ops.softmax",
    "striate.ops.sample",
    "striate.ops.threads",
    "striate.ops.unfold",
    "striate.ops.unpool",
    "striate.ops.weighted_pool",
    "striate.ops.workspace",
}


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )


def test_import_adds_exactly_these_modules():
    done = run(
        "import json, sys, numpy\n"
        "before = set(sys.modules)\n"
        "import striate\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert done.stderr == ""
    # Some NumPy and Python versions import these two standard modules themselves, others do not.
    light = {"__future__", "importlib"}
    added = {name for name in json.loads(done.stdout) if name.partition(".")[0] not in light}
    assert added == ADDED


def test_rooms_are_imported_when_named():
    done = run(
        "import sys, striate\n"
        "assert 'striate.nn' not in sys.modules and 'nn' in dir(striate)\n"
        "striate.nn.ReLU, striate.optim.SGD\n"
        "assert 'striate.nn' in sys.modules\n"
        "for name in striate.autograd.__all__: getattr(striate.autograd, name)\n"
        "for name in set(striate.__all__) - set(striate._LAZY): getattr(striate, name)\n"
        "try: striate.nothing\n"
        "except AttributeError as error: print(error)"
    )
    assert done.stdout == "module 'striate' has no attribute 'nothing'\n"


def test_the_type_annotations_are_announced():
    done = run("import striate; print(*striate.__path__)")
    assert (Path(done.stdout.strip()) / "py.typed").exists()


def test_libgomp_is_told_to_spin_briefly_and_the_environment_is_left_alone():
    program = (
        "import os, striate\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))\n"
        "import ctypes\n"
        "getenv = ctypes.CDLL(None).getenv\n"
        "getenv.restype = ctypes.c_char_p\n"
        "print(getenv(b'GOMP_SPINCOUNT'))\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    loaded = dict(clean, OMP_DISPLAY_ENV="verbose")
    done = subprocess.run(
        [sys.executable, "-c", program], env=loaded, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["None", "None"]
    assert "GOMP_SPINCOUNT = '10000'" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(loaded, GOMP_SPINCOUNT="77"),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["77", "b'77'"] and "GOMP_SPINCOUNT = '77'" in done.stderr
