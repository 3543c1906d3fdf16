"""Where the document of the first hour and this tree differ, each with its reason.

Everything else is typed and shown as it is written there. A test fails if an entry finds nothing in
its part, so that none outlives its reason.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A replacement in a part of the document.

    find: what stands there.
    put: what takes its place.
    """

    part: int
    find: str
    put: str
    reason: str


@dataclass(frozen=True)
class Varies:
    """What is one machine's or one moment's in what the document shows, though nothing marks it.

    find, put: regular expressions, applied to the shown line after `re.escape`.
    """

    parts: tuple[int, ...]
    find: str
    put: str
    reason: str


DIFFERENCES = (
    Difference(
        2,
        "; dashboard http://127.0.0.1:8265/#⟨token⟩",
        "",
        "the dashboard's link comes with the dashboard, which is not there yet",
    ),
)

VARIES = (
    Varies((1,), r"x86_64,\\ glibc\\ [\d\\.]+$", ".+", "the machine that it was written on"),
    Varies((1,), r"\d+\\ \\\(affinity\\ \d+", r"\\d+\\ \\(affinity\\ \\d+", "its processors"),
    Varies((1,), r"(cgroup:|quota|gpus( |\\ )+)(\\ )?none", r"\1\3.+", "its limits and devices"),
    Varies((3,), r"task\\ [0-9a-f]+…", "task\\ [0-9a-f]+…", "a task's id"),
    Varies((3, 4), r"pid(\\ |=)\d+", r"pid\1\\d+", "a process"),
    Varies((3,), r"session\\ [0-9a-f]+", "session\\ \\\\w+", "a session's name"),
    Varies((3,), r"\d\d:\d\d:\d\d", "\\\\d\\\\d:\\\\d\\\\d:\\\\d\\\\d", "the time of day"),
    Varies((3,), r"Error:\\ …", "Error:\\ .+", "the document leaves words out"),
)

# Parts of the document that belong to later work: nothing of them is typed.
LATER = {
    6: "a cluster of several machines is not there yet",
    7: "logs and stacks of one task, cycles of waits and spilling are not there yet",
    8: "it ends a cluster and reads its timeline afterwards; neither is there yet",
}
