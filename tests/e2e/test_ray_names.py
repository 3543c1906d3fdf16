"""Names of Ray that no other test uses, through `import ray`: what each is and does."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sundog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "compat" / "ray"))
ray: Any = importlib.import_module("ray")
strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
groups: Any = importlib.import_module("ray.util.placement_group")


@pytest.fixture
def labelled() -> Iterator[None]:
    with sundog.init(num_cpus=2, labels={"zone": "a"}, logging_level="warning"):
        yield


@ray.remote(num_cpus=0)
def where_it_runs() -> tuple[str | None, str | None, bool]:
    context = ray.get_runtime_context()
    group = context.current_placement_group_id
    return (
        None if group is None else str(group),
        context.get_placement_group_id(),
        context.should_capture_child_tasks_in_placement_group,
    )


def test_modules_have_what_they_are_imported_for() -> None:
    for module, name in (
        ("ray.actor", "ActorHandle"),
        ("ray.util.actor_pool", "ActorPool"),
        ("ray.util.queue", "Queue"),
        ("ray.util.multiprocessing", "Pool"),
        ("ray.util", "ActorPool"),
    ):
        assert callable(getattr(importlib.import_module(module), name)), (module, name)
    assert (ray.SCRIPT_MODE, ray.WORKER_MODE) == (0, 1)


def test_errors_that_a_program_catches_are_sundogs() -> None:
    of_ray, of_sundog = ray.exceptions, sundog.exceptions
    assert issubclass(of_ray.OutOfMemoryError, of_ray.RayError)
    assert of_ray.OutOfMemoryError is of_sundog.OutOfMemoryError
    assert issubclass(of_ray.RaySystemError, of_ray.RayError)


def test_a_group_has_an_id_and_may_be_empty(labelled: None) -> None:
    group = groups.placement_group([{"CPU": 1}], _soft_target_node_id=None)
    assert ray.get(group.ready()) == group
    assert isinstance(group.id, ray.PlacementGroupID)
    assert not group.is_empty
    assert groups.PlacementGroup.empty().is_empty
    strategy = strategies.PlacementGroupSchedulingStrategy(
        group, placement_group_capture_child_tasks=True
    )
    inside = ray.get(where_it_runs.options(scheduling_strategy=strategy).remote())
    assert inside[1] == group.id.hex() and inside[0] is not None and inside[2] is True
    assert ray.get(where_it_runs.remote()) == (None, None, False)
    groups.remove_placement_group(group)


def test_labels_are_matched_by_every_expression(labelled: None) -> None:
    def runs(**hard: Any) -> bool:
        strategy = strategies.NodeLabelSchedulingStrategy(hard)
        ref = where_it_runs.options(scheduling_strategy=strategy).remote()
        ready, _ = ray.wait([ref], timeout=20 if expected else 0.2)
        ray.cancel(ref)
        return bool(ready)

    for expected, wanted in (
        (True, {"zone": strategies.In("b", "a")}),
        (True, {"zone": strategies.NotIn("b")}),
        (True, {"zone": strategies.Exists()}),
        (True, {"other": strategies.DoesNotExist()}),
        (False, {"zone": strategies.NotIn("a", "b")}),
        (False, {"zone": strategies.DoesNotExist()}),
    ):
        assert runs(**wanted) is expected, wanted
    expression = strategies._LabelMatchExpression("zone", strategies.In("a"))
    assert (expression.key, expression.operator.values) == ("zone", ("a",))
    with pytest.raises(TypeError, match="takes a label"):
        strategies._LabelMatchExpression("zone", "a")


def test_bundles_have_nodes_with_their_labels(labelled: None) -> None:
    bundles = [{"CPU": 1}, {"CPU": 1}]
    fits = groups.placement_group(bundles, bundle_label_selector=[{"zone": "a"}, {}])
    assert fits.wait(20)
    groups.remove_placement_group(fits)
    never = groups.placement_group(bundles, bundle_label_selector=[{}, {"zone": "!a"}])
    assert not never.wait(0.1)
    reason = groups.placement_group_table(never)["reason"]
    assert "1 node with label zone NotIn('a')" in reason and "this session has 0" in reason
    groups.remove_placement_group(never)
    with pytest.raises(ValueError, match="one dictionary for each of the 2 bundles"):
        groups.placement_group(bundles, bundle_label_selector=[{"zone": "a"}])
    with pytest.raises(TypeError, match="labels and values are strings"):
        groups.placement_group(bundles, bundle_label_selector=[{"zone": 1}, {}])


def test_arguments_and_options_may_be_apart(labelled: None) -> None:
    @ray.remote
    def both(a: int, b: int = 0) -> tuple[int, int]:
        return a, b

    @ray.remote
    class Adder:
        def __init__(self, start: int) -> None:
            self.start = start

        def add(self, x: int, y: int = 0) -> int:
            return self.start + x + y

    assert ray.get(both._remote(args=[1], kwargs={"b": 2}, num_returns=2)) == [1, 2]
    assert ray.get(both._remote((3,), None, num_cpus=1)) == (3, 0)
    actor = Adder._remote(args=[10], num_cpus=0)
    assert ray.get(actor.add._remote(args=[1], kwargs={"y": 2})) == 13


def test_static_methods_need_no_actor(labelled: None) -> None:
    @ray.remote
    class Parser:
        SEPARATOR = ","

        @staticmethod
        def split(text: str) -> list[str]:
            return text.split(Parser.SEPARATOR)

        @classmethod
        def name(cls) -> str:
            return cls.__name__

        def count(self, text: str) -> int:
            return len(Parser.split(text))

    assert (Parser.split("a,b"), Parser.name()) == (["a", "b"], "Parser")
    actor = Parser.remote()
    assert ray.get([actor.count.remote("a,b,c"), actor.split.remote("a")]) == [3, ["a"]]
    with pytest.raises(AttributeError, match="make an actor with"):
        Parser.count("a")
    named = actor.__ray_call__.remote(lambda self, *, text: self.count(text), text="a,b")
    assert ray.get(named) == 2


def test_affinity_takes_the_flags_that_one_node_has_no_use_for(labelled: None) -> None:
    own = ray.get_runtime_context().get_node_id()
    strategy = strategies.NodeAffinitySchedulingStrategy(
        own, soft=False, _spill_on_unavailable=False, _fail_on_unavailable=False
    )
    assert ray.get(where_it_runs.options(scheduling_strategy=strategy).remote())[1] is None


def test_the_old_name_of_the_lists(labelled: None) -> None:
    from ray.experimental.state.api import list_tasks, summarize_tasks
    from ray.experimental.state.common import TaskState
    from ray.experimental.state.exception import RayStateApiException

    assert ray.get(where_it_runs.remote()) == (None, None, False)
    (row,) = list_tasks(filters=[("name", "=", "where_it_runs")])
    assert isinstance(row, TaskState) and row["state"] == "FINISHED"
    assert summarize_tasks()["cluster"]["total_tasks"] == 1
    assert RayStateApiException is sys.modules["ray.util.state.exception"].RayStateApiException
    old, new = (importlib.import_module(f"ray.{part}.state") for part in ("experimental", "util"))
    assert [n for n in new.__all__ if getattr(old.api, n) is not getattr(new, n)] == []
    with pytest.raises(AttributeError, match="list_cluster_events is for several machines"):
        _ = old.api.list_cluster_events


def test_bind_says_that_there_are_no_graphs(labelled: None) -> None:
    @ray.remote
    class Node:
        def run(self) -> None: ...

    actor = Node.remote()
    for thing in (where_it_runs, Node, actor.run):
        assert not hasattr(thing, "bind")
        with pytest.raises(AttributeError, match=r"'bind'; task graphs .* are not part of Sundog"):
            thing.bind(1)
    with pytest.raises(AttributeError, match=r"'RemoteFunction' object has no attribute 'bound'$"):
        _ = where_it_runs.bound
