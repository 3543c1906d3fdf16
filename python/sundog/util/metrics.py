"""Counters, gauges and histograms of a program and its workers.

Each process keeps its numbers in a file of the session's folder, mapped into its memory: counting
costs no message and no system call, and what a process counted is there after it was killed.
``collect`` reads the files of all processes. Any thread may count; a file belongs to one process.
"""

from __future__ import annotations

import bisect
import itertools
import json
import mmap
import os
import re
import struct
import threading

from sundog import _core
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Counter", "Gauge", "Histogram", "collect"]

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = struct.Struct("d")
NUMBERS_MAX = 1 << 16  # of one process; the file is sparse
FOLDER = "metrics"

_lock = threading.Lock()
_book: Book | None = None


class Book:
    """The numbers of this process in one session: a file of doubles, and a file that names them."""

    def __init__(self, session: _core.Session) -> None:
        """Makes the files."""
        self.session = session.number
        self.pid = os.getpid()
        folder = os.path.join(str(session.info()["session_dir"]), FOLDER)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, str(self.pid))
        with open(f"{path}.numbers", "w+b") as file:
            file.truncate(NUMBERS_MAX * NUMBER.size)
            self.numbers = mmap.mmap(file.fileno(), NUMBERS_MAX * NUMBER.size)
        self.names = f"{path}.series"
        with open(self.names, "w", encoding="utf-8"):
            pass
        self.places: dict[tuple[Any, ...], int] = {}
        self.used = 0

    def place(self, metric: Metric, tags: tuple[tuple[str, str], ...]) -> int:
        """Where the numbers of a metric with these tags are; makes room for new ones."""
        key = (metric.kind, metric.info["name"], tags)
        place = self.places.get(key)
        if place is None:
            if self.used + metric.width > NUMBERS_MAX:
                raise ValueError(
                    f"metric '{metric.info['name']}': this process has {NUMBERS_MAX} numbers "
                    "already; tags with many values, like ids, make that many"
                )
            place = self.places[key] = self.used
            self.used += metric.width
            line = {
                "kind": metric.kind, "name": metric.info["name"],
                "description": metric.info["description"], "tags": dict(tags),
                "place": place, "boundaries": metric.boundaries,
            }  # fmt: skip
            with open(self.names, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return place

    def add(self, place: int, value: float) -> None:
        """Adds to a number."""
        at = place * NUMBER.size
        NUMBER.pack_into(self.numbers, at, NUMBER.unpack_from(self.numbers, at)[0] + value)

    def set(self, place: int, value: float) -> None:
        """Sets a number."""
        NUMBER.pack_into(self.numbers, place * NUMBER.size, value)


def book() -> Book:
    """This process's; the lock is held.

    Raises:
        RuntimeError: there is no session.
    """
    global _book
    session = _core.current_session()
    if session is None:
        raise RuntimeError("metrics belong to a session: call sundog.init() first")
    if _book is None or _book.session != session.number or _book.pid != os.getpid():
        _book = Book(session)
    return _book


def end() -> None:
    """The session of this process has ended."""
    global _book
    with _lock:
        last, _book = _book, None
        if last is not None and last.pid == os.getpid():
            last.numbers.close()


def check_number(method: str, value: object) -> None:
    """Raises TypeError for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{method}() takes a number, got {type(value).__name__}: {value!r}")


class Metric:
    """What counters, gauges and histograms have in common."""

    kind = ""

    @public
    def __init__(
        self,
        name: str,
        description: str = "",
        tag_keys: Sequence[str] | None = None,
    ) -> None:
        """``name``: letters, digits and _; ``tag_keys``: the tags that values may have."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"a metric's name has letters, digits and '_', got {name!r}")
        keys = tuple(tag_keys or ())
        if isinstance(tag_keys, str) or not all(isinstance(key, str) for key in keys):
            raise TypeError(f"tag_keys is a tuple of strings, got {tag_keys!r}")
        self.info: dict[str, Any] = {
            "name": name,
            "description": description,
            "tag_keys": keys,
            "default_tags": {},
        }
        self.boundaries: list[float] = []
        self.width = 1

    @public
    def set_default_tags(self, default_tags: dict[str, str]) -> Metric:
        """Tags of values that are not given any; returns the metric.

        Raises:
            ValueError: a key that is not in tag_keys.
            TypeError: a value that is no string.
        """
        self._checked(default_tags)
        self.info["default_tags"] = dict(default_tags)
        return self

    def _checked(self, tags: dict[str, str]) -> None:
        for key, value in tags.items():
            if key not in self.info["tag_keys"]:
                raise ValueError(
                    f"metric '{self.info['name']}' has no tag '{key}': its tag_keys are "
                    f"{self.info['tag_keys']}"
                )
            if not isinstance(value, str):
                raise TypeError(f"tag '{key}' is a string, got {type(value).__name__}: {value!r}")

    def _tags(self, given: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
        if given:
            self._checked(given)
        tags = {**self.info["default_tags"], **(given or {})}
        missing = [key for key in self.info["tag_keys"] if key not in tags]
        if missing:
            raise ValueError(f"metric '{self.info['name']}': no value for tag '{missing[0]}'")
        return tuple(sorted(tags.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as what it was made of; its numbers belong to processes."""
        info = self.info
        made: tuple[Any, ...] = (info["name"], info["description"])
        if self.boundaries:
            made += (self.boundaries,)
        return rebuilt, (type(self), (*made, info["tag_keys"]), info["default_tags"])


def rebuilt(cls: type[Metric], made: tuple[Any, ...], default_tags: dict[str, str]) -> Metric:
    """A metric that came out of a pickle."""
    return cls(*made).set_default_tags(default_tags)


class Counter(Metric):
    """A number that grows: requests, bytes."""

    kind = "counter"

    @public
    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Adds.

        Raises:
            ValueError: nothing or less than nothing, a tag that is unknown or missing.
            RuntimeError: there is no session.
        """
        check_number("inc", value)
        if value <= 0:
            raise ValueError(f"a counter only grows: inc() takes more than 0, got {value!r}")
        key = self._tags(tags)
        with _lock:
            mine = book()
            mine.add(mine.place(self, key), value)


class Gauge(Metric):
    """A number that goes up and down: a queue's length, a temperature."""

    kind = "gauge"

    @public
    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Sets it, for this process.

        Raises:
            TypeError: no number.
            ValueError: a tag that is unknown or missing.
            RuntimeError: there is no session.
        """
        check_number("set", value)
        key = self._tags(tags)
        with _lock:
            mine = book()
            mine.set(mine.place(self, key), value)


class Histogram(Metric):
    """How often values fall between boundaries: seconds of requests."""

    kind = "histogram"

    @public
    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: Sequence[str] | None = None,
    ) -> None:
        """``boundaries``: growing numbers above 0; a value counts for the first that it does not
        exceed, or for the rest."""
        super().__init__(name, description, tag_keys)
        found = list(boundaries or ())
        if not found:
            raise ValueError(f"histogram '{name}' wants boundaries, such as [0.1, 1, 10]")
        if found[0] <= 0 or any(b <= a for a, b in itertools.pairwise(found)):
            raise ValueError(f"boundaries of a histogram grow and are above 0, got {boundaries!r}")
        self.boundaries = [float(value) for value in found]
        self.width = len(found) + 2  # a number for each, the rest, and the sum

    @public
    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Counts a value.

        Raises:
            TypeError: no number.
            ValueError: a tag that is unknown or missing.
            RuntimeError: there is no session.
        """
        check_number("observe", value)
        key = self._tags(tags)
        with _lock:
            mine = book()
            place = mine.place(self, key)
            mine.add(place + bisect.bisect_left(self.boundaries, value), 1.0)
            mine.add(place + self.width - 1, value)


def read_series(path: str, pid: int) -> list[tuple[dict[str, Any], list[float]]]:
    """The metrics of one process, and their numbers."""
    with open(f"{path}.series", encoding="utf-8") as names:
        lines = names.read().split("\n")[:-1]
    found = []
    with open(f"{path}.numbers", "rb") as file:
        for line in lines:
            series = json.loads(line)
            series["pid"] = pid
            width = len(series["boundaries"]) + 2 if series["kind"] == "histogram" else 1
            file.seek(series["place"] * NUMBER.size)
            found.append((series, list(struct.unpack(f"{width}d", file.read(width * 8)))))
    return found


def merged(total: Any, series: dict[str, Any], numbers: list[float]) -> Any:
    """A metric over the processes that were read so far, and one more."""
    if series["kind"] == "gauge":
        return {**(total or {}), series["pid"]: numbers[0]}
    if series["kind"] == "counter":
        return (total or 0.0) + numbers[0]
    if total is None:
        total = {"buckets": dict.fromkeys((*series["boundaries"], float("inf")), 0)}
        total |= {"count": 0, "sum": 0.0}
    for boundary, count in zip((*series["boundaries"], float("inf")), numbers, strict=False):
        total["buckets"][boundary] = total["buckets"].get(boundary, 0) + int(count)
    total["count"] += int(sum(numbers[:-1]))
    total["sum"] += numbers[-1]
    return total


@public
def collect() -> list[dict[str, Any]]:
    """All metrics of the session, over all its processes, those that ended included.

    Returns:
        A dict for each metric and set of tags, in the order of their names: ``name``, ``kind``
        ("counter", "gauge", "histogram"), ``description``, ``tags``, and ``value``: of a counter
        the sum; of a gauge a dict of the pids of living processes to their values; of a histogram
        a dict of ``count``, ``sum`` and ``buckets``, boundary to count.

    Raises:
        RuntimeError: there is no session.
    """
    session = _core.current_session()
    if session is None:
        raise RuntimeError("metrics belong to a session: call sundog.init() first")
    folder = os.path.join(str(session.info()["session_dir"]), FOLDER)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for file in sorted(name for name in names if name.endswith(".series")):
        pid = int(file.removesuffix(".series"))
        for series, numbers in read_series(os.path.join(folder, str(pid)), pid):
            if series["kind"] == "gauge" and not os.path.exists(f"/proc/{pid}"):
                continue
            tags = tuple(sorted(series["tags"].items()))
            key = (series["name"], series["kind"], tags)
            shown = found.setdefault(key, {name: series[name] for name in SHOWN})
            shown["value"] = merged(shown.get("value"), series, numbers)
    return [found[key] for key in sorted(found)]


SHOWN = ("name", "kind", "description", "tags")
