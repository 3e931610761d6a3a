"""A kernel object exports its table and nothing that instruction sets could share.

An inline function with a vague-linkage (weak) symbol is compiled into every object that uses it,
and the linker keeps one: if that is the AVX-512 copy, a machine without AVX-512 dies of an illegal
instruction. Static initialisers would run before any check of the CPU. Both are read off the
objects.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"striate::\w+::\w+_table")
INITIALISERS = (".init_array", ".ctors", ".preinit_array")

pytestmark = pytest.mark.skipif(
    not (shutil.which("nm") and shutil.which("readelf")), reason="needs nm and readelf (binutils)"
)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbol_faults(path):
    """What keeps an object file from being safe to link beside its siblings, one line a fault."""
    tables = []
    for line in run("nm", "-C", "--defined-only", str(path)).splitlines():
        kind, name = re.match(r"[0-9a-f]*\s*(\S) (.*)", line).groups()
        if kind in "WVu" or kind in "wv":
            yield f"weak symbol: {name}"
        elif kind == "i":
            yield f"indirect function: {name}"
        elif kind.isupper():
            tables.append(name)
            if not TABLE.fullmatch(name):
                yield f"strong symbol that is no table: {name}"
    if len(tables) != 1:
        yield f"{len(tables)} strong symbols instead of one table"
    sections = re.findall(r"^\s*\[\s*\d+\]\s+(\S+)", run("readelf", "-SW", str(path)), re.MULTILINE)
    for section in sections:
        if section.startswith(INITIALISERS):
            yield f"static initialiser: section {section}"


def kernel_objects():
    """The built kernel objects: $STRIATE_KERNEL_OBJECTS (a folder), else those under build/."""
    folder = Path(os.environ.get("STRIATE_KERNEL_OBJECTS") or ROOT / "build")
    return sorted(folder.rglob("*.kernel.cc.o"))


def test_kernel_objects_are_safe_to_link():
    objects = kernel_objects()
    if not objects and "STRIATE_KERNEL_OBJECTS" in os.environ:
        pytest.fail("STRIATE_KERNEL_OBJECTS holds no *.kernel.cc.o")
    if not objects:
        pytest.skip("no build folder with *.kernel.cc.o; set STRIATE_KERNEL_OBJECTS to one")
    faults = [f"{path.name} in {path.parent}: {f}" for path in objects for f in symbol_faults(path)]
    assert not faults, "\n".join(faults)


CLEAN = """
    namespace striate::avx2 { extern const int conv_table[1]; const int conv_table[1]{}; }
"""
PLANTED = {
    "weak symbol": """
        inline int shared(int x) { return x * x; }
        namespace striate::avx2 {
        extern int (*const conv_table)(int);
        int (*const conv_table)(int) = shared;
        }
    """,
    "weak symbol: int twice<int>": """
        template <class T> T twice(T x) { return x + x; }
        namespace striate::avx2 {
        extern int (*const conv_table)(int);
        int (*const conv_table)(int) = twice;
        }
    """,
    "strong symbol that is no table: helper": CLEAN + "int helper() { return 1; }",
    "static initialiser": CLEAN + "int seed(); static volatile int now = seed();",
    "0 strong symbols": "static int nothing; int *unused() __attribute__((weak));",
}


@pytest.fixture
def compiled(tmp_path):
    """A function that compiles a source text to an object file."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        pytest.skip("needs a C++ compiler")

    def build(source):
        (tmp_path / "planted.kernel.cc").write_text(source)
        target = tmp_path / "planted.kernel.cc.o"
        run(
            compiler,
            "-std=c++20",
            "-O1",
            "-fno-inline",
            "-c",
            str(tmp_path / "planted.kernel.cc"),
            "-o",
            str(target),
        )
        return target

    return build


def test_a_clean_object_has_no_fault(compiled):
    assert list(symbol_faults(compiled(CLEAN))) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_reported(fault, compiled):
    assert any(line.startswith(fault) for line in symbol_faults(compiled(PLANTED[fault])))
