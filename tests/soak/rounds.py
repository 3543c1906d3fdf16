"""One round of the soak: a driver program works, somebody is killed, and what must hold is checked.

Kinds of rounds:
  worker     random workers die: results stay right, retried; a task that always kills its worker
             fails after three retries with the cause
  zygote     the zygote dies, then a worker: nobody notices, a new zygote forks
  daemon     the daemon dies: every waiting call raises NodeDiedError within a second and says why
  driver     the driver dies, also while it starts: within a second nothing is left
  exit       the driver leaves by os._exit(0): the same
  interrupt  Ctrl-C: reaches the driver alone and leaves the session usable
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak import board, system

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER_SECONDS_MAX = 60.0
RAISE_SECONDS_MAX = 1.0
WORK_SECONDS_MAX = 0.9
KINDS = ("worker", "zygote", "daemon", "driver", "exit", "interrupt")


class Problem(AssertionError):
    """Something that must hold did not."""


@dataclass
class Report:
    """What a round hit and what went wrong."""

    kind: str
    seed: int
    states: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Driver:
    """The driver program of a round, in a folder, with a tag and a board of its own."""

    def __init__(self, folder: Path, tag: str) -> None:
        self.folder, self.tag = folder, tag
        self.board = folder / "board"
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.program: subprocess.Popen[str] | None = None
        for name in ("run", "home"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        board.create(self.board)

    def start(self, mode: str, seed: int) -> int:
        """Starts the program and returns its process id."""
        environment = {
            **os.environ,
            system.TAG_NAME: self.tag,
            board.PATH_NAME: str(self.board),
            "SUNDOG_SOAK_FOLDER": str(self.folder),
            "SUNDOG_HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        with (self.folder / "stderr").open("a") as errors:
            self.program = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.session", mode, str(seed)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._read, args=(self.program,), daemon=True).start()
        return self.program.pid

    def _read(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None
        for line in program.stdout:
            if line.startswith('{"event"'):
                self.lines.put(json.loads(line))
        self.lines.put({"event": "end", "at": time.monotonic()})

    def await_event(self, *wanted: str, seconds: float = ANSWER_SECONDS_MAX) -> dict[str, Any]:
        """The next event; raises Problem if it is none of `wanted` or does not come."""
        try:
            event = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Problem(f"no {' or '.join(wanted)} within {seconds:g} s") from None
        if event["event"] not in wanted:
            raise Problem(f"expected {' or '.join(wanted)}, got {json.dumps(event)[:2000]}")
        return event

    def tell_to_stop(self) -> None:
        """Lets the program finish its step, check what it must and end."""
        assert self.program is not None and self.program.stdin is not None
        self.program.stdin.write("stop\n")
        self.program.stdin.flush()

    def await_exit(self) -> int:
        """The program's exit code."""
        assert self.program is not None
        return self.program.wait(ANSWER_SECONDS_MAX)

    def state_of(self, pid: int, driver_pid: int) -> str:
        """What process `pid` does: its own words, else the driver's, and its run state."""
        phase = board.phase_of(self.board, pid)
        if phase == "silent" and pid != driver_pid:
            phase = f"while {board.phase_of(self.board, driver_pid)}"
        return f"{phase}; {system.run_state(pid)}"


