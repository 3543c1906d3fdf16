"""The first hour's fourth part: a notebook's cells, as nbclient runs them. Each point of the
document's list is one cell or a few; the document is read when the test runs (hour_document.py).

By hand in JupyterLab is tests/lab; dragging and zooming the timeline is tests/page.
"""

import base64
import gzip
import html
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hour_document as document
import pytest
from conftest import session_processes, until
from neighbours import in_its_window
from notebook import Notebook, kernel, without_pids

pytestmark = pytest.mark.skipif(not document.there(), reason=document.WHY_SKIPPED)

SETUP = """\
import os, time
import numpy as np
import sundog
from sundog.experimental import ui

@sundog.remote
def slow():
    print("hello")
    print("bye")

@sundog.remote
def rand():
    return np.random.rand()

@sundog.remote
def draw():
    time.sleep(0.1)
    return np.random.rand(), os.getpid()

@sundog.remote
def nap(mark):
    open(mark, "w").close()
    time.sleep(60)
"""
TREE = """\
@sundog.remote
def leaf(number): return number

@sundog.remote
def multiply(left, right): return left * right

level = [leaf.remote(number + 1) for number in range(8)]
while len(level) > 1:
    level = [multiply.remote(*pair) for pair in zip(level[::2], level[1::2])]
sundog.get(level[0])
"""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """In place of the check after each test: the last point checks the kernel's end itself."""
    yield


def streams(outputs: Any) -> str:
    """What was printed under a cell."""
    return "".join(output.text for output in outputs if output.output_type == "stream")


def table_and_mapping(notebook: Notebook, point: str) -> None:
    """The first cell, twice."""
    (typed,) = document.typed_in(point)
    outputs = notebook.cell(typed)
    assert "<table>" in outputs[-1].data["text/html"]
    mapping = eval(outputs[-1].data["text/plain"])
    assert {"node_ip_address", "object_store_address", "webui_url"} <= set(mapping)
    (said,) = re.findall(r'"([^"]+)"', point)
    assert said in streams(notebook.cell(typed))


def prints_under_the_cell(notebook: Notebook, point: str) -> None:
    """Lines of one task, in order, marked as the document shows."""
    _, shown = document.typed_in(point)
    seen = notebook.run("sundog.get(slow.remote())").splitlines()
    assert document.pattern(4, shown).fullmatch(seen[0]), seen
    assert [without_pids(line) for line in seen] == ["(slow) hello", "(slow) bye"]


def edited_cells(notebook: Notebook, point: str) -> None:
    """A cell that was edited and run again; two functions in either order."""
    name, before, after = document.typed_in(point)
    notebook.run(f"@sundog.remote\ndef {name}(): return 'the new body'")
    assert notebook.run(f"sundog.get({name}.remote())") == "'the new body'"
    for first, second in ((before, after), (after, before)):
        notebook.run(f"del_names = [globals().pop(n, None) for n in ({before!r}, {after!r})]")
        bodies = {before: "def {}(): return 1", after: f"def {{}}(): return {before}() + 1"}
        for each in (first, second):
            notebook.run("@sundog.remote\n" * (each == after) + bodies[each].format(each))
        assert notebook.run(f"sundog.get({after}.remote())") == "2"


def random_numbers(notebook: Notebook, point: str) -> None:
    """The typed line's numbers; and, because one awake worker may serve all its calls, those of
    four workers at once."""
    typed, drawn = document.typed_in(point)
    assert drawn in SETUP
    assert len(set(json.loads(re.sub(r"np\.float64\(([^)]+)\)", r"\1", notebook.run(typed))))) == 4
    notebook.run("drawn = sundog.get([draw.remote() for _ in range(4)])")
    assert notebook.run("[len(set(column)) for column in zip(*drawn)]") == "[4, 4]"


def long_get(notebook: Notebook, point: str) -> None:
    """A line that says what it waits for, an interrupt, and the next cell."""
    shows_after_s = document.limit(point, r"after ([\d.]+) s")
    ends_within_s = document.limit(point, r"within ([\d.]+) s")
    notebook.fails("1 / 0")  # at the first error IPython imports what it shows errors with
    in_its_window(lambda: interrupted_get(notebook, shows_after_s, ends_within_s))
    assert notebook.run("sundog.get(sundog.put('the next cell'))") == "'the next cell'"


