"""What a program asks about where it runs: ids, names, folders, in driver, task and actor."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import sundog


@sundog.remote
def told_by_a_task() -> dict[str, Any]:
    context = sundog.get_runtime_context()
    return {
        "pid": os.getpid(),
        "worker": context.get_worker_id(),
        "node": context.get_node_id(),
        "folder": context.get_temp_dir(),
        "session": context.get_session_name(),
    }


@pytest.mark.usefixtures("session")
def test_node_folder_and_session_are_the_same_everywhere_and_the_worker_is_not() -> None:
    context = sundog.get_runtime_context()
    told = sundog.get(told_by_a_task.remote())
    assert told["node"] == context.get_node_id() == sundog.nodes()[0]["NodeID"]
    assert told["session"] == context.get_session_name()
    assert told["folder"] == context.get_temp_dir() and Path(told["folder"]).is_dir()
    assert told["worker"] != context.get_worker_id() and told["pid"] != os.getpid()


@pytest.mark.usefixtures("session")
def test_ids_compare_by_kind_and_bytes_and_survive_pickling() -> None:
    ref = sundog.put(1)
    kinds = (sundog.TaskID, sundog.ActorID, sundog.JobID, sundog.NodeID, sundog.WorkerID)
    ids = [kind(b"\x01" * 4) for kind in kinds]
    assert len(set(ids)) == len(kinds)
    for one, kind in zip(ids, kinds, strict=True):
        assert pickle.loads(pickle.dumps(one)) == one == kind(one.binary())
        assert repr(one) == f"{kind.__name__}(01010101)" and one.hex() == "01010101"
        assert not one.is_nil() and kind(b"\x00").is_nil()
    assert isinstance(ref.job_id(), sundog.JobID) and isinstance(ref.task_id(), sundog.TaskID)


def test_a_random_reference_has_the_size_of_any_and_is_not_nil() -> None:
    one, other = sundog.ObjectRef.from_random(), sundog.ObjectRef.from_random()
    assert one != other and not one.is_nil()
    assert len(one.binary()) == sundog.ObjectRef.size() == len(one.hex()) // 2


@sundog.remote(max_restarts=1)
class Phoenix:
    def crash(self) -> None:
        os._exit(1)

    def is_another(self) -> bool:
        return sundog.get_runtime_context().was_current_actor_reconstructed


@pytest.mark.usefixtures("session")
def test_an_actor_knows_that_it_was_made_anew() -> None:
    actor = Phoenix.remote()
    assert sundog.get(actor.is_another.remote()) is False
    with pytest.raises(sundog.exceptions.ActorError):
        sundog.get(actor.crash.remote())
    assert sundog.get(actor.is_another.remote()) is True


@sundog.remote(max_restarts=1)
class Asking:
    """Its constructor asks whose it is."""

    def __init__(self) -> None:
        context = sundog.get_runtime_context()
        own = context.current_actor
        self.told = own, context.get_actor_id(), context.was_current_actor_reconstructed

    def answers(self) -> tuple[Any, str | None, bool]:
        told, self.told = self.told, (None, None, False)  # a handle of itself would keep it alive
        return told

    def crash(self) -> None:
        os._exit(1)


@pytest.mark.usefixtures("session")
def test_a_constructor_knows_whose_it_is() -> None:
    actor = Asking.remote()
    actor_id = actor._actor_id.hex()
    assert sundog.get(actor.answers.remote()) == (actor, actor_id, False)
    with pytest.raises(sundog.exceptions.ActorError):
        sundog.get(actor.crash.remote())
    assert sundog.get(actor.answers.remote()) == (actor, actor_id, True)


@pytest.mark.usefixtures("session")
def test_the_node_s_labels_are_what_selectors_find() -> None:
    labels = sundog.get_runtime_context().get_node_labels()
    assert labels == {"ray.io/node-id": sundog.get_runtime_context().get_node_id()}

    @sundog.remote(label_selector=labels)
    def told() -> dict[str, str]:
        return sundog.get_runtime_context().get_node_labels()

    assert sundog.get(told.remote()) == labels


def function_name() -> str | None:
    return sundog.get_runtime_context().get_task_function_name()


class Asked:
    def __init__(self) -> None:
        self.constructor = function_name()

    def plain(self) -> tuple[str | None, str | None]:
        return self.constructor, function_name()


class AskedAsync:
    async def awaiting(self) -> str | None:
        return function_name()


@pytest.mark.usefixtures("session")
def test_the_function_s_name_is_not_that_of_the_task() -> None:
    assert sundog.get_runtime_context().get_task_function_name() is None
    task = sundog.remote(function_name)
    options: list[dict[str, object]] = [{"name": "mine"}, {"retry_exceptions": [ValueError]}]
    for given in options:
        assert sundog.get(task.options(**given).remote()) == f"{__name__}.function_name"
    asked = sundog.remote(Asked).remote()
    named = sundog.get(asked.plain.options(name="mine").remote())
    assert named == (f"{__name__}.Asked.__init__", f"{__name__}.Asked.plain")
    awaiting = sundog.remote(AskedAsync).remote().awaiting.options(name="mine").remote()
    assert sundog.get(awaiting) == f"{__name__}.AskedAsync.awaiting"
