"""The driver program of one soak round: works in steps until it is told to stop, or is killed.

Usage: python -m tests.soak.session MODE SEED. Modes:
  work    steps until a line arrives on stdin; every result must be right
  daemon  the same, and expects the daemon to die: all waiting calls raise NodeDiedError, a held
          array stays readable, a new init works
  exit    the same as work, but leaves by os._exit(0) at a random moment
  brief   one init, one step, one shutdown: a new session works

It tells the harness what happened as JSON lines on stdout.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import traceback
from typing import Any

import numpy as np
from tests.soak.board import enter
from tests.soak.module import sundog
from tests.soak.steps import STEPS, nested

HELD_BYTES = 8 << 20
STORE_BYTES = 768 << 20
say_lock = threading.Lock()


def say(event: str, **more: Any) -> None:
    """One line for the harness; `at` is CLOCK_MONOTONIC, the same clock in all processes."""
    line = json.dumps({"event": event, "at": time.monotonic(), "pid": os.getpid(), **more})
    with say_lock:
        os.write(1, line.encode() + b"\n")


@sundog.remote(num_cpus=0, max_retries=-1)
def endless() -> None:
    enter("worker: endless task")
    while True:
        time.sleep(3600)


@sundog.remote
def kill_myself(counter: str) -> None:
    enter("worker: killing itself")
    with open(counter, "a") as file:
        file.write(".")
    os.kill(os.getpid(), 9)


class Waiter:
    """A second thread that waits for a result which never comes."""

    def __init__(self) -> None:
        self.ref = endless.remote()
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self) -> None:
        try:
            sundog.get(self.ref)
        except Exception as error:
            say("raised", thread="waiter", type=type(error).__name__, text=str(error))
        else:
            say("failed", text="the endless task ended")


def start() -> None:
    """A session with four CPUs and a store small enough to be full now and then."""
    enter("driver: init")
    sundog.init(num_cpus=4, object_store_memory=STORE_BYTES)


def work(source: random.Random, told_to_stop: threading.Event) -> None:
    """Steps in random order until told to stop."""
    while not told_to_stop.is_set():
        try:
            source.choice(STEPS)(source)
        except KeyboardInterrupt:
            say("interrupted")
            nested(source)
            say("usable")


def check_determined_cause(folder: str) -> None:
    """A task that kills its worker is tried four times, then fails with the cause."""
    counter = os.path.join(folder, "attempts")
    try:
        sundog.get(kill_myself.remote(counter))
    except sundog.exceptions.WorkerCrashedError as error:
        cause = str(error)
    else:
        raise AssertionError("a task that kills its worker returned a result")
    attempts = os.path.getsize(counter)
    assert attempts == 4, f"{attempts} attempts, expected 1 and 3 retries"
    assert "signal 9" in cause, f"the cause is not named: {cause}"
    say("determined", text=cause)


def survive_daemon(source: random.Random, held: Any) -> None:
    """Works until the daemon dies, then checks what must still hold."""
    try:
        work(source, threading.Event())
    except Exception as error:
        say("raised", thread="main", type=type(error).__name__, text=str(error))
    assert int(held.sum()) == 3 * HELD_BYTES, "an array that was held changed"
    say("held")
    sundog.shutdown()
    start()
    nested(source)
    assert int(held.sum()) == 3 * HELD_BYTES, "an array of the session before changed"
    sundog.shutdown()
    say("recovered")


def listen(told_to_stop: threading.Event) -> None:
    sys.stdin.readline()
    told_to_stop.set()


def main() -> int:
    mode, source = sys.argv[1], random.Random(int(sys.argv[2]))
    start()
    if mode == "brief":
        nested(source)
        sundog.shutdown()
        say("done")
        return 0
    held = sundog.get(sundog.put(np.full(HELD_BYTES, 3, np.uint8)))
    Waiter()
    told_to_stop = threading.Event()
    threading.Thread(target=listen, args=(told_to_stop,), daemon=True).start()
    say("ready")
    if mode == "exit":
        # A moment anywhere in the steps, from a thread that interrupts nothing else.
        threading.Timer(source.uniform(0.01, 0.8), os._exit, (0,)).start()
    if mode == "daemon":
        survive_daemon(source, held)
        return 0
    work(source, told_to_stop)
    check_determined_cause(os.environ["SUNDOG_SOAK_FOLDER"])
    assert int(held.sum()) == 3 * HELD_BYTES
    sundog.shutdown()
    say("done")
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except BaseException:
        say("failed", text=traceback.format_exc())
        code = 1
    sys.stdout.flush()
    os._exit(code)
