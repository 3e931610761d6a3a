"""Loads `striate._core` so that its threads wait politely.

Between two parallel regions libgomp's threads spin for milliseconds before they sleep. On a machine
with other work to do, the spinning uses up a thread's share of its core, and the next region waits
for the operating system to give it another one: training was ten times slower beside one busy
process. A short spin costs nothing on a quiet machine. libgomp reads the setting from the
environment when it is loaded, so it is set for just that moment, and only where the user has not
decided (OMP_WAIT_POLICY, GOMP_SPINCOUNT).
"""

import os

_SPINS = "10000"  # some tens of microseconds
_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

_undecided = not any(name in os.environ for name in _CHOICES)
if _undecided:
    os.environ["GOMP_SPINCOUNT"] = _SPINS
try:
    from . import _core  # noqa: F401  (loading it is the purpose)
finally:
    if _undecided:
        del os.environ["GOMP_SPINCOUNT"]
