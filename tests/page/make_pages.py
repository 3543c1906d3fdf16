"""Real sessions' timelines, as the pages that the browser tests open: into the folder given.

tree.html: exercise 12's shape (8 tasks, then 4, 2, 1). large.html: 10,000 tasks. hostile.html:
names that try to be markup. inline.html: tree.html as a notebook's frame, in a page that scrolls.
again.html and again-later.html: the same file before and after more tasks ran.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import sundog
from sundog import _explain, _state, _timeline

STAGE_SECONDS = 0.1
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "<b>bold</b>",
    "{title}",
)


@sundog.remote
def make_vector(number: int) -> int:
    """A leaf of the tree."""
    time.sleep(STAGE_SECONDS)
    return number


@sundog.remote
def multiply(left: int, right: int) -> int:
    """A node of the tree."""
    time.sleep(STAGE_SECONDS)
    return left * right


@sundog.remote
def make(number: int) -> int:
    """A short task."""
    return number


@sundog.remote
def fail() -> None:
    """A task that raises."""
    raise ValueError("on purpose")


def tree(folder: Path) -> None:
    """Eight leaves, multiplied in pairs."""
    with sundog.init(num_cpus=8, logging_level="warning"):
        time.sleep(0.5)  # as in the exercise: all eight workers are up
        level = [make_vector.remote(number + 1) for number in range(8)]
        while len(level) > 1:
            level = [multiply.remote(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
        assert sundog.get(level[0]) == 40_320
        sundog.task_timeline(str(folder / "tree.html"))
        trace = _state.need_session("").query(_explain.TIMELINE)
    page = _timeline.page(trace, title="inline", inline=True, refresh="Run the cell again.")
    (folder / "inline.html").write_text(
        "<!doctype html><meta charset=utf-8><style>body{height:3000px}</style>"
        + _timeline.frame(page)
    )


def large(folder: Path) -> None:
    """5,000 tasks and 5,000 that take their results."""
    with sundog.init(num_cpus=4, logging_level="warning"):
        made = [make.remote(number) for number in range(5000)]
        sundog.get([make.options(name="use").remote(ref) for ref in made])
        sundog.task_timeline(str(folder / "large.html"))


def hostile(folder: Path) -> None:
    """Names that try to be markup, and one task that fails."""
    with sundog.init(num_cpus=2, logging_level="warning"):
        sundog.get([make.options(name=name).remote(1) for name in HOSTILE])
        sundog.wait([fail.remote()], timeout=10)
        sundog.task_timeline(str(folder / "hostile.html"))


def again(folder: Path) -> None:
    """One file, written twice."""
    with sundog.init(num_cpus=2, logging_level="warning"):
        sundog.get([make.remote(number) for number in range(3)])
        view = sundog.task_timeline(str(folder / "again.html"))
        before = (folder / "again.html").read_bytes()
        sundog.get([make.remote(number) for number in range(4)])
        time.sleep(1.1)  # the page says when it was made, in seconds
        view.refresh()
        os.rename(folder / "again.html", folder / "again-later.html")
        (folder / "again.html").write_bytes(before)


def main() -> None:
    """All pages, into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make_page in (tree, large, hostile, again):
        make_page(folder)


if __name__ == "__main__":
    main()
