"""A Jupyter kernel as the driver: the first hour's fourth part, as nbclient runs it."""

import base64
import contextlib
import gzip
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_S, session_processes, until
from neighbours import Others, within
from notebook import Notebook, kernel, without_pids

SETUP = """
import os, sys, time
import numpy as np
import sundog

@sundog.remote
def slow(i, seconds=0.05):
    print("hello", i)
    time.sleep(seconds)
    print("bye", i)
    return i
"""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """In place of the check after each test: a kernel outlives tests, and its end has its own."""
    yield


@pytest.fixture(scope="module")
def shared(home_of_its_own: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A kernel with a session of four CPUs, for tests that leave it as it was."""
    with kernel(tmp_path_factory.mktemp("notebook")) as notebook:
        notebook.run(SETUP)
        notebook.run("context = sundog.init(num_cpus=4)")
        yield notebook


def test_init_shows_a_table_and_the_mapping(shared: Notebook) -> None:
    (shown,) = shared.cell("context")
    mapping = eval(shown.data["text/plain"])
    assert {"node_ip_address", "redis_address", "raylet_socket_name", "webui_url"} <= set(mapping)
    table = shown.data["text/html"]
    assert "<table>" in table
    assert mapping["session_dir"] in table
    assert "4, 0" in table


def test_second_run_of_init_says_already_running(shared: Notebook) -> None:
    outputs = shared.cell("sundog.init(num_cpus=4)")
    said = "".join(o.text for o in outputs if o.output_type == "stream")
    assert re.fullmatch(r"sundog: session \w+ is already running\n", said)
    assert outputs[-1].output_type == "execute_result"
    # Another session cannot be had without ending this one.
    error = shared.fails("sundog.init(num_cpus=2)")
    assert "is running already: call sundog.shutdown() first" in str(error)


def test_print_in_a_task_appears_under_the_running_cell_in_order(shared: Notebook) -> None:
    for number in range(5):
        seen = shared.run(f"sundog.get(slow.remote({number}, 0))")
        assert without_pids(seen) == f"(slow) hello {number}\n(slow) bye {number}\n{number}"
    assert re.match(r"\(slow pid=\d+\) hello 4\n", seen)


def test_output_of_a_task_from_an_earlier_cell_comes_under_the_present_one(
    shared: Notebook,
) -> None:
    shared.run("gate = sundog.put(1)")
    shared.run(
        "@sundog.remote\n"
        "def wait_for(path):\n"
        "    while not os.path.exists(path): time.sleep(0.002)\n"
        "    print('at last')\n"
        "ref = wait_for.remote('go')"
    )
    seen = shared.run("open('go', 'w').close(); sundog.get(ref)")
    assert without_pids(seen) == "(wait_for) at last\n"


def test_edited_function_takes_effect(shared: Notebook) -> None:
    shared.run("@sundog.remote\ndef answer(): return 'old'")
    assert shared.run("sundog.get(answer.remote())") == "'old'"
    shared.run("@sundog.remote\ndef answer(): return 'new'")
    assert shared.run("sundog.get(answer.remote())") == "'new'"


def test_function_that_calls_a_later_one(shared: Notebook) -> None:
    shared.run("@sundog.remote\ndef f(): return g() + 1")
    shared.run("def g(): return 1")
    assert shared.run("sundog.get(f.remote())") == "2"


def test_helper_that_was_edited_takes_effect_when_the_function_is_run_again(
    shared: Notebook,
) -> None:
    shared.run("def helper(): return 1\n@sundog.remote\ndef use(): return helper()")
    assert shared.run("sundog.get(use.remote())") == "1"
    shared.run("def helper(): return 2\n@sundog.remote\ndef use(): return helper()")
    assert shared.run("sundog.get(use.remote())") == "2"


def test_four_workers_have_four_random_states(shared: Notebook) -> None:
    shared.run(
        "@sundog.remote\n"
        "def rand():\n"
        "    time.sleep(0.1)\n"
        "    return np.random.rand(), os.getpid()\n"
    )
    shared.run("drawn = sundog.get([rand.remote() for _ in range(4)])")
    assert shared.run("len({x for x, _ in drawn}), len({pid for _, pid in drawn})") == "(4, 4)"
    shared.run("drawn = [sundog.get(rand.remote())[0] for _ in range(4)]")
    assert shared.run("len(set(drawn))") == "4"


def test_top_level_await(shared: Notebook) -> None:
    assert without_pids(shared.run("await slow.remote(7, 0)")) == "(slow) hello 7\n(slow) bye 7\n7"
    gathered = "import asyncio\nawait asyncio.gather(*[rand.remote() for _ in range(3)])"
    shared.run("rand = sundog.remote(lambda: 3)")
    assert shared.run(gathered) == "[3, 3, 3]"


def test_exception_shows_the_users_lines_only(shared: Notebook) -> None:
    shared.run("@sundog.remote\ndef bad(): return 1 / 0")
    for code in ("sundog.get(bad.remote())", "await bad.remote()"):
        error = shared.fails(code)
        assert error.ename == "ZeroDivisionError"
        assert "sundog/_" not in re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)


@pytest.mark.alone
def test_interrupt_returns_at_once_and_leaves_the_rest_usable(shared: Notebook) -> None:
    shared.run(
        "@sundog.remote\n"
        "def long(mark):\n"
        "    open(mark, 'w').close()\n"
        "    time.sleep(5)\n"
        "done = slow.remote(1, 0)"
    )
    folder = Path(shared.run("os.getcwd()")[1:-1])
    for call in ("sundog.get(long.remote({!r}))", "sundog.wait([long.remote({!r})])"):
        mark = folder / f"mark-{call[7:10]}"
        pressed: list[Others] = []

        def interrupt(mark: Path = mark, pressed: list[Others] = pressed) -> None:
            until(mark.exists, "the task runs")
            time.sleep(0.1)  # the person looks at it for a moment
            pressed.append(Others())
            shared.manager.interrupt_kernel()

        person = threading.Thread(target=interrupt)
        person.start()
        error = shared.fails(call.format(str(mark)))
        pressed[0].check(0.2)
        person.join()
        assert error.ename == "KeyboardInterrupt"
        assert shared.run("sundog.get(done)").endswith("1")


@contextlib.contextmanager
def messages(notebook: Notebook, *kinds: str) -> Iterator[list[Any]]:
    """Contents of the messages of some kinds that the kernel sends meanwhile."""
    seen: list[Any] = []
    client = notebook.client
    process = client.process_message

    def note(msg: dict[str, Any], *rest: Any) -> Any:
        if msg["msg_type"] in kinds:
            seen.append(msg["content"])
        return process(msg, *rest)

    client.process_message = note
    try:
        yield seen
    finally:
        client.process_message = process


def test_long_get_says_what_it_waits_for_and_takes_it_away(shared: Notebook) -> None:
    shared.run("nap = sundog.remote(lambda: time.sleep(2.7))")
    with messages(shared, "display_data", "update_display_data") as seen:
        outputs = shared.cell("sundog.get([nap.remote(), sundog.put(1)])")
    shown = [content["data"]["text/plain"] for content in seen]
    assert shown[-1] == ""
    assert re.match(
        r"sundog: waiting 2 s for 2 objects, 1 are here; next is <lambda> \(task \w+…\): "
        r"it runs since 2\.\d s in worker pid \d+$",
        shown[0],
    )
    (line,) = [o for o in outputs if o.output_type == "display_data"]
    assert line.data["text/plain"] == ""


@pytest.mark.alone
def test_timeline_of_a_tree_is_inline_within_a_second(shared: Notebook) -> None:
    shared.run(
        "@sundog.remote\n"
        "def leaf(i): return i\n"
        "@sundog.remote\n"
        "def multiply(a, b): return a * b\n"
        "level = [leaf.remote(i + 1) for i in range(8)]\n"
        "while len(level) > 1:\n"
        "    level = [multiply.remote(*p) for p in zip(level[::2], level[1::2])]\n"
    )
    assert shared.run("sundog.get(level[0])") == "40320"
    with within(1.0):
        (shown,) = shared.cell("sundog.experimental.ui.task_timeline()")
    assert shown.data["text/html"].startswith("<iframe srcdoc=")


def test_timeline_answers_a_notebook_that_asks_for_new_tasks(shared: Notebook) -> None:
    shared.cell("sundog.task_timeline()")
    client = shared.client.kc
    opened = {"comm_id": "the-page", "target_name": "sundog.timeline", "data": {}}
    client.shell_channel.send(client.session.msg("comm_open", opened))
    answer: Any = {"msg_type": ""}
    while answer["msg_type"] != "comm_msg":
        answer = client.get_iopub_msg(timeout=PATIENCE_S)
    trace = json.loads(gzip.decompress(base64.b64decode(answer["content"]["data"]["trace"])))
    assert any(event["ph"] == "X" for event in trace["traceEvents"])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Notebook, set[int]]]:
    """A kernel with a session, and the processes of both."""
    others = session_processes()
    with kernel(tmp_path) as notebook:
        notebook.run(SETUP)
        notebook.run("sundog.init(num_cpus=2); sundog.get(slow.remote(1))")
        notebook.run("ref = slow.remote(2, 60)")
        processes = session_processes() - others
        assert len(processes) >= 4  # kernel, daemon, zygote, workers
        yield notebook, processes


def assert_all_end(processes: set[int]) -> None:
    with within(1.0):
        until(lambda: not (session_processes() & processes), "no process of the old kernel is left")


@pytest.mark.alone
@pytest.mark.parametrize("now", [True, False])
def test_restarted_kernel_leaves_no_process(own: tuple[Notebook, set[int]], now: bool) -> None:
    notebook, processes = own
    notebook.manager.restart_kernel(now=now)
    assert_all_end(processes)


@pytest.mark.alone
def test_killed_kernel_leaves_no_process(own: tuple[Notebook, set[int]]) -> None:
    notebook, processes = own
    pid = notebook.manager.provisioner.pid
    os.kill(pid, signal.SIGKILL)
    assert_all_end(processes - {pid})  # its parent has yet to reap it
