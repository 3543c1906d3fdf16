"""``breakpoint()`` in a task: pdb over a unix socket in the session's folder, and ``sundog debug``,
which attaches to it.

The task stops until somebody attaches and goes on; it keeps its CPU meanwhile. A person who hangs
up lets the task go on.
"""

from __future__ import annotations

import os
import pdb
import select
import socket
import sys

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

FOLDER = "debug"
BYTES_AT_ONCE = 65536


def folder_of(session_dir: str) -> str:
    """Where the sockets of stopped tasks are."""
    return os.path.join(session_dir, FOLDER)


def in_folder(folder: str, name: str) -> tuple[int, str]:
    """A descriptor of the folder and a path through it: sockets' paths must be short."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return fd, f"/proc/self/fd/{fd}/{name}"


class Remote(pdb.Pdb):
    """pdb whose terminal is a connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Takes the connection over."""
        # Two streams: one that reads and writes forgets what it read ahead.
        self.typed = connection.makefile("r", encoding="utf-8", errors="replace")
        self.shown = connection.makefile("w", encoding="utf-8", errors="replace")
        super().__init__(stdin=self.typed, stdout=self.shown, nosigint=True)
        self.prompt = "(sundog) "
        connection.close()

    def do_EOF(self, arg: str) -> Any:
        """Whoever was attached has hung up: the task goes on."""
        return self.do_continue(arg)

    do_EOF.__doc__ = None  # pdb shows it as help

    def set_continue(self) -> None:
        """Goes on; without other breakpoints nobody stops again, and the line is closed."""
        super().set_continue()
        if not self.breaks:
            self.hang_up()

    def set_quit(self) -> None:
        """Ends the task with ``BdbQuit``."""
        super().set_quit()
        self.hang_up()

    def hang_up(self) -> None:
        """Lets the one that is attached end."""
        for stream in (self.shown, self.typed):
            try:
                stream.close()
            except OSError:
                pass


def stop_here(frame: FrameType) -> None:
    """Says how to attach, waits until somebody does, and hands the frame to pdb."""
    session = _core.current_session()
    task = _core.current_task()
    assert session is not None
    folder = folder_of(str(session.info()["session_dir"]))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = f"{os.getpid()}.sock"
    place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    fd, path = in_folder(folder, name)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            listener.bind(path)
            try:
                listener.listen(1)
                print(
                    f"breakpoint at {place} in {task[1] if task else 'a task'}: the task waits. "
                    f"Attach from a terminal with: sundog debug {os.getpid()}",
                    file=sys.stderr,
                    flush=True,
                )
                connection, _ = listener.accept()
            finally:
                os.unlink(path)
    finally:
        os.close(fd)
    Remote(connection).set_trace(frame)


def hook(frame: FrameType, *args: Any, **kwargs: Any) -> Any:
    """``breakpoint()`` in the frame; PYTHONBREAKPOINT is respected."""
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    return stop_here(frame)


def waiting(session_dir: str) -> list[int]:
    """Pids of the workers that wait at a breakpoint."""
    try:
        names = os.listdir(folder_of(session_dir))
    except FileNotFoundError:
        return []
    return sorted(int(n.removesuffix(".sock")) for n in names if n.removesuffix(".sock").isdigit())


def attach(session_dir: str, pid: int) -> None:
    """Connects this terminal with a stopped task until it goes on.

    Raises:
        OSError: the task does not wait any more.
    """
    fd, path = in_folder(folder_of(session_dir), f"{pid}.sock")
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
    finally:
        os.close(fd)
    with connection:
        sources = [0, connection.fileno()]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if connection.fileno() in ready:
                data = connection.recv(BYTES_AT_ONCE)
                if not data:
                    return
                os.write(1, data)
            if 0 in ready:
                typed = os.read(0, BYTES_AT_ONCE)
                if typed:
                    connection.sendall(typed)
                else:  # the person hung up; what pdb still says is shown
                    connection.shutdown(socket.SHUT_WR)
                    sources.remove(0)
