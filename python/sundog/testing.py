"""Fixtures for pytest: ``pytest_plugins = ["sundog.testing"]`` in conftest.py, or ``-p``.

A test that asks for ``sundog_session`` runs in a session that all tests of the process share, so
that it starts once, and fails if it leaves references, actors, child processes or descriptors
behind. With pytest-xdist each worker has a session of its own. Belongs to pytest's thread.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time

import pytest

import sundog
from sundog import _core, _explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

PATIENCE_SECONDS = 2.0  # drops of references are told with the next message
POLL_SECONDS = 0.005
FUNCTION_INDEX = "00000080"  # what an id of a function ends with: functions stay for the job
DEFAULTS: dict[str, Any] = {"num_cpus": 2, "logging_level": "warning"}
LAST_ERROR = ("last_type", "last_value", "last_traceback", "last_exc")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``sundog_num_cpus`` in the ini file."""
    parser.addini("sundog_num_cpus", "CPUs of the session of sundog_session", default="2")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        "sundog(**options): keywords of sundog.init for the session of this test or module; "
        "allow_leaks=True: do not check what it leaves",
    )


class Held:
    """What this process holds of a session, and has open, at one moment."""

    def __init__(self) -> None:
        """Looks."""
        session = _core.current_session()
        assert session is not None
        pid = os.getpid()
        self.objects = {
            item["object"]: item
            for item in json.loads(session.query(_explain.MEMORY))
            if any(holder["pid"] == pid for holder in item["refs"] + item["pins"])
            and not (item["internal_refs"] and item["object"].endswith(FUNCTION_INDEX))
        }
        self.actors = {
            actor["actor"]: actor
            for actor in json.loads(session.query(_explain.ACTORS))
            if actor["state"] != "DEAD"
        }
        self.children = children() - {int(str(session.info()["daemon_pid"]))}
        self.descriptors = descriptors()

    def beyond(self, before: Held) -> list[str]:
        """What is there now and was not before, a line each."""
        lines = [
            f"object {name}: {item['bytes']:,} bytes, "
            + ("an array or buffer shows it" if item["pins"] else "a reference is held")
            for name, item in self.objects.items()
            if name not in before.objects
        ]
        lines += [
            f"actor {actor['class_name']} {name[:8]}… {actor['name']}".rstrip()
            for name, actor in self.actors.items()
            if name not in before.actors
        ]
        lines += [f"child process {pid}: {command(pid)}" for pid in self.children - before.children]
        lines += [
            f"descriptor {number}: {what}"
            for number, what in self.descriptors.items()
            if before.descriptors.get(number) != what
        ]
        return lines


def children() -> set[int]:
    """Child processes that have not ended."""
    path = f"/proc/self/task/{os.getpid()}/children"
    try:
        with open(path, encoding="ascii") as file:
            return {int(pid) for pid in file.read().split() if not is_zombie(pid)}
    except FileNotFoundError:  # a kernel without it
        return set()


def is_zombie(pid: str) -> bool:
    """Whether a process has ended and waits for its parent to ask."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def command(pid: int) -> str:
    """What a process was started with."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().replace("\0", " ").strip()
    except OSError:
        return "it has ended"


def descriptors() -> dict[str, str]:
    """Descriptor to what it is."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
    return {number: what for number, what in found.items() if "/proc/" not in what}


def left_behind(before: Held) -> list[str]:
    """What a test left, after some patience."""
    for name in LAST_ERROR:  # an exception keeps its frames, and they what was in them
        if hasattr(sys, name):
            delattr(sys, name)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        gc.collect()
        lines = Held().beyond(before)
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(POLL_SECONDS)


class Sessions:
    """The session that the tests of this process share."""

    def __init__(self, defaults: dict[str, Any]) -> None:
        """Starts none yet."""
        self.defaults = defaults
        self.options: dict[str, Any] | None = None

    def use(self, options: dict[str, Any]) -> None:
        """A session with these options: the one that runs, if it was started with them."""
        wanted = {**self.defaults, **options}
        session = _core.current_session()
        if session is not None and session.connected and wanted == self.options:
            return
        sundog.shutdown()
        sundog.init(**{"address": "local", **wanted})  # whatever SUNDOG_ADDRESS says
        self.options = wanted
        # What the first task opens and makes is the session's.
        sundog.get(sundog.remote(os.getpid).remote())

    def end(self) -> None:
        """Ends it."""
        self.options = None
        sundog.shutdown()


@pytest.fixture(scope="session")
def _sundog_sessions(pytestconfig: pytest.Config) -> Iterator[Sessions]:
    """Sessions of tests keep their logs and sockets apart from those of the user."""
    with (
        tempfile.TemporaryDirectory(prefix="sundog-test-") as home,
        pytest.MonkeyPatch.context() as p,
    ):
        p.setenv("SUNDOG_HOME", home)
        p.setenv("XDG_RUNTIME_DIR", home)
        cpus = float(pytestconfig.getini("sundog_num_cpus"))
        sessions = Sessions({**DEFAULTS, "num_cpus": cpus})
        yield sessions
        sessions.end()


def options_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Those of the markers, the nearest first."""
    options: dict[str, Any] = {}
    for marker in request.node.iter_markers("sundog"):
        options = {**marker.kwargs, **options}
    return options


def begin_test(request: pytest.FixtureRequest, sessions: Sessions) -> tuple[Held, bool]:
    """Has the session of the test's markers; what is held, and whether it may leave more."""
    options = options_of(request)
    allow_leaks = options.pop("allow_leaks", False)
    sessions.use(options)
    return Held(), allow_leaks


@pytest.fixture
def sundog_session(
    request: pytest.FixtureRequest, _sundog_sessions: Sessions
) -> Iterator[Callable[[], list[str]]]:
    """A session, shared with other tests; fails a test that leaves something behind.

    ``@pytest.mark.sundog(num_cpus=4)`` gives keywords of ``sundog.init``; a test with other ones
    than the one before it gets a new session. ``local_mode=True`` runs tasks in the test's own
    process, where a debugger and coverage see them. A test that failed is not checked, and the next
    one gets a new session.

    Returns:
        A function that tells what the test would leave if it ended now, a line each.
    """
    before, allow_leaks = begin_test(request, _sundog_sessions)
    yield lambda: left_behind(before)
    if getattr(request.node, "_sundog_failed", False):
        _sundog_sessions.end()
        return
    if not sundog.is_initialized():  # the test ended it
        _sundog_sessions.end()
        return
    left = [] if allow_leaks else left_behind(before)
    if left or allow_leaks:
        _sundog_sessions.end()
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def sundog_fresh(
    request: pytest.FixtureRequest, _sundog_sessions: Sessions
) -> Iterator[Callable[[], list[str]]]:
    """As ``sundog_session``, in a session of the test's own, which ends with it."""
    _sundog_sessions.end()
    before, allow_leaks = begin_test(request, _sundog_sessions)
    yield lambda: left_behind(before)
    failed = getattr(request.node, "_sundog_failed", False) or allow_leaks
    left = left_behind(before) if sundog.is_initialized() and not failed else []
    _sundog_sessions.end()
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Tells the fixtures that a test failed: what it held is kept for the report."""
    report = yield
    if call.when == "call" and report.failed:
        item._sundog_failed = True  # type: ignore[attr-defined]
    return report
