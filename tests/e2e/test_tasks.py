"""Tasks: arguments, results, options, nesting."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program, until

import sundog


@sundog.remote
def square(x: int) -> int:
    return x * x


@sundog.remote
def echo(*args: object, **kwargs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


@sundog.remote
def identity(x: object) -> object:
    return x


def complete_events(name: str) -> list[dict[str, Any]]:
    """The trace's bars of tasks with this name."""
    events = sundog.timeline()
    assert events is not None
    return [e for e in events if e.get("ph") == "X" and e.get("name") == name]


def most_at_once(events: list[dict[str, Any]]) -> int:
    """How many of the bars overlap at the worst moment."""
    edges = sorted(
        (t, step) for e in events for t, step in ((e["ts"], 1), (e["ts"] + e["dur"], -1))
    )
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def test_results_come_in_the_order_of_the_references(session: None) -> None:
    refs = [square.remote(i) for i in range(20)]
    assert sundog.get(refs) == [i * i for i in range(20)]


def test_starts_a_session_when_there_is_none(tmp_path: Path) -> None:
    program = """
        import sundog

        @sundog.remote
        def square(x):
            return x * x

        print(sundog.get([square.remote(i) for i in range(4)]))
    """
    done = run_program(program, tmp_path, SUNDOG_NUM_CPUS="3")
    assert done.stdout == "[0, 1, 4, 9]\n"
    assert re.fullmatch(
        r"sundog: session [0-9a-f]{4,8}: 3 CPUs, 0 GPUs, store [0-9.]+ GB\n", done.stderr
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**63,
        10**40,
        0.1,
        float("inf"),
        "",
        "text",
        "äöü € 🐕",
        "\ud800",
        "x" * 100_000,
        b"",
        b"\0bytes",
        b"y" * 100_000,
        (),
        [1, [2, (3, {"k": {4, 5}})]],
        {"a": None, 2: b"x"},
        bytearray(b"array"),
        complex(1, 2),
        range(5),
    ],
    ids=lambda v: repr(v)[:20],
)
def test_value_survives_as_argument_result_and_object(session: None, value: object) -> None:
    for got in (
        sundog.get(identity.remote(value)),
        sundog.get(sundog.put(value)),
        sundog.get(identity.remote(sundog.put(value))),
    ):
        assert got == value
        assert type(got) is type(value)


def test_positional_and_keyword_arguments_arrive(session: None) -> None:
    ref = sundog.put("by reference")
    args, kwargs = sundog.get(echo.remote(1, ref, "three", k=ref, large=b"x" * 50_000))
    assert args == (1, "by reference", "three")
    assert kwargs == {"k": "by reference", "large": b"x" * 50_000}


def test_arguments_that_are_small_alone_and_large_together(session: None) -> None:
    values = [bytes([i]) * 5_000 for i in range(10)]
    args, _ = sundog.get(echo.remote(*values))
    assert list(args) == values


def test_task_waits_for_the_tasks_that_make_its_arguments(session: None) -> None:
    @sundog.remote
    def slow_one() -> int:
        time.sleep(0.2)
        return 1

    @sundog.remote
    def add(a: int, b: int) -> int:
        return a + b

    assert sundog.get(add.remote(slow_one.remote(), add.remote(slow_one.remote(), 1))) == 3


def test_reference_in_a_container_arrives_as_a_reference(session: None) -> None:
    @sundog.remote
    def open_box(box: dict[str, Any]) -> object:
        assert isinstance(box["ref"], sundog.ObjectRef)
        return sundog.get(box["ref"])

    ref = sundog.put([1, 2, 3])
    box = {"ref": ref}
    del ref
    result = open_box.remote(box)
    del box
    assert sundog.get(result) == [1, 2, 3]


def test_reference_captured_by_a_closure_lives_as_long_as_the_function(session: None) -> None:
    ref = sundog.put("captured")

    @sundog.remote
    def read() -> object:
        return sundog.get(ref)

    first = read.remote()
    assert sundog.get(first) == "captured"
    assert sundog.get(read.remote()) == "captured"


def test_returned_reference_outlives_the_task_that_made_it(session: None) -> None:
    @sundog.remote
    def make() -> object:
        return sundog.put("made in a task")

    @sundog.remote
    def make_list() -> list[object]:
        return [sundog.put(i) for i in range(3)]

    inner = sundog.get(make.remote())
    assert isinstance(inner, sundog.ObjectRef)
    assert sundog.get(inner) == "made in a task"
    assert sundog.get(sundog.get(make_list.remote())) == [0, 1, 2]


