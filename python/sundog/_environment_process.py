"""What the setup process of a runtime environment starts: other programs, watched.

Descriptor 3 is the daemon's: when it hangs up, the daemon is gone, and this process ends its group
and with it what it started. Only setup processes use this.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import tempfile

LIFELINE_FD = 3
TAIL_LINES = 20
ANSWER_BYTES_MAX = 1 << 20


class SetupError(Exception):
    """Why the environment cannot be had; its text is for people."""


def without_passwords(text: str) -> str:
    """Without those of addresses, ``https://name:password@host``."""
    return re.sub(r"://[^/@\s]+@", "://***@", text)


def say(text: str) -> None:
    """One line in the log."""
    print(f"sundog: {without_passwords(text)}", flush=True)


def daemon_is_gone(wait_ms: int, *others: int) -> bool:
    """Waits for the daemon's end, or one of ``others``, at most so long."""
    waiter = select.poll()
    for fd in (LIFELINE_FD, *others):
        waiter.register(fd, select.POLLIN)
    return any(fd == LIFELINE_FD for fd, _ in waiter.poll(wait_ms))


def end_with_the_daemon() -> None:
    """Ends this process and all that it started."""
    os.killpg(0, signal.SIGKILL)


def wait_for(process: subprocess.Popen[str]) -> int:
    """The exit code; negative: the signal."""
    ended = os.pidfd_open(process.pid)
    if daemon_is_gone(-1, ended):
        end_with_the_daemon()
    os.close(ended)
    return process.wait()


def said_since(log: str, begin: int) -> list[str]:
    """The last lines of the log behind a position."""
    with open(log, "rb") as file:
        file.seek(begin)
        return file.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:]


def answer(what: str, command: list[str], folder: str | None, log: str) -> str:
    """The end of what a command writes to its standard output.

    Raises SetupError: it cannot be started, or fails.
    """
    begin = os.path.getsize(log)
    # Not a pipe: nobody reads before the command has ended, and a full one would hold it.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, text=True, cwd=folder
            )
        except OSError as error:
            raise SetupError(f"{what} cannot be started: {error.strerror}") from None
        code = wait_for(process)
        said.seek(max(0, said.seek(0, os.SEEK_END) - ANSWER_BYTES_MAX))
        text = said.read().decode("utf-8", "replace")
    if code != 0:
        last = (said_since(log, begin) or [f"exit code {code}"])[-1]
        raise SetupError(f"{what} is no Python interpreter: {last}")
    return text


def run(what: str, command: list[str], asked: object, environ: dict[str, str], log: str) -> None:
    """Runs a command whose output goes to the log.

    Raises SetupError with the end of what it wrote.
    """
    say(" ".join(command))
    begin = os.path.getsize(log)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ, text=True)
    except OSError as error:
        raise SetupError(f"{what} cannot be started: {error.strerror}: {command[0]}") from None
    code = wait_for(process)
    if code == 0:
        return
    how = f"exit code {code}" if code > 0 else f"signal {-code}"
    tail = "\n".join(f"  | {line}" for line in said_since(log, begin))
    said = without_passwords(json.dumps(asked))
    raise SetupError(f"{what} ended with {how}; asked was {said}\n{tail}")
