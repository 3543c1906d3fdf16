"""``sundog.util.state``: what a session has, as lists of objects."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import until

import sundog
from sundog.util import placement_group, state


@sundog.remote
def double(x: int) -> int:
    return 2 * x


@sundog.remote(max_retries=0)
def fail() -> None:
    raise ValueError("no such file")


@sundog.remote(max_retries=0)
def crash() -> None:
    os._exit(7)


@sundog.remote
def when(path: str) -> int:
    until(Path(path).exists, "the file is there")
    return 1


@sundog.remote
class Counter:
    def __init__(self) -> None:
        self.value = 0

    def add(self, by: int) -> int:
        self.value += by
        return self.value


def tasks(**filters: Any) -> list[Any]:
    return state.list_tasks(filters=[(k, "=", v) for k, v in filters.items()], detail=True)


def test_list_tasks_tells_what_ended_and_how(session: None) -> None:
    ref = double.options(name="twice").remote(2)
    assert sundog.get(ref) == 4
    with pytest.raises(ValueError, match="no such file"):
        sundog.get(fail.remote())
    with pytest.raises(sundog.exceptions.WorkerCrashedError):
        sundog.get(crash.remote())
    (well,) = tasks(name="twice")
    assert (well.state, well.type, well.attempt_number) == ("FINISHED", "NORMAL_TASK", 0)
    assert well.task_id == ref.hex()[:32] and well.job_id == ref.hex()[:8]
    assert well.func_or_class_name == "double" and well["func_or_class_name"] == "double"
    assert well.required_resources == {"CPU": 1} and well.error_type is None
    assert 0 < well.creation_time_ms <= well.start_time_ms <= well.end_time_ms
    assert well.call_site.startswith("test_util_state.py:")
    raised, died = tasks(name="fail")[0], tasks(name="crash")[0]
    assert (raised.state, raised.error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    assert "no such file" in raised.error_message
    assert (died.state, died.error_type) == ("FAILED", "WORKER_DIED")
    assert {task.name for task in tasks(state="failed")} == {"fail", "crash"}


def test_list_tasks_tells_what_lives(session: None, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = when.options(num_cpus=4, name="first").remote(str(go))
    second = double.options(name="second").remote(first)
    third = when.options(num_cpus=4, name="third").remote(str(go))
    until(lambda: [t.state for t in tasks(name="first")] == ["RUNNING"], "the state is that")
    assert [t.state for t in tasks(name="second")] == ["PENDING_ARGS_AVAIL"]
    assert [t.state for t in tasks(name="third")] == ["PENDING_NODE_ASSIGNMENT"]
    found = state.get_task(first)
    assert isinstance(found, state.schemas.TaskState)
    assert found.worker_pid in {w.pid for w in state.list_workers()}
    sundog.cancel(third)
    go.touch()
    assert sundog.get(second) == 2
    until(
        lambda: [t.error_type for t in tasks(name="third")] == ["TASK_CANCELLED"],
        "the state is that",
    )
    assert state.get_task("0" * 32) is None


def test_each_attempt_of_a_task_is_one_row(session: None, tmp_path: Path) -> None:
    once = tmp_path / "once"

    @sundog.remote(max_retries=2, retry_exceptions=True)
    def second_time() -> int:
        if not once.exists():
            once.touch()
            raise OSError("not yet")
        return 1

    ref = second_time.remote()
    assert sundog.get(ref) == 1
    found = state.get_task(ref)
    assert isinstance(found, list)
    assert [(t.attempt_number, t.state) for t in found] == [(1, "FINISHED"), (0, "FAILED")]
    assert "not yet" in str(found[1].error_message)


def test_list_actors_and_their_calls(session: None) -> None:
    counter = Counter.options(name="joe", namespace="here").remote()
    assert sundog.get(counter.add.remote(3)) == 3
    (found,) = state.list_actors(filters=[("state", "=", "ALIVE")], detail=True)
    assert (found.class_name, found.name, found.ray_namespace) == ("Counter", "joe", "here")
    assert found.actor_id == counter._actor_id.hex() and found.num_restarts == 0
    calls = state.list_tasks(filters=[("actor_id", "=", found.actor_id)])
    assert [(t.type, t.state) for t in calls] == [
        ("ACTOR_TASK", "FINISHED"),
        ("ACTOR_CREATION_TASK", "FINISHED"),
    ]
    assert {t.worker_pid for t in calls} == {found.pid}
    again = state.get_actor(found.actor_id)
    assert again is not None and again.pid == found.pid
    sundog.kill(counter)
    until(lambda: state.list_actors(detail=True)[0].state == "DEAD", "the state is that")
    assert "kill()" in state.list_actors(detail=True)[0].death_cause["error_message"]
    assert state.get_actor("00" * 20) is None


def test_list_objects_workers_jobs_nodes_and_groups(session: None) -> None:
    ref = sundog.put(np.zeros(1 << 20))
    (held,) = state.get_objects(ref.hex())
    assert held.object_size >= 8 << 20 and held.pid == os.getpid() and held.type == "DRIVER"
    assert held in state.list_objects()
    (driver,) = state.list_workers(filters=[("worker_type", "=", "DRIVER")], detail=True)
    assert driver.pid == os.getpid() and driver.start_time_ms > 0
    me = state.get_worker(str(os.getpid()))
    assert me is not None and me.pid == os.getpid()
    context = sundog.get_runtime_context()
    (job,) = state.list_jobs()
    assert (job.job_id, job.status) == (context.get_job_id(), "RUNNING")
    assert state.get_job(context.get_job_id()) == job
    (node,) = state.list_nodes()
    assert node.node_id == context.get_node_id() and node.resources_total["CPU"] == 4
    assert state.get_node(node.node_id) is not None
    group = placement_group([{"CPU": 1}], name="mine")
    sundog.get(group.ready())
    (found,) = state.list_placement_groups(detail=True)
    assert (found.name, found.state) == ("mine", "CREATED")
    assert found.bundles == [{"bundle_id": 0, "unit_resources": {"CPU": 1}}]
    assert state.get_placement_group(group.id.hex()) == found
    assert state.list_runtime_envs() == []


def test_list_runtime_envs_tells_what_was_asked_for(session: None) -> None:
    variables = {"env_vars": {"COLOUR": "blue"}}
    assert sundog.get(double.options(runtime_env=variables).remote(1)) == 2
    (found,) = state.list_runtime_envs()
    assert found.runtime_env == variables and found.success is True


def test_attributes_of_detail_are_none_unless_asked_for(session: None) -> None:
    assert sundog.get(double.remote(1)) == 2
    brief, full = state.list_tasks()[0], state.list_tasks(detail=True)[0]
    assert brief.required_resources is None and full.required_resources == {"CPU": 1}
    assert "events" in brief.detail_columns() and "events" not in brief.base_columns()
    assert [event["state"] for event in full.events][-1] == "FINISHED"


def test_filters_are_checked(session: None) -> None:
    sundog.get([double.remote(i) for i in range(3)])
    assert len(state.list_tasks(filters=[("name", "!=", "double")])) == 0
    assert len(state.list_tasks(filters=[("attempt_number", "=", "0")])) == 3
    for wrong, said in (
        ([("state", "like", "x")], "predicate is '=' or '!=', got 'like'"),
        ([("stat", "=", "x")], "no filter for 'stat'; did you mean 'state'"),
        ([("events", "=", "x")], "TaskState is filtered by actor_id, "),
        ([("state", "=")], r"a filter is \(key, '=' or '!=', value\)"),
    ):
        with pytest.raises(ValueError, match=said):
            state.list_tasks(filters=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="filters is a list like"):
        state.list_tasks(filters="state=FAILED")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit is from 1 to 10,000, got 0"):
        state.list_tasks(limit=0)


def test_a_list_that_is_cut_says_so(session: None) -> None:
    sundog.get([double.remote(i) for i in range(1_200)])
    with pytest.warns(UserWarning, match="only the first 100 are shown; there are more"):
        assert len(state.list_tasks()) == 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(state.list_tasks(limit=1_200)) == 1_200  # of several pages
    total = state.summarize_tasks()["cluster"]
    assert total["summary"]["double"]["state_counts"] == {"FINISHED": 1_200}


def test_filters_look_at_ten_thousand_tasks(session: None) -> None:
    sundog.get([double.remote(i) for i in range(10_100)])
    with pytest.raises(state.StateError, match="only the first 10,000 were looked at"):
        state.list_tasks(filters=[("name", "=", "other")])
    with pytest.warns(UserWarning, match="looked at"):
        found = state.list_tasks(filters=[("name", "=", "other")], raise_on_missing_output=False)
    assert found == []


def test_summaries_count_states(session: None) -> None:
    counter = Counter.remote()
    sundog.get([counter.add.remote(1), double.remote(1)])
    ref = sundog.put(np.zeros(1 << 17))
    told = state.summarize_tasks()["cluster"]
    counts = [told[key] for key in ("total_tasks", "total_actor_tasks", "total_actor_scheduled")]
    assert counts == [1, 1, 1]
    actors = state.summarize_actors()["cluster"]
    assert actors["summary"]["Counter"]["state_counts"] == {"ALIVE": 1}
    assert actors["total_actors"] == 1
    objects = state.summarize_objects()["cluster"]
    assert objects["total_size_mb"] >= 1 and state.get_objects(ref.hex())


def test_without_a_session_says_so() -> None:
    with pytest.raises(ConnectionError, match=r"call sundog.init\(\) first"):
        state.list_tasks()


def test_task_events_may_be_left_out(session: None, tmp_path: Path) -> None:
    go = tmp_path / "go"
    silent = when.options(enable_task_events=False, name="silent").remote(str(go))
    assert tasks(name="silent") == []
    go.touch()
    assert sundog.get([silent, double.remote(1)]) == [1, 2]

    @sundog.remote
    class Quiet:
        @sundog.method(enable_task_events=False)
        def hush(self) -> int:
            return 1

        def speak(self) -> int:
            return 2

    quiet = Quiet.options(enable_task_events=False).remote()
    assert sundog.get([quiet.hush.remote(), quiet.speak.remote()]) == [1, 2]
    assert {task.name for task in tasks()} == {"double", "Quiet.speak"}
    events = sundog.timeline() or []
    assert {e["name"] for e in events if e["ph"] == "X"} == {"double", "Quiet.speak"}
    with pytest.raises(TypeError, match="enable_task_events is True or False, got 'no'"):
        double.options(enable_task_events="no")
