"""Labels of the machine, selectors that name them, and what else ``init`` is told of a program."""

import re
from pathlib import Path

import pytest
from conftest import run_program

import sundog
from sundog.job_config import JobConfig
from sundog.util import state


@sundog.remote
def one() -> int:
    return 1


@sundog.remote
def assigned() -> dict[str, float]:
    return sundog.get_runtime_context().get_assigned_resources()


@sundog.remote
class Holder:
    def assigned(self) -> dict[str, float]:
        return sundog.get_runtime_context().get_assigned_resources()


@pytest.fixture
def zone() -> None:
    sundog.init(num_cpus=2, labels={"zone": "a", "disk": "ssd"}, logging_level="error")


def test_labels_are_found_everywhere(zone: None) -> None:
    @sundog.remote
    def there() -> dict[str, str]:
        return sundog.get_runtime_context().get_node_labels()

    own = {"zone": "a", "disk": "ssd", "ray.io/node-id": sundog.nodes()[0]["NodeID"]}
    assert sundog.get(there.remote()) == own
    assert sundog.get_runtime_context().get_node_labels() == own
    assert sundog.nodes()[0]["Labels"] == state.list_nodes()[0].labels == own


def test_selectors_are_satisfied_or_infeasible(zone: None) -> None:
    for selector in (
        {"zone": "a"},
        {"zone": "!b"},
        {"zone": "in(a, b)", "disk": "!in(tape)"},
        {"missing": "!x"},
    ):
        assert sundog.get(one.options(label_selector=selector).remote()) == 1
    actor = Holder.options(label_selector={"disk": "ssd"}).remote()
    assert sundog.get(actor.assigned.remote()) == {}
    waits = one.options(label_selector={"zone": "b"}).remote()
    ready, _ = sundog.wait([waits], timeout=0.05)
    assert ready == []
    assert "it needs 1 node with label zone" in sundog.explain(waits)


def test_a_fallback_is_taken_if_the_selector_matches_nothing(zone: None) -> None:
    fallback = [{"label_selector": {"zone": "c"}}, {"label_selector": {"zone": "a"}}]
    chosen = one.options(label_selector={"zone": "b"}, fallback_strategy=fallback)
    assert sundog.get(chosen.remote()) == 1
    waits = one.options(label_selector={"zone": "b"}, fallback_strategy=fallback[:1]).remote()
    assert sundog.wait([waits], timeout=0.05)[0] == []
    with pytest.raises(TypeError, match="fallback_strategy is a list"):
        one.options(fallback_strategy={"label_selector": {}})
    with pytest.raises(ValueError, match=r"is \{'label_selector': \{...\}\} and nothing else"):
        one.options(fallback_strategy=[{"resources": {}}])


def test_labels_and_selectors_are_checked() -> None:
    for labels, error, said in (
        (["zone"], TypeError, "labels is a dictionary of texts"),
        ({"zone": 1}, TypeError, "labels are texts with texts, got 'zone': 1"),
        ({"ray.io/node-id": "x"}, ValueError, "is not yours to give"),
        ({"zone": "in(a)"}, ValueError, "which no label_selector could name"),
    ):
        with pytest.raises(error, match=re.escape(said)):
            sundog.init(labels=labels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the value of 'zone' is 'a', '!a'"):
        one.options(label_selector={"zone": "in(a"})


def test_assigned_resources_are_those_that_were_asked_for(zone: None) -> None:
    options = {"num_cpus": 0.5, "memory": 1_000_000}
    assert sundog.get(assigned.options(**options).remote()) == {"CPU": 0.5, "memory": 1_000_000}
    assert sundog.get(assigned.remote()) == {"CPU": 1}
    assert sundog.get(assigned.options(enable_task_events=False).remote()) == {"CPU": 1}
    assert sundog.get(Holder.options(num_cpus=1).remote().assigned.remote()) == {"CPU": 1}
    assert sundog.get(Holder.remote().assigned.remote()) == {}
    with pytest.raises(RuntimeError, match="is for tasks and actors: a driver is assigned nothing"):
        sundog.get_runtime_context().get_assigned_resources()


def test_a_job_config_names_what_the_program_is() -> None:
    config = JobConfig(ray_namespace="mine", runtime_env={"env_vars": {"COLOUR": "blue"}})
    config.set_metadata("owner", "ann")
    sundog.init(num_cpus=1, job_config=config, logging_level="error")

    @sundog.remote
    def colour() -> tuple[str | None, str]:
        import os

        return os.environ.get("COLOUR"), sundog.get_runtime_context().namespace

    assert sundog.get(colour.remote()) == ("blue", "mine")
    assert state.list_jobs()[0].metadata == {"owner": "ann"}
    sundog.shutdown()
    sundog.init(num_cpus=1, job_config={"ray_namespace": "x"}, namespace="y", logging_level="error")
    assert sundog.get_runtime_context().namespace == "y"
    assert state.list_jobs()[0].metadata == {}


def test_a_job_config_refuses_what_has_no_meaning() -> None:
    with pytest.raises(ValueError, match=r"jvm_options=.* has no meaning here: leave it out"):
        JobConfig(jvm_options=["-Xmx1g"])
    with pytest.raises(ValueError, match="default_actor_lifetime='detached' has no meaning"):
        JobConfig().set_default_actor_lifetime("detached")
    with pytest.raises(TypeError, match="metadata is a dictionary of texts, got 'a': 1"):
        JobConfig(metadata={"a": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="job_config is a JobConfig or a dictionary, got 'x'"):
        sundog.init(job_config="x")  # type: ignore[arg-type]
    assert JobConfig.from_json({"ray_namespace": "n"}) == JobConfig(ray_namespace="n")


def test_names_of_before_tell_ids(zone: None) -> None:
    context = sundog.get_runtime_context()
    assert context.job_id.hex() == context.get_job_id()
    assert context.node_id.hex() == context.get_node_id()
    assert context.task_id is None and set(context.get()) == {"job_id", "node_id", "namespace"}
    assert context.get_resource_ids() == context.get_accelerator_ids()

    @sundog.remote
    def told() -> tuple[str, str]:
        here = sundog.get_runtime_context()
        return here.get()["task_id"].hex(), str(here.get_task_id())

    left, right = sundog.get(told.remote())
    assert left == right


def test_labels_of_a_session_are_not_another_program_s_to_give(zone: None, tmp_path: Path) -> None:
    name = sundog.get_runtime_context().get_session_name()
    said = run_program(
        f"""
import sundog
try:
    sundog.init({name!r}, labels={{"zone": "b"}})
except ValueError as error:
    print(error)
sundog.init({name!r}, logging_level="error")
print(sundog.get_runtime_context().get_node_labels()["zone"])
""",
        tmp_path,
    ).stdout.splitlines()
    assert "labels says what a new session has" in said[0]
    assert said[1] == "a"
