"""Fixtures of all end-to-end tests: sessions, and a check that every test leaves nothing behind."""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sundog
from sundog import _core, _explain, _paths

# Who runs us in the background has Ctrl-C ignored, and the programs of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A shell that unbuffers Python would hide output that a program of a test loses.
os.environ.pop("PYTHONUNBUFFERED", None)

PATIENCE_S = 20.0  # what has not happened by then will not
FUNCTION_INDEX = "00000080"  # a function's id is its hash and the index of the first put


def until(
    condition: Callable[[], object], what: str | Callable[[], str], seconds: float = PATIENCE_S
) -> None:
    """Returns when the condition holds; fails, saying `what`, if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            pytest.fail(f"after {seconds} s still not so: {said}")
        time.sleep(0.002)


def run_program(
    code: str, folder: Path, *, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, saved as `program.py`, to its end."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment},
    )
    if check and done.returncode != 0:
        pytest.fail(f"the program ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def of_every_process(file: str) -> Iterator[tuple[int, bytes]]:
    """/proc/<pid>/<file> of all processes that let us read it. Every test asks for two of them
    three times: hence no file objects here, which would take three times as long."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fd = os.open(f"/proc/{name}/{file}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                text = b""
                while piece := os.read(fd, 1 << 16):
                    text += piece
            except OSError:
                continue  # it ended meanwhile
            finally:
                os.close(fd)
            yield int(name), text


def descendants(root: int) -> set[int]:
    """All processes below `root`, as /proc tells."""
    children: dict[int, list[int]] = {}
    for pid, stat in of_every_process("stat"):
        parent = int(stat.rpartition(b")")[2].split()[1])
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            found.add(pid)
            waiting.append(pid)
    return found


def session_processes() -> set[int]:
    """Processes of the tests' sessions, children of this one or not: by their environment."""
    mark = f"SUNDOG_HOME={os.environ['SUNDOG_HOME']}".encode()
    return {
        pid
        for pid, text in of_every_process("environ")
        if mark in text and mark in text.split(b"\0")
    }


def open_files() -> dict[str, str]:
    """Descriptor to what it is."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
    return found


def shared_mappings() -> list[str]:
    """Mappings of memory that was made for sessions."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if "/memfd:" in line]


def threads() -> set[str]:
    """The kernel's threads of this process."""
    return set(os.listdir("/proc/self/task"))


class Traces:
    """What a process may leave behind, at one moment."""

    def __init__(self) -> None:
        self.processes = descendants(os.getpid()) | session_processes()
        self.files = open_files()
        self.mappings = shared_mappings()
        self.threads = threads()
        self.python_threads = {t.name for t in threading.enumerate()}
        self.sockets = set(_paths.running_sockets())

    def beyond(self, before: "Traces") -> dict[str, object]:
        """What is there now and was not before."""
        added = {
            "processes": self.processes - before.processes,
            "files": {f: t for f, t in self.files.items() if before.files.get(f) != t},
            "mappings": self.mappings[len(before.mappings) :],
            "threads": self.threads - before.threads,
            "sockets": self.sockets - before.sockets,
        }
        return {name: value for name, value in added.items() if value}


def held_here() -> list[dict[str, object]]:
    """Objects that this process still refers to or views; functions are the job's and stay."""
    session = _core.current_session()
    assert session is not None
    objects = json.loads(session.query(_explain.MEMORY))
    pid = os.getpid()
    return [
        item
        for item in objects
        if any(holder["pid"] == pid for holder in item["refs"] + item["pins"])
        and not (item["internal_refs"] and item["object"].endswith(FUNCTION_INDEX))
    ]


def nothing_is_held() -> bool:
    """Looks again, without what was in a cycle when a thread of ours let go of it."""
    if not held_here():
        return True
    gc.collect()
    return not held_here()


def forget_last_error() -> None:
    """An exception keeps its frames, and they the references in them."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


def pytest_collection_finish() -> None:
    """What importing all tests made stays to the end: looking through it two thousand times for
    cycles took a third of the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def home_of_its_own() -> Iterator[None]:
    """Folders and sockets of tests do not mix with those of the user's sessions."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUNDOG_HOME", folder)
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, home_of_its_own: None) -> Iterator[None]:
    """Fails a test that leaves a process, thread, descriptor, mapping, socket or reference."""
    before = Traces()
    yield
    forget_last_error()
    gc.collect()
    failed = getattr(request.node, "failed", False)
    if sundog.is_initialized() and not failed:
        until(nothing_is_held, lambda: f"no reference or view is left: {held_here()}")
    sundog.shutdown()
    gc.collect()
    if not failed:
        until(lambda: not Traces().beyond(before), lambda: f"nothing: {Traces().beyond(before)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """Tells the fixture above that a test failed: its locals are kept for the report."""
    report = yield
    if call.when == "call" and report.failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
    return report


@pytest.fixture
def session() -> Iterator[None]:
    """A session with four CPUs and a small store."""
    sundog.init(num_cpus=4, object_store_memory=256 << 20, logging_level="warning")
    yield


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """A session with one CPU."""
    sundog.init(num_cpus=1, object_store_memory=256 << 20, logging_level="warning")
    yield
