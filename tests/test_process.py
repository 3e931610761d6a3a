"""Being a good guest in a process: fork, threads, floating-point state, environment, old CPUs.

Whatever may hang or die runs in a process of its own with a time limit.
"""

import ctypes
import mmap
import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import striate
from striate import _core

ON_X86 = platform.machine() == "x86_64"
THREAD_VARIABLES = ("STRIATE_NUM_THREADS", "OMP_NUM_THREADS", "STRIATE_ISA")


def clean_environment(**variables):
    kept = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
    return {**kept, **variables}


def python(program, *, launcher=(), timeout=120, preexec_fn=None, **variables):
    """Run a program text in a fresh interpreter; its finished process."""
    return subprocess.run(
        [*launcher, sys.executable, "-c", textwrap.dedent(program)],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=preexec_fn,
    )


def answer(program, **keywords):
    """What a program prints, having ended well."""
    ran = python(program, **keywords)
    assert ran.returncode == 0, f"status {ran.returncode}\n{ran.stderr[-3000:]}"
    return ran.stdout.strip()


# ---- fork --------------------------------------------------------------------------------

FORKS = """
    import os, sys, threading, time
    import numpy as np
    import striate

    striate.set_num_threads(2)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 32, 40, 40)).astype(np.float32)
    w = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)

    def results():
        y = striate.conv2d(x, w, padding=1)
        dx = striate.conv2d_input_grad(x.shape, w, y, padding=1)
        dw = striate.conv2d_weight_grad(x, w.shape, y, padding=1)
        pooled = striate.max_pool2d(y, 2)
        return b"".join(a.tobytes() for a in (y, dx, dw, pooled))

    want = results()

    def child_is_right(limit=30):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if results() == want else 3)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.002)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        return False
"""


def test_fifty_of_fifty_forked_children_compute():
    program = textwrap.dedent(FORKS) + textwrap.dedent("""
        right = sum(child_is_right() for _ in range(50))
        print(right, results() == want)
    """)
    assert answer(program, timeout=300) == "50 True"


def test_fork_while_another_thread_is_inside_a_convolution():
    """The child inherits whatever that thread held at the moment of the fork."""
    program = textwrap.dedent(FORKS) + textwrap.dedent("""
        stop = threading.Event()
        wrong = []

        def work():
            while not stop.is_set():
                if results() != want:
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        right = 0
        for _ in range(40):
            time.sleep(0.003)
            right += child_is_right()
        stop.set()
        for thread in threads:
            thread.join()
        print(right, len(wrong))
    """)
    assert answer(program, timeout=400) == "40 0"


def test_a_child_of_a_child_computes():
    program = textwrap.dedent(FORKS) + textwrap.dedent("""
        pid = os.fork()
        if pid == 0:
            os._exit(0 if results() == want and child_is_right() else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """)
    assert answer(program) == "0"


# ---- Python threads ----------------------------------------------------------------------


def problem(n=2, channels=24, size=30):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, channels, size, size)).astype(np.float32)
    return x, rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)


def test_thirty_two_threads_at_once_get_the_same_bits():
    x, w = problem()

    def results():
        y = striate.conv2d(x, w, padding=1)
        dw = striate.conv2d_weight_grad(x, w.shape, y, padding=1)
        return y.tobytes() + dw.tobytes() + striate.max_pool2d(y, 2).tobytes()

    striate.set_num_threads(2)
    want, got = results(), []
    barrier = threading.Barrier(32)

    def work():
        barrier.wait()
        got.extend(results() == want for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 160


LONG_CALLS = {
    "conv2d": lambda x, w, y: striate.conv2d(x, w, padding=1),
    "conv2d_input_grad": lambda x, w, y: striate.conv2d_input_grad(x.shape, w, y, padding=1),
    "conv2d_weight_grad": lambda x, w, y: striate.conv2d_weight_grad(x, w.shape, y, padding=1),
    "max_pool2d": lambda x, w, y: striate.max_pool2d(x, 13, stride=1, padding=6),
    "avg_pool2d": lambda x, w, y: striate.avg_pool2d(x, 13, stride=1, padding=6),
}


@pytest.mark.parametrize("op", LONG_CALLS)
def test_the_gil_is_released(op, isas):
    """While one thread is inside a long call, this one keeps ticking."""
    _core.set_isa(isas[0])
    striate.set_num_threads(1)
    x, w = problem(320 if "pool" in op else 40, 48, 56)
    y = np.ones_like(x)
    span = []

    def work():
        start = time.perf_counter()
        LONG_CALLS[op](x, w, y)
        span.extend((start, time.perf_counter()))

    thread = threading.Thread(target=work)
    ticks = [time.perf_counter()]
    thread.start()
    while thread.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.0005)
    start, end = span
    inside = [t for t in ticks if start <= t <= end]
    longest = max(np.diff([start, *inside, end]))
    assert end - start > 0.03, "the call is too short to judge"
    assert longest < 0.6 * (end - start)