def test_nested_tasks_run_on_one_cpu(one_cpu: None) -> None:
    @sundog.remote
    def fib(n: int) -> int:
        if n < 2:
            return n
        return sum(sundog.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert sundog.get(fib.remote(7)) == 13


def test_definition_order_does_not_matter(session: None) -> None:
    @sundog.remote
    def outer(x: int) -> int:
        return helper(x) + sundog.get(later.remote(x))

    def helper(x: int) -> int:
        return 10 * x

    @sundog.remote
    def later(x: int) -> int:
        return x + 1

    assert sundog.get(outer.remote(2)) == 23


def test_redefined_function_takes_effect(session: None) -> None:
    def define(factor: int) -> Any:
        @sundog.remote
        def scale(x: int) -> int:
            return factor * x

        return scale

    assert sundog.get(define(2).remote(5)) == 10
    assert sundog.get(define(3).remote(5)) == 15


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_several_results(session: None, count: int) -> None:
    @sundog.remote(num_returns=count)
    def numbers() -> list[int]:
        return list(range(count))

    refs = numbers.remote()
    assert len(refs) == count
    assert sundog.get(refs) == list(range(count))
    assert sundog.get(numbers.options(num_returns=1).remote()) == list(range(count))


def test_no_results(session: None) -> None:
    @sundog.remote(num_returns=0)
    def silent(path: str) -> None:
        os.close(os.open(path, os.O_CREAT))

    path = os.path.join(os.environ["SUNDOG_HOME"], "was_here")
    assert silent.remote(path) is None
    until(lambda: os.path.exists(path), "the task ran")


def test_wrong_number_of_results_says_both_numbers(session: None) -> None:
    @sundog.remote(num_returns=2)
    def three() -> tuple[int, ...]:
        return 1, 2, 3

    first, second = three.remote()
    for ref in (first, second):
        with pytest.raises(ValueError, match=r"three\(\) has num_returns=2, .* 3 values"):
            sundog.get(ref)


def test_tasks_overlap_as_far_as_cpus_allow(session: None) -> None:
    @sundog.remote
    def nap() -> int:
        time.sleep(0.3)
        return os.getpid()

    pids = sundog.get([nap.remote() for _ in range(4)])
    assert len(set(pids)) == 4
    assert most_at_once(complete_events("nap")) == 4


def test_tasks_hold_the_resources_they_ask_for(session: None) -> None:
    @sundog.remote(num_cpus=2)
    def wide() -> None:
        time.sleep(0.1)

    sundog.get([wide.remote() for _ in range(6)])
    assert most_at_once(complete_events("wide")) == 2


def test_custom_resources_limit_concurrency() -> None:
    sundog.init(num_cpus=4, resources={"licence": 1}, logging_level="warning")

    @sundog.remote(resources={"licence": 1})
    def licensed() -> None:
        time.sleep(0.05)

    sundog.get([licensed.remote() for _ in range(4)])
    assert most_at_once(complete_events("licensed")) == 1
    assert sundog.cluster_resources()["licence"] == 1


def test_trace_has_one_record_for_each_attempt(session: None, tmp_path: Any) -> None:
    import json

    sundog.get([square.options(name="bar").remote(i) for i in range(5)])
    path = tmp_path / "trace.json"
    assert sundog.timeline(str(path)) is None
    trace = json.loads(path.read_text())
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    assert len([e for e in events if e.get("ph") == "X" and e.get("name") == "bar"]) == 5
    assert len(complete_events("bar")) == 5


def test_function_object_that_is_no_def(session: None) -> None:
    import functools
    import math

    assert sundog.get(sundog.remote(math.factorial).remote(5)) == 120
    assert sundog.get(sundog.remote(lambda x: x + 1).remote(1)) == 2
    assert sundog.get(sundog.remote(functools.partial(pow, 2)).remote(5)) == 32


def test_many_small_tasks(session: None) -> None:
    assert sundog.get([square.remote(i) for i in range(3000)]) == [i * i for i in range(3000)]


def test_submission_from_several_threads(session: None) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def some(start: int) -> list[int]:
        result: list[int] = sundog.get([square.remote(i) for i in range(start, start + 100)])
        return result

    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(some, range(0, 400, 100)))
    assert [x for some_of_them in lists for x in some_of_them] == [i * i for i in range(400)]


def test_runtime_context_in_driver_and_task(session: None) -> None:
    @sundog.remote
    def where() -> tuple[str | None, str | None, str, str]:
        context = sundog.get_runtime_context()
        task, name = context.get_task_id(), context.get_task_name()
        return task, name, context.get_job_id(), context.worker_mode

    context = sundog.get_runtime_context()
    ref = where.remote()
    task, name, job, mode = sundog.get(ref)
    assert (name, job, mode) == ("where", context.get_job_id(), "worker")
    assert task == ref.task_id().hex()
    assert context.get_task_id() is None and context.worker_mode == "driver"
    assert ref.job_id().hex() == job


def test_function_that_takes_a_function(session: None) -> None:
    @sundog.remote
    def apply(function: Callable[[int], int], x: int) -> int:
        return function(x)

    offset = 100
    assert sundog.get(apply.remote(lambda x: x + offset, 1)) == 101


def test_reference_passed_through_three_tasks(session: None) -> None:
    ref = square.remote(3)
    for _ in range(3):
        ref = identity.remote(ref)
    assert sundog.get(ref) == 9


def test_nested_gets_stay_within_few_workers(session: None) -> None:
    """500 tasks that each wait for one of their own, on 4 CPUs: under 12 workers ever run one."""

    @sundog.remote
    def child(i: int) -> int:
        return i

    @sundog.remote
    def parent(i: int) -> int:
        return sundog.get(child.remote(i))

    assert sum(sundog.get([parent.remote(i) for i in range(500)])) == sum(range(500))
    runs = [event for event in sundog.timeline() if event["ph"] == "X"]
    assert len(runs) == 1000
    assert len({event["tid"] for event in runs}) < 12


def test_parents_that_wait_again_and_again_let_others_run(session: None, tmp_path: Path) -> None:
    """As many as CPUs: each looks for its own child next, and something else becomes ready."""
    over = tmp_path / "over"

    @sundog.remote
    def child() -> None:
        time.sleep(0.002)

    @sundog.remote
    def parent(number: int) -> int:
        for rounds in range(10_000):
            if over.exists():
                return rounds
            sundog.get(child.remote())
            if rounds == 0:
                (tmp_path / f"began {number}").touch()
        return -1

    parents = [parent.remote(number) for number in range(4)]
    begun = [tmp_path / f"began {number}" for number in range(4)]
    until(lambda: all(path.exists() for path in begun), "each parent had a child's result")
    try:
        assert sundog.get(square.remote(3), timeout=20) == 9
    finally:
        over.touch()
    assert all(rounds > 0 for rounds in sundog.get(parents)), "they ran until the other had"
