"""Fixtures that every test file may use, and a guard that keeps them from touching each other."""

import pytest
import striate
from striate import _core

THREADS = (1, 2, 3)


@pytest.fixture(autouse=True)
def process_settings_restored():
    """Instruction set and thread count belong to the process; each test gives them back."""
    isa, threads = _core.get_isa(), striate.get_num_threads()
    yield
    _core.set_isa(isa)
    striate.set_num_threads(threads)


@pytest.fixture(scope="session")
def isas():
    """Names of the instruction sets which this machine can run."""
    return list(striate.cpu_info()["isas"])


@pytest.fixture(scope="session")
def machines(isas):
    """Iterate to run the same statements under every instruction set and thread count."""
    return Machines(isas)


class Machines:
    """Every (instruction set, thread count); iterating switches the process over."""

    def __init__(self, isas, threads=THREADS):
        self.isas, self.threads = isas, threads

    def __iter__(self):
        for isa in self.isas:
            _core.set_isa(isa)
            for threads in self.threads:
                striate.set_num_threads(threads)
                yield f"isa={isa} threads={threads}"