def test_interrupt_ends_a_long_computation():
    program = """
        import numpy as np, striate
        x, w = np.ones((8, 32, 56, 56), np.float32), np.ones((32, 32, 3, 3), np.float32)
        print("ready", flush=True)
        try:
            while True:
                striate.conv2d(x, w, exact=True)
        except KeyboardInterrupt:
            print("interrupted", striate.conv2d(x, w, exact=True)[0, 0, 0, 0])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out.strip() == "interrupted 288.0"
    assert time.monotonic() - start < 2


def test_ctrl_c_ends_a_kernel_that_is_running():
    """One call of seconds: it does not have to end first, and the next call is right."""
    program = """
        import os, signal, threading, time
        import numpy as np, striate
        x, w = np.ones((64, 128, 112, 112), np.float32), np.ones((128, 128, 5, 5), np.float32)
        striate.set_num_threads(2)
        pressed = []
        def press():
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, press).start()
        try:
            striate.conv2d(x, w, padding=2, exact=True)
            print("ran to its end")
        except KeyboardInterrupt:
            print("late" if time.monotonic() - pressed[0] > 1 else "in time")
        print(striate.conv2d(x[:1, :, :8, :8], w, padding=2, exact=True)[0, 0, 4, 4])
    """
    assert answer(program).splitlines() == ["in time", "3200.0"]


# ---- the floating-point state ------------------------------------------------------------

ADDED_BY_CALLS = {
    "conv2d": lambda x: striate.conv2d(x, x[:, :, :3, :3]),
    "conv2d_input_grad": lambda x: striate.conv2d_input_grad(
        x.shape, x[:, :, :3, :3], x[:, :, :-2, :-2]
    ),
    "conv2d_weight_grad": lambda x: striate.conv2d_weight_grad(x, (2, 2, 3, 3), x[:, :, :-2, :-2]),
    "max_pool2d": lambda x: striate.max_pool2d(x, 2),
    "avg_pool2d": lambda x: striate.avg_pool2d(x, 2),
    "linear": lambda x: striate.linear(x, x[0, 0]),
    "batch_norm": lambda x: striate.batch_norm(x, x[0, :, 0, 0], x[0, :, 0, 0], training=True),
    "interpolate": lambda x: striate.interpolate(x, scale_factor=2, mode="bilinear"),
    "softmax": lambda x: striate.softmax(x, 1),
    "sigmoid": striate.sigmoid,
}


def mxcsr_reader():
    """A function that returns this thread's MXCSR: four bytes of machine code in our own page."""
    code = bytes.fromhex("0fae1f c3")  # stmxcsr [rdi]; ret
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    store = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))(address)

    def read(page=page):
        value = ctypes.c_uint32()
        store(ctypes.byref(value))
        return value.value & ~0x3F  # the six flags that any arithmetic raises say nothing

    return read


@pytest.mark.skipif(not ON_X86, reason="MXCSR is a register of x86-64")
@pytest.mark.parametrize("threads", (1, 2))
def test_mxcsr_is_unchanged_by_calls(threads, isas):
    read = mxcsr_reader()
    before = read()
    assert before & 0x8040 == 0  # neither flush-to-zero nor denormals-are-zero, import included
    striate.set_num_threads(threads)
    x = np.ones((2, 2, 200, 200), np.float32)
    for isa in isas:
        _core.set_isa(isa)
        for name, call in ADDED_BY_CALLS.items():
            call(x)
            assert read() == before, (name, isa)
        with pytest.raises(ValueError):
            striate.conv2d(x, x, stride=0)
        assert read() == before, ("a call that fails", isa)


def test_denormals_survive_in_numpy_after_calls():
    x = np.ones((2, 2, 64, 64), np.float32)
    for call in ADDED_BY_CALLS.values():
        call(x)
    tiny = np.full(1000, 1e-40, np.float32)
    assert (tiny + tiny > tiny).all() and (tiny * np.float32(0.5) > 0).all()


def test_import_changes_neither_denormals_nor_the_output():
    program = """
        import numpy as np
        import striate
        tiny = np.full(1000, 1e-40, np.float32)
        assert (tiny * np.float32(0.5) > 0).all()
    """
    ran = python(program)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# ---- the environment ---------------------------------------------------------------------

SHOW_THREADS = "import striate; print(striate.get_num_threads())"


