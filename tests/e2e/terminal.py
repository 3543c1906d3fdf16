"""A program at a terminal of its own, driven as a person does: a line, and what it answers.

One thread. The program's echo is checked; what it prints up to its next prompt is returned.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PATIENCE_S = 60
LEAVES_S = 10
COLUMNS = 400  # so that no line is broken


class Terminal:
    """A running program and the other end of its terminal."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        prompt: str,
    ) -> None:
        """Starts it and waits for its first prompt."""
        self.prompt = prompt
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(words[0], list(words), environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self.read()

    def read(self) -> str:
        """What comes up to the next prompt."""
        text = ""
        ends = ("\n" + self.prompt, "\n... ")
        while not text.endswith(ends) and text != self.prompt:
            ready, _, _ = select.select([self.terminal], [], [], PATIENCE_S)
            assert ready, f"no prompt after {PATIENCE_S} s: {text}"
            text += os.read(self.terminal, 65536).decode().replace("\r\n", "\n")
        return text.removesuffix(self.prompt)

    def type(self, line: str) -> tuple[list[str], float]:
        """The lines that answer a line, and how many seconds they took."""
        began = time.monotonic()
        os.write(self.terminal, line.encode() + b"\n")
        answer = self.read().splitlines()
        took = time.monotonic() - began
        assert answer[0] == line, f"the terminal shows {answer[0]!r}"
        return answer[1:], took

    def close(self) -> None:
        """Leaves as a person does: Ctrl-D."""
        os.write(self.terminal, b"\x04")
        deadline = time.monotonic() + LEAVES_S
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                pytest.fail("it did not leave after Ctrl-D")
            time.sleep(0.01)
        os.close(self.terminal)
