"""striate as a C++ library: installed without Python, found by CMake, used by examples/cpp."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPILER = os.environ.get("CXX") or shutil.which("c++")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("cmake") and COMPILER), reason="needs cmake and a C++ compiler"
    ),
]


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The component `core`, built and installed on its own."""
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("prefix")
    run("cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build, "--target", "striate_core", "--parallel", "2")
    run("cmake", "--install", build, "--component", "core", "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def example(prefix, tmp_path_factory):
    build = tmp_path_factory.mktemp("example")
    run("cmake", "-S", ROOT / "examples" / "cpp", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build)
    return build / "blur"


def test_external_program_finds_the_package_and_runs(example):
    rows = [[float(word) for word in line.split()] for line in run(example).splitlines()]
    # Each pixel: how many of the four bright ones its window holds.
    expected = [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    assert [[round(value, 4) for value in row] for row in rows] == expected


def test_every_installed_header_stands_alone(prefix, tmp_path):
    include = prefix / "include" / "striate"
    headers = sorted(path.relative_to(include) for path in include.rglob("*.h"))
    assert Path("ops/conv.h") in headers
    source = tmp_path / "alone.cc"
    for header in headers:
        source.write_text(f'#include "{header}"\n#include "{header}"\n')
        run(COMPILER, "-std=c++20", "-fsyntax-only", "-Wall", "-Werror", f"-I{include}", source)


def test_nothing_installed_knows_python_or_the_build_machine(prefix):
    files = [path for path in prefix.rglob("*") if path.is_file()]
    assert any(path.name == "striateConfig.cmake" for path in files)
    for path in files:
        if path.suffix in {".h", ".cmake"}:
            text = path.read_text()
            assert not re.search(r"pybind11|Python\.h", text), path
            assert str(ROOT) not in text, path


def test_wrong_version_is_refused(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(probe LANGUAGES CXX)\n"
        "find_package(striate 99 REQUIRED)\n"
    )
    result = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}"],
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert 'compatible with requested version "99"' in " ".join(result.stderr.split())
