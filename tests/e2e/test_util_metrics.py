"""`sundog.util.metrics`: counted in processes, read over all of them."""

import os
import pickle
import signal
from typing import Any

import pytest
from conftest import until

import sundog
from sundog.util import metrics


def found(name: str) -> list[dict[str, Any]]:
    return [metric for metric in metrics.collect() if metric["name"] == name]


def test_counters_are_summed_over_processes_and_tags_are_apart(session: None) -> None:
    counter = metrics.Counter("requests", "what came", tag_keys=("kind",))

    @sundog.remote
    def count(n: int) -> int:
        for _ in range(n):
            counter.inc(tags={"kind": "task"})
        return os.getpid()

    pids = sundog.get([count.remote(n) for n in range(1, 9)])
    counter.inc(2.5, {"kind": "mine"})
    mine, tasks = found("requests")
    assert mine["value"] == 2.5 and mine["tags"] == {"kind": "mine"}
    assert tasks["value"] == 36 and tasks["tags"] == {"kind": "task"}
    assert tasks["kind"] == "counter" and tasks["description"] == "what came"
    assert os.getpid() not in pids


def test_what_a_killed_process_counted_stays(session: None) -> None:
    @sundog.remote
    class Counting:
        def __init__(self) -> None:
            self.counter = metrics.Counter("steps")
            self.gauge = metrics.Gauge("level")

        def step(self) -> int:
            self.counter.inc()
            self.gauge.set(7)
            return os.getpid()

    actor = Counting.remote()
    (pid,) = {sundog.get(actor.step.remote()) for _ in range(3)}
    assert found("level")[0]["value"] == {pid: 7.0}
    os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the process is gone")
    assert found("steps")[0]["value"] == 3
    assert found("level") == []


def test_histograms_count_what_does_not_exceed_a_boundary(session: None) -> None:
    histogram = metrics.Histogram("seconds", boundaries=[0.1, 1, 10], tag_keys=("path",))
    histogram.set_default_tags({"path": "/"})

    @sundog.remote
    def observe(value: float) -> None:
        histogram.observe(value)

    values = [0.05, 0.1, 0.5, 1.0, 5.0, 100.0]
    sundog.get([observe.remote(value) for value in values])
    (metric,) = found("seconds")
    assert metric["tags"] == {"path": "/"}
    assert metric["value"]["buckets"] == {0.1: 2, 1.0: 2, 10.0: 1, float("inf"): 1}
    assert metric["value"]["count"] == 6
    assert metric["value"]["sum"] == pytest.approx(sum(values))


def test_gauges_show_the_last_value_of_each_process(session: None) -> None:
    gauge = metrics.Gauge("temperature", tag_keys=("room",))
    for value in (1.0, 3.0, 2.0):
        gauge.set(value, tags={"room": "a"})
    assert found("temperature")[0]["value"] == {os.getpid(): 2.0}


def test_a_new_session_begins_at_nothing() -> None:
    counter = metrics.Counter("again")
    for _ in range(2):
        with sundog.init(num_cpus=1, logging_level="error"):
            counter.inc()
            assert found("again")[0]["value"] == 1
    with pytest.raises(RuntimeError, match="belong to a session"):
        counter.inc()
    with pytest.raises(RuntimeError, match="belong to a session"):
        metrics.collect()


def test_metrics_travel_as_what_they_were_made_of() -> None:
    made = metrics.Histogram("h", "d", [1, 2], ("t",)).set_default_tags({"t": "x"})
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is metrics.Histogram
    assert copy.info == made.info and copy.boundaries == made.boundaries


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (lambda: metrics.Counter("a b"), ValueError, "letters, digits and '_'"),
        (lambda: metrics.Counter("a", tag_keys="key"), TypeError, "tuple of strings"),
        (lambda: metrics.Counter("a").inc(0), ValueError, "only grows"),
        (lambda: metrics.Counter("a").inc("1"), TypeError, "takes a number, got str"),  # type: ignore[arg-type]
        (lambda: metrics.Counter("a").inc(tags={"b": "c"}), ValueError, "has no tag 'b'"),
        (lambda: metrics.Counter("a", tag_keys=("b",)).inc(), ValueError, "no value for tag 'b'"),
        (lambda: metrics.Gauge("a").set(None), TypeError, "takes a number"),  # type: ignore[arg-type]
        (lambda: metrics.Histogram("a"), ValueError, "wants boundaries"),
        (lambda: metrics.Histogram("a", boundaries=[2, 1]), ValueError, "grow and are above 0"),
        (
            lambda: metrics.Gauge("a", tag_keys=("b",)).set_default_tags({"b": 1}),  # type: ignore[dict-item]
            TypeError,
            "tag 'b' is a string, got int",
        ),
    ],
)
def test_wrong_calls_are_refused(wrong: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        wrong()
