"""A board in shared memory on which each process says what it is doing.

The soak reads it at the moment of a kill, to know which state was hit. One slot a process, found
by its number; a slot that two processes share shows the later one, and names it.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from pathlib import Path

PATH_NAME = "SUNDOG_SOAK_BOARD"
SLOTS = 16_384
SLOT_BYTES = 64
LAYOUT = struct.Struct("<I60s")


def create(path: Path) -> None:
    """Makes an empty board at `path`."""
    with path.open("wb") as file:
        file.truncate(SLOTS * SLOT_BYTES)


@functools.cache
def _mapped(path: str) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), SLOTS * SLOT_BYTES)


def enter(phase: str) -> None:
    """Says what the calling process does from now on. Does nothing where there is no board."""
    path = os.environ.get(PATH_NAME)
    if path is not None:
        pid = os.getpid()
        LAYOUT.pack_into(_mapped(path), pid % SLOTS * SLOT_BYTES, pid, phase.encode()[:60])


def phase_of(path: Path, pid: int) -> str:
    """What process `pid` said last; `silent` if it never said anything."""
    owner, text = LAYOUT.unpack_from(path.read_bytes(), pid % SLOTS * SLOT_BYTES)
    return text.rstrip(b"\0").decode() if owner == pid else "silent"