def interrupted_get(notebook: Notebook, shows_after_s: float, ends_within_s: float) -> None:
    """The person interrupts when the line appears."""
    moments: dict[str, float] = {}
    client: Any = notebook.client
    process = client.process_message

    def note(message: dict[str, Any], *rest: Any) -> Any:
        text = message["content"].get("data", {}).get("text/plain", "")
        if "waiting" in text and "line" not in moments:
            moments["line"] = time.monotonic()
            threading.Thread(target=interrupt).start()
        return process(message, *rest)

    def interrupt() -> None:
        moments["pressed"] = time.monotonic()
        notebook.manager.interrupt_kernel()

    client.process_message = note
    began = time.monotonic()
    try:
        error = notebook.fails("sundog.get(nap.remote('napping'))")
    finally:
        client.process_message = process
    assert error.ename == "KeyboardInterrupt"
    assert time.monotonic() - moments["pressed"] < ends_within_s
    assert shows_after_s <= moments["line"] - began < shows_after_s + 1


def levels(trace: Any, names: tuple[str, ...]) -> list[int]:
    """How many tasks of these names lie at each depth of the arrows; the page draws from the same
    data. An arrow begins in the task that ran last there, and ends where a task begins."""
    events = trace["traceEvents"]
    tasks = [event for event in events if event["ph"] == "X"]
    begins = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = [event for event in events if event["ph"] == "f"]

    def source(arrow: Any) -> Any:
        before = (t for t in tasks if t["tid"] == arrow["tid"] and t["ts"] <= arrow["ts"])
        return max(before, key=lambda task: task["ts"])

    def depth(task: Any) -> int:
        into = [e for e in ends if (e["tid"], e["ts"]) == (task["tid"], task["ts"])]
        return 1 + max((depth(source(begins[arrow["id"]])) for arrow in into), default=-1)

    depths = [depth(task) for task in tasks if task["name"] in names]
    return [depths.count(level) for level in range(max(depths) + 1)]


def timeline_and_restart(notebook: Notebook, point: str) -> None:
    """The page in the cell's output, and no process after a restart."""
    (typed,) = document.typed_in(point)
    notebook.run(TREE)
    began = time.monotonic()
    (shown,) = notebook.cell(typed)
    assert time.monotonic() - began < document.limit(point, r"inline, ([\d.]+) s")
    page = html.unescape(shown.data["text/html"])
    assert page.startswith("<iframe srcdoc=")
    packed = max(re.findall(r"[A-Za-z0-9+/=]{100,}", page), key=len)
    trace = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert levels(trace, ("leaf", "multiply")) == [8, 4, 2, 1]
    others = processes_of(notebook)
    notebook.manager.restart_kernel(now=True)
    until(
        lambda: not (session_processes() & others),
        "no process of the old kernel is left",
        seconds=document.limit(point, r"left after ([\d.]+) s"),
    )


def processes_of(notebook: Notebook) -> set[int]:
    """The kernel, and its session's."""
    home = os.environ["SUNDOG_HOME"]
    assert notebook.run("os.environ['SUNDOG_HOME']") == repr(home)
    found = session_processes()
    assert notebook.manager.provisioner.pid in found and len(found) >= 4
    return found


# A word of each point of the list, and what does it.
POINTS: tuple[tuple[str, Callable[[Notebook, str], None]], ...] = (
    ("small table", table_and_mapping),
    ("`print`", prints_under_the_cell),
    ("edit", edited_cells),
    ("rand", random_numbers),
    ("a long `get`", long_get),
    ("Restart", timeline_and_restart),
)


@pytest.fixture(scope="module")
def notebook(home_of_its_own: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """One kernel for all points, in the document's order."""
    with kernel(tmp_path_factory.mktemp("notebook"), SUNDOG_NUM_CPUS="4") as found:
        found.run(SETUP)
        yield found


@pytest.mark.parametrize("number", range(len(POINTS)), ids=[check.__name__ for _, check in POINTS])
def test_4_notebook(notebook: Notebook, number: int) -> None:
    points = document.points(4)
    assert len(points) == len(POINTS)
    word, check = POINTS[number]
    assert word in points[number]
    check(notebook, points[number])