def play(kind: str, seed: int) -> Report:
    """Plays one round; what did not hold is in the report."""
    report = Report(kind, seed)
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    shm_before = set(system.shm_names())
    driver = Driver(folder, uuid.uuid4().hex)
    known: list[system.Process] = []
    try:
        died = ROUNDS[kind](driver, random.Random(seed), seed, report, known)
        report.problems += system.await_nothing_left(driver.tag, known, folder, shm_before, died)
    except Problem as problem:
        report.problems.append(str(problem))
    finally:
        clear_away(driver, known)
    if report.problems:
        report.problems.append(f"standard error is in {folder / 'stderr'}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    report.seconds = time.monotonic() - begin
    return report


def clear_away(driver: Driver, known: list[system.Process]) -> None:
    """Ends what a failed round left, so that the next one starts on a clean machine."""
    for one in [*known, *system.tagged(driver.tag)]:
        if system.alive(one):
            os.kill(one.pid, signal.SIGKILL)
    if driver.program is not None:
        driver.program.wait()


def start_working(driver: Driver, mode: str, seed: int, source: random.Random) -> int:
    """Starts a driver, awaits its session and lets it work for a random while."""
    pid = driver.start(mode, seed)
    driver.await_event("ready")
    time.sleep(source.uniform(0.0, WORK_SECONDS_MAX))
    return pid


def kill(driver: Driver, victim: system.Process, driver_pid: int, report: Report) -> float:
    """Kills `victim` after noting its state; returns the moment."""
    report.states.append(f"{report.kind}: {driver.state_of(victim.pid, driver_pid)}")
    moment = time.monotonic()
    if system.alive(victim):
        os.kill(victim.pid, signal.SIGKILL)
    return moment


def finish_work(driver: Driver) -> float:
    """Lets a working driver end by itself; returns the moment of its end."""
    driver.tell_to_stop()
    driver.await_event("determined")
    # The second thread's wait ends with the session.
    if driver.await_event("done", "raised")["event"] == "raised":
        driver.await_event("done")
    end = driver.await_event("end")
    code = driver.await_exit()
    if code != 0:
        raise Problem(f"the driver ended with exit code {code}")
    return float(end["at"])


def worker_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """Kills one to three workers."""
    pid = start_working(driver, "work", seed, source)
    for _ in range(source.randrange(1, 4)):
        session = system.session_of(pid)
        known += session.everyone
        if session.workers:
            kill(driver, source.choice(session.workers), pid, report)
        time.sleep(source.uniform(0.0, 0.2))
    return finish_work(driver)


def zygote_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """Kills the zygote, then a worker, so that a new worker is needed."""
    pid = start_working(driver, "work", seed, source)
    session = system.session_of(pid)
    known += session.everyone
    if not session.zygotes:
        raise Problem(f"no zygote found among {[one.command for one in session.everyone]}")
    kill(driver, session.zygotes[0], pid, report)
    time.sleep(source.uniform(0.0, 0.2))
    workers = system.session_of(pid).workers
    if workers:
        with contextlib.suppress(ProcessLookupError):  # it may just have been told to stop
            os.kill(source.choice(workers).pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while session.zygotes[0] in (now := system.session_of(pid).zygotes) or not now:
        if time.monotonic() > deadline:
            raise Problem("no new zygote within 5 s")
        time.sleep(0.02)
    known += system.session_of(pid).everyone
    return finish_work(driver)


def daemon_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """Kills the daemon; both waiting threads raise in time, and the driver recovers."""
    pid = start_working(driver, "daemon", seed, source)
    session = system.session_of(pid)
    known += session.everyone
    if session.daemon is None:
        raise Problem("no daemon found")
    died = kill(driver, session.daemon, pid, report)
    waiting = {"main", "waiter"}
    while waiting:
        event = driver.await_event("raised", "held")
        if event["event"] == "held":
            continue
        waiting.discard(event["thread"])
        if event["type"] != "NodeDiedError":
            report.problems.append(f"{event['thread']} raised {event['type']}: {event['text']}")
        if event["at"] - died > RAISE_SECONDS_MAX:
            report.problems.append(f"{event['thread']} raised after {event['at'] - died:.2f} s")
        if not event["text"]:
            report.problems.append("NodeDiedError names no cause")
    leftovers = [one for one in session.everyone if system.alive(one)]
    while leftovers and time.monotonic() < died + RAISE_SECONDS_MAX:
        time.sleep(0.01)
        leftovers = [one for one in leftovers if system.alive(one)]
    report.problems += [
        f"process {one.pid} outlived the daemon: {one.command}" for one in leftovers
    ]
    event = driver.await_event("held", "recovered")
    if event["event"] == "held":
        driver.await_event("recovered")
    return float(driver.await_event("end")["at"])


def driver_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """Kills the driver, one time in five while it is still starting; a new session works."""
    if source.random() < 0.2:
        pid = driver.start("work", seed)
        time.sleep(source.uniform(0.05, 0.6))
    else:
        pid = start_working(driver, "work", seed, source)
    known += system.session_of(pid).everyone
    own = system.process(pid)
    if own is None:
        raise Problem("the driver ended by itself")
    known.append(own)
    died = kill(driver, own, pid, report)
    driver.await_exit()
    return check_new_session(driver, known, died)


def exit_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """The driver leaves by os._exit(0) at a random moment."""
    pid = driver.start("exit", seed)
    driver.await_event("ready")
    known += system.session_of(pid).everyone
    code = driver.await_exit()
    died = time.monotonic()
    report.states.append(f"exit: {board.phase_of(driver.board, pid)}")
    if code != 0:
        raise Problem(f"the driver ended with exit code {code}")
    return check_new_session(driver, known, died)


def check_new_session(driver: Driver, known: list[system.Process], died: float) -> float:
    """After a driver's end: within a second nothing is left, and a new session works."""
    left = [one for one in known if system.alive(one)]
    while left or system.tagged(driver.tag):
        if time.monotonic() > died + system.LEFTOVER_SECONDS_MAX:
            names = [f"{one.pid} {one.command}" for one in left or system.tagged(driver.tag)]
            raise Problem(f"a second after the driver's end these live: {names}")
        time.sleep(0.01)
        left = [one for one in left if system.alive(one)]
    while not driver.lines.empty():
        driver.lines.get()
    driver.start("brief", 1)
    while driver.await_event("done", "end", "ready")["event"] != "done":
        continue
    driver.await_exit()
    return time.monotonic()


def interrupt_round(
    driver: Driver, source: random.Random, seed: int, report: Report, known: list[system.Process]
) -> float:
    """Ctrl-C as a terminal sends it, to the foreground process group."""
    pid = start_working(driver, "work", seed, source)
    session = system.session_of(pid)
    known += session.everyone
    report.states.append(f"interrupt: {driver.state_of(pid, pid)}")
    os.killpg(pid, signal.SIGINT)
    driver.await_event("interrupted")
    driver.await_event("usable")
    daemon = system.session_of(pid).daemon
    if daemon is None or session.daemon is None or daemon.pid != session.daemon.pid:
        raise Problem("Ctrl-C ended the daemon")
    gone = [one.pid for one in session.zygotes if not system.alive(one)]
    if gone:
        raise Problem(f"Ctrl-C ended the zygote {gone}")
    return finish_work(driver)


ROUNDS = {
    "worker": worker_round,
    "zygote": zygote_round,
    "daemon": daemon_round,
    "driver": driver_round,
    "exit": exit_round,
    "interrupt": interrupt_round,
}
