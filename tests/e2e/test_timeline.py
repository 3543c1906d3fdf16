"""The task timeline: a page in a file, a frame in a notebook, and the data in both."""

import base64
import gzip
import html
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from neighbours import within
from traitlets.config import Config

import sundog

HOSTILE = '</script><script>alert("{title}")</script>'


@sundog.remote
def leaf(number: int) -> int:
    time.sleep(0.01)
    return number


@sundog.remote
def multiply(left: int, right: int) -> int:
    return left * right


def tree() -> None:
    """Exercise 12's shape: eight tasks, then four, two, one."""
    level = [leaf.remote(number + 1) for number in range(8)]
    while len(level) > 1:
        level = [multiply.remote(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
    assert sundog.get(level[0]) == 40_320


def data_of(page: str) -> list[dict[str, Any]]:
    """The trace's events that a page has in it."""
    found = re.search(
        r'<script id="sundog-data" type="text/plain">([A-Za-z0-9+/=]*)</script>', page
    )
    assert found is not None
    events: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(found[1])))[
        "traceEvents"
    ]
    return events


def tasks_of(page: str) -> list[str]:
    return [event["name"] for event in data_of(page) if event["ph"] == "X"]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A real IPython shell that is no terminal: what a kernel is made of."""
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, code: str) -> list[RichOutput]:
    with capture_output() as captured:
        shell.run_cell(code, store_history=False).raise_error()
    outputs: list[RichOutput] = captured.outputs
    return outputs


def page_in(output: RichOutput) -> str:
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)"[^<>]*></iframe>', output.data["text/html"])
    assert found is not None
    return html.unescape(found[1])


def test_page_has_the_tree_in_it_and_needs_nothing_else(session: None, tmp_path: Path) -> None:
    tree()
    view = sundog.task_timeline(str(tmp_path / "tree.html"))
    assert repr(view) == f"timeline of 15 tasks: {tmp_path}/tree.html; open it in a browser"
    page = (tmp_path / "tree.html").read_text()
    events = data_of(page)
    assert sorted(tasks_of(page)) == ["leaf"] * 8 + ["multiply"] * 7
    assert sum(event["ph"] == "s" for event in events) == 14
    assert "import {" not in page
    # Names of XML vocabularies are no addresses to load from.
    assert set(re.findall(r'(?:src|href)=|url\(|https?://[^"]*', page)) <= {
        "http://www.w3.org/2000/svg"
    }
    assert [path.name for path in tmp_path.iterdir()] == ["tree.html"]


def test_refresh_writes_the_new_tasks_into_the_same_file(session: None, tmp_path: Path) -> None:
    sundog.get(leaf.remote(1))
    view = sundog.task_timeline(str(tmp_path / "again.html"))
    sundog.get(leaf.remote(2))
    view.refresh()
    assert tasks_of((tmp_path / "again.html").read_text()) == ["leaf", "leaf"]


def test_name_that_tries_to_be_markup_stays_data(session: None, tmp_path: Path) -> None:
    sundog.get(leaf.options(name=HOSTILE).remote(1))
    sundog.task_timeline(str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert tasks_of(page) == [HOSTILE]
    assert "alert" not in page
    assert page.count("</script>") == 3


def test_script_says_where_the_page_is(tmp_path: Path) -> None:
    program = """
        import os, sundog
        os.chdir(os.path.dirname(__file__))
        sundog.init(num_cpus=1, logging_level="warning")
        sundog.get(sundog.remote(lambda: 1).remote())
        sundog.task_timeline()
        sundog.experimental.ui.task_timeline()
    """
    done = run_program(program, tmp_path)
    (page,) = tmp_path.glob("sundog-timeline-*.html")
    line = f"sundog: timeline of 1 task: {page}; open it in a browser"
    assert done.stderr.splitlines() == [line, line]
    assert done.stdout == ""


def test_notebook_shows_the_tree_inline(session: None, shell: InteractiveShell) -> None:
    tree()
    shell.user_ns["sundog"] = sundog
    (output,) = shown(shell, "view = sundog.task_timeline()")
    assert sorted(tasks_of(page_in(output))) == ["leaf"] * 8 + ["multiply"] * 7
    # What the cell returns is shown already.
    assert len(shown(shell, "sundog.task_timeline()")) == 1


@pytest.mark.alone
def test_notebook_shows_ten_thousand_tasks_in_a_second(
    session: None, shell: InteractiveShell
) -> None:
    refs = [multiply.remote(number, 2) for number in range(10_000)]
    assert sundog.get(refs[-1]) == 19_998
    sundog.get(refs)
    shell.user_ns["sundog"] = sundog
    with within(1.0):
        (output,) = shown(shell, "sundog.experimental.ui.task_timeline()")
    assert len(tasks_of(page_in(output))) == 10_000


def test_without_a_session_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"task_timeline\(\) needs a session: call sundog.init"):
        sundog.task_timeline()