@pytest.mark.parametrize(
    "variables, threads",
    (
        ({"STRIATE_NUM_THREADS": "3"}, "3"),
        ({"STRIATE_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, "3"),
        ({"OMP_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "4,2"}, "4"),
    ),
)
def test_variables_set_the_thread_count(variables, threads):
    assert answer(SHOW_THREADS, **variables) == threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux")
def test_affinity_sets_the_default_thread_count():
    one = min(os.sched_getaffinity(0))
    ran = answer(SHOW_THREADS, preexec_fn=lambda: os.sched_setaffinity(0, {one}))
    assert ran == "1"
    assert 1 <= int(answer(SHOW_THREADS)) <= len(os.sched_getaffinity(0))


def test_every_supported_isa_can_be_forced(isas):
    for isa in isas:
        assert answer("import striate; print(striate._core.get_isa())", STRIATE_ISA=isa) == isa


@pytest.mark.parametrize("known", ("neon", "avx512", "avx2", "baseline"))
def test_an_isa_of_another_machine_is_refused(known, isas):
    if known in isas:
        pytest.skip("this machine has it")
    ran = python("import striate; striate._core.get_isa()", STRIATE_ISA=known)
    last = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 1 and last.startswith("ValueError"), last
    assert "STRIATE_ISA" in last and known in last, last


def test_a_process_that_may_not_make_threads_still_computes():
    """libgomp would end the process; we must not let it try."""
    program = """
        import os, resource, threading
        import numpy as np, striate

        if os.getuid() == 0:  # no limit binds root
            os.setgid(65534)
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            threading.Thread(target=int).start()
            print("no limit")
        except RuntimeError:
            striate.set_num_threads(4)
            x, w = np.ones((8, 32, 40, 40), np.float32), np.ones((32, 32, 3, 3), np.float32)
            print((striate.conv2d(x, w, exact=True) == 288).all())
    """
    said = answer(program, OPENBLAS_NUM_THREADS="1")
    if said == "no limit":
        pytest.skip("the limit on processes does not bind here")
    assert said == "True"


@pytest.mark.parametrize("event", ("a smaller team", "a fork"))
def test_a_team_that_shrank_is_not_taken_for_granted(event):
    """libgomp ends the process when it cannot grow a team, so every growth is tried first."""
    program = f"""
        import os, resource, threading
        import numpy as np, striate
        if os.getuid() == 0:
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
        x, w = np.ones((8, 32, 40, 40), np.float32), np.ones((32, 32, 3, 3), np.float32)
        striate.set_num_threads(4)
        striate.conv2d(x, w, exact=True)
        if {event!r} == "a fork":
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        else:
            striate.set_num_threads(2)
            striate.conv2d(x, w, exact=True)
        striate.set_num_threads(4)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        print((striate.conv2d(x, w, exact=True) == 288).all())
    """
    assert answer(program, OPENBLAS_NUM_THREADS="1") == "True"


# ---- old CPUs ----------------------------------------------------------------------------


@pytest.mark.skipif(not ON_X86, reason="a test of x86-64")
def test_a_cpu_without_avx_imports_and_convolves():
    emulator = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if not emulator:
        pytest.skip("needs qemu-user")
    program = """
        import numpy as np, striate
        x, w = np.ones((2, 9, 12, 12), np.float32), np.ones((17, 9, 3, 3), np.float32)
        y = striate.conv2d(x, w, exact=True)
        dx = striate.conv2d_input_grad(x.shape, w, y, exact=True)
        dw = striate.conv2d_weight_grad(x, w.shape, y, exact=True)
        striate.max_pool2d(y, 2), striate.avg_pool2d(y, 2), striate.softmax(y, 1)
        striate.interpolate(x, scale_factor=2, mode="bilinear"), striate.sigmoid(x)
        striate.batch_norm(x, x[0, :, 0, 0], x[0, :, 0, 0], training=True)
        print(striate._core.get_isa(), striate.cpu_info()["isas"])
        print(float(y.min()), float(y.max()), float(dw.max()), float(dx[0, 0, 5, 5]))
    """
    launcher = (emulator, "-cpu", "Nehalem")
    lines = answer(program, launcher=launcher, OMP_NUM_THREADS="2", timeout=300).splitlines()
    assert lines == ["baseline ['baseline']", "81.0 81.0 16200.0 12393.0"]


# ---- the end -----------------------------------------------------------------------------


def test_a_process_ends_cleanly(tmp_path):
    """Nothing of ours may touch a Python object after the interpreter is gone.

    Under pytest the interpreter frees more modules at its end than alone, NumPy included.
    """
    (tmp_path / "test_calls.py").write_text(
        textwrap.dedent("""
        import numpy as np
        import striate

        def test_calls():
            x, w = np.ones((2, 4, 300, 300), np.float32), np.ones((5, 4, 3, 3), np.float32)
            global kept_to_the_end
            kept_to_the_end = striate.conv2d(x, w, out=np.empty((2, 5, 298, 298), np.float32))
            striate.conv2d_input_grad(x.shape, w, kept_to_the_end)
    """)
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, (ran.returncode, ran.stdout[-2000:], ran.stderr[-2000:])
