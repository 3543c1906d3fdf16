"""The store filled a hundred times over in mixed sizes through put, a reader and del.

Afterwards no byte is used and nothing is pinned, and the memory of all processes is what it was
after the first tenth. The memfds keep every page that was ever used at once, up to the store's
size, which they are compared with: freed memory is used again, and given back under pressure only.
"""

from __future__ import annotations

import collections
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.soak import system

ROOT = Path(__file__).resolve().parent.parent.parent
STORE_BYTES = 256 << 20
FILLINGS = int(os.environ.get("SUNDOG_SOAK_FILLINGS", "100"))
OBJECT_BYTES_MIN = 1 << 10
OBJECT_BYTES_MAX = 64 << 20
IN_FLIGHT_BYTES_MAX = STORE_BYTES // 2
SETTLE_SECONDS_MAX = 5.0
GROWTH_BYTES_MAX = 8 << 20
GROWTH_SHARE_MAX = 0.1
SECONDS_MAX = 900


def soak() -> int:
    """Runs this file as a driver program; the number of failures (0 or 1)."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "tests.soak.memory"]
    try:
        code = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=SECONDS_MAX, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        code = 1
        print(f"FAILED  memory soak: not done after {SECONDS_MAX} s")
    return 1 if code else 0


def anonymous_bytes(pid: int) -> int:
    """Memory of the process that is its own and no file's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def memfd_bytes(pid: int) -> int:
    """Bytes that the memfds open in `pid` occupy, each counted once."""
    seen = {}
    folder = Path(f"/proc/{pid}/fd")
    for entry in folder.iterdir():
        try:
            if os.readlink(entry).startswith("/memfd:"):
                status = entry.stat()
                seen[status.st_ino] = status.st_blocks * 512
        except OSError:
            continue
    return sum(seen.values())


def measure() -> dict[str, int]:
    """Memory of the driver, of the daemon, of zygote and workers, and of the memfds."""
    session = system.session_of(os.getpid())
    assert session.daemon is not None, "no daemon found"
    return {
        "driver": anonymous_bytes(os.getpid()),
        "daemon": anonymous_bytes(session.daemon.pid),
        "zygotes": sum(anonymous_bytes(one.pid) for one in session.zygotes),
        "largest worker": max((anonymous_bytes(one.pid) for one in session.workers), default=0),
        "memfds": memfd_bytes(session.daemon.pid),
    }


def store_when_quiet() -> dict[str, Any]:
    """The store's totals, once nothing is used any more or a few seconds have passed."""
    from sundog import _core, _explain

    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        session = _core.current_session()
        assert session is not None
        store: dict[str, Any] = _explain.status(session)["store"]
        empty = store["used_bytes"] == 0 and store["pinned_objects"] == 0
        if empty or time.monotonic() > deadline:
            return store
        time.sleep(0.02)


def main() -> int:
    import numpy as np
    from tests.soak.module import sundog

    @sundog.remote
    def sample(array: Any) -> tuple[int, int]:
        return len(array), int(array[::509].sum())

    sundog.init(num_cpus=2, object_store_memory=STORE_BYTES)
    source = random.Random(4)
    content = np.random.default_rng(4).integers(0, 256, OBJECT_BYTES_MAX, np.uint8)
    low, high = math.log(OBJECT_BYTES_MIN), math.log(OBJECT_BYTES_MAX)
    in_flight: collections.deque[tuple[Any, int, int]] = collections.deque()
    waiting_bytes = sent = objects = 0
    mark: dict[str, int] | None = None
    begin = time.monotonic()

    def take_oldest() -> int:
        answer, size, expected = in_flight.popleft()
        got = sundog.get(answer)
        assert got == (size, expected), f"a reader saw {got}, not {(size, expected)}"
        return size

    while sent < FILLINGS * STORE_BYTES:
        size = int(math.exp(source.uniform(low, high)))
        while waiting_bytes + size > IN_FLIGHT_BYTES_MAX:
            waiting_bytes -= take_oldest()
        start = source.randrange(OBJECT_BYTES_MAX - size + 1)
        content[start] ^= 255
        part = content[start : start + size]
        ref = sundog.put(part)
        in_flight.append((sample.remote(ref), size, int(part[::509].sum())))
        del ref
        waiting_bytes += size
        sent += size
        objects += 1
        if mark is None and sent > FILLINGS * STORE_BYTES // 10:
            mark = measure()
    while in_flight:
        take_oldest()
    store, end = store_when_quiet(), measure()
    took = time.monotonic() - begin
    sundog.shutdown()
    print(f"memory: {objects} objects, {sent / 1e9:.1f} GB in {took:.0f} s; store after: {store}")
    problems = [
        f"{name} is {store[name]}, not 0"
        for name in ("used_bytes", "pinned_objects")
        if store[name] != 0
    ]
    assert mark is not None
    for name, before in mark.items():
        after = end[name]
        print(
            f"  {name:<15} {before / 1e6:8.1f} MB after a tenth, {after / 1e6:8.1f} MB at the end"
        )
        allowed = STORE_BYTES if name == "memfds" else before * (1 + GROWTH_SHARE_MAX)
        if after > allowed + GROWTH_BYTES_MAX:
            problems.append(f"the memory of {name} grew from {before} to {after} bytes")
    for problem in problems:
        print(f"FAILED  memory soak: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
