"""The cache of virtual environments: which there are, who uses them, and which of them stay.

Each lies under the hash of what went into it. Beside it lies a lock (flock: it ends with whoever
holds it, however that ends): who builds or removes one holds it alone; who uses one, a setup
process, a zygote and the workers forked from that, holds it together with others. The file
``ready``, written last and removed first, says that one is whole, and its time when it was last
asked for. After a build those go that nobody asked for in a long time, then, beyond a size, those
that were not asked for for the longest; never one that is in use or was asked for just now.

Setup processes and the command ``sundog`` use this. It starts nothing and waits for nobody, unless
it is given how.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time

from sundog import _settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READY = "ready"
OURS = re.compile(r"[0-9a-f]{32}")
ALONE, TOGETHER = fcntl.LOCK_EX, fcntl.LOCK_SH
BYTES_MAX, DAYS_MAX = "SUNDOG_PACKAGES_BYTES_MAX", "SUNDOG_PACKAGES_DAYS_MAX"
DEFAULTS = {BYTES_MAX: 10e9, DAYS_MAX: 30.0}
# Between the end of a setup process and the beginning of its zygote nobody holds the lock.
FRESH_SECONDS = 600


class Entry:
    """One virtual environment, whole or what a builder that was killed left of it."""

    __slots__ = ("asked", "bytes", "folder", "used")

    def __init__(self, folder: str) -> None:
        """Looks at what is there."""
        self.folder = folder
        self.used, self.bytes = 0.0, 0
        self.asked: list[str] = []
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self.used = os.stat(os.path.join(folder, READY)).st_mtime
            with open(os.path.join(folder, READY), encoding="utf-8") as file:
                told = json.load(file)
            self.asked = [str(package) for package in told["asked"]["packages"]]
            self.bytes = int(told["bytes"]) if "bytes" in told else size_of(folder)

    def in_use(self) -> bool:
        """Whether somebody builds, uses or removes it just now."""
        lock = take(self.folder, ALONE)
        if lock is not None:
            os.close(lock)
        return lock is None


def cache_folder() -> str:
    """Where virtual environments are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "sundog", "environments")


def is_whole(folder: str) -> bool:
    """Whether the virtual environment can be used."""
    return os.path.exists(os.path.join(folder, READY))


def take(folder: str, how: int, wait: Callable[[], None] | None = None) -> int | None:
    """The descriptor that holds the lock; closing it gives it back.

    Args:
        folder: of the virtual environment.
        how: ALONE or TOGETHER.
        wait: called while somebody is in the way; without it the result is None then.
    """
    path = f"{folder}.lock"
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not try_lock(lock, how):
                if wait is None:
                    os.close(lock)
                    return None
                wait()
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except FileNotFoundError:
            pass  # it was removed, with what it locked
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def try_lock(lock: int, how: int) -> bool:
    """Takes it if nobody is in the way."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def finish(folder: str, tool: str, asked: dict[str, object]) -> None:
    """Says that one is whole."""
    told = {"tool": tool, "asked": asked, "bytes": size_of(folder)}
    path = os.path.join(folder, READY)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(told, file)
    os.rename(f"{path}.part", path)


def size_of(folder: str) -> int:
    """Bytes on disk; of a file with several names its share."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                info = os.lstat(os.path.join(where, name))
                total += info.st_blocks * 512 // max(info.st_nlink, 1)
    return total


def entries() -> list[Entry]:
    """All there are, those that were not asked for for the longest first."""
    try:
        names = os.listdir(cache_folder())
    except FileNotFoundError:
        return []
    stems = {name.removesuffix(".lock") for name in names}
    found = [Entry(os.path.join(cache_folder(), stem)) for stem in stems if OURS.fullmatch(stem)]
    return sorted(found, key=lambda entry: (entry.used, entry.folder))


def remove(entry: Entry) -> bool:
    """Removes one and its lock; False: it is in use, was asked for since, or cannot be removed."""
    lock = take(entry.folder, ALONE)
    if lock is None:
        return False
    try:
        ready = os.path.join(entry.folder, READY)
        if os.path.exists(ready):
            if os.stat(ready).st_mtime != entry.used:
                return False
            os.unlink(ready)
        shutil.rmtree(entry.folder, ignore_errors=True)
        if os.path.exists(entry.folder):
            return False
        os.unlink(f"{entry.folder}.lock")
        return True
    finally:
        os.close(lock)


def limit(variable: str) -> float:
    """A limit of the cache, as the variable of the environment has it.

    Raises:
        ValueError: it is no number from 0 on.
    """
    row = next(row for row in _settings.TABLE if row.variable == variable)
    text = os.environ.get(variable, "")
    value = float(_settings.parsed(row, text)) if text else DEFAULTS[variable]
    if not value >= 0:
        raise ValueError(f"{variable} is a number from 0 on, got {text!r}")
    return value


def trim(bytes_max: float, days_max: float) -> list[Entry]:
    """Removes what is too much; what was removed."""
    found = entries()
    total = sum(entry.bytes for entry in found)
    removed = []
    for entry in found:
        unused = time.time() - entry.used
        if unused < FRESH_SECONDS or (unused <= days_max * 86400 and total <= bytes_max):
            continue
        if remove(entry):
            total -= entry.bytes
            removed.append(entry)
    return removed
