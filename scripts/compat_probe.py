"""Tries one name, keyword or option of Ray as a program would, and says what came of it.

Used by scripts/compat.py, which fills the table, and by tests/e2e/test_compat.py, which checks it.
It starts and ends sessions of its own; it looks into nothing, it only calls.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for place in ("tests/e2e", "compat/ray", "python"):
    if str(ROOT / place) not in sys.path:
        sys.path.insert(0, str(ROOT / place))

import ray_reference  # noqa: E402

from sundog import LoggingConfig  # noqa: E402

WORKS, REFUSED, NONE = "works", "refused", "none"
Found = tuple[str, str]  # status, and the sentence if it is not WORKS

# A value for each option that asks for something: not its default, and not a wrong one.
SAMPLES: dict[str, Any] = {
    "_labels": {"zone": "a"},
    "_owner": "an actor",
    "_tensor_transport": "nccl",
    "accelerator_type": "A100",
    "address": "local",
    "allow_out_of_order_execution": True,
    "concurrency_group": "io",
    "concurrency_groups": {"io": 2},
    "configure_logging": False,
    "dashboard_host": "0.0.0.0",
    "dashboard_port": 9000,
    "enable_resource_isolation": True,
    "enable_task_events": False,
    "enable_tensor_transport": True,
    "fallback_strategy": [{"label_selector": {"zone": "a"}}],
    "get_if_exists": True,
    "ignore_reinit_error": True,
    "include_dashboard": True,
    "label_selector": {"zone": "a"},
    "job_config": {"ray_namespace": "probe"},
    "labels": {"zone": "a"},
    "lifetime": "detached",
    "local_mode": True,
    "log_to_driver": False,
    "logging_config": LoggingConfig(),
    "logging_format": "%(message)s",
    "logging_level": "error",
    "max_concurrency": 2,
    "memory": 1 << 20,
    "name": "probe",
    "namespace": "probe",
    "num_gpus": 1,
    "object_store_memory": 64 << 20,
    "placement_group": "a group",
    "placement_group_capture_child_tasks": True,
    "resources": {"probe": 1},
    "retry_exceptions": True,
    "runtime_env": {"env_vars": {"PROBE": "1"}},
    "scheduling_strategy": "SPREAD",
    "tensor_transport": "nccl",
}
SAMPLE = 2  # for all others
TOGETHER: dict[str, dict[str, object]] = {
    "_generator_backpressure_num_objects": {"num_returns": "streaming"},
    "get_if_exists": {"name": "probe"},
    "lifetime": {"name": "probe"},
}
# Classes that are made to try a keyword, with what else they need.
MADE: dict[str, dict[str, object]] = {
    "ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy": {
        "node_id": "f" * 32,
        "soft": True,
    },
}
POSITIONAL: dict[str, tuple[object, ...]] = {"ray.put": (1,), "ray.wait": ([],), "ray.get": ([],)}


def first_line(error: BaseException) -> str:
    """What the error says."""
    return str(error).splitlines()[0]


def resolve(name: str) -> Any:
    """The thing of a full name; raises what an import or an attribute raises."""
    parts = name.split(".")
    said: ModuleNotFoundError | None = None  # our own error, which says why it is absent
    for count in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            said = error if error.name is None else said
            continue
        # A function hides the module of its name, as in Ray: ray.util.placement_group.
        if count == len(parts) > 1:
            parent = sys.modules[".".join(parts[:-1])]
            thing = getattr(parent, parts[-1], thing)
        try:
            for part in parts[count:]:
                thing = getattr(thing, part)
        except AttributeError as error:
            raise (said or error) from None
        return thing
    raise said or AttributeError(name)


def try_name(name: str) -> Found:
    """A name that a program imports."""
    try:
        thing = resolve(name)
    except (AttributeError, ModuleNotFoundError) as error:
        return REFUSED, first_line(error)
    if name.startswith("ray.exceptions.") and thing.__module__ == "ray.exceptions":
        return NONE, (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
    return WORKS, ""


def try_call(call: Any, **given: Any) -> Found:
    """A call that must not complain."""
    try:
        call(**given)
    except (ValueError, TypeError, NotImplementedError) as error:
        return REFUSED, first_line(error)
    return WORKS, ""


def try_keyword(name: str, keyword: str) -> Found:
    """A keyword of a call: in its signature, or taken when it is given."""
    ray = importlib.import_module("ray")
    if name == "ray.init":
        return try_init(keyword)
    target = resolve(name)
    if name in MADE:
        return try_call(target, **{keyword: True, **MADE[name]})
    parameters = inspect.signature(target).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    if keyword in parameters or keyword in ("args", "kwargs"):
        return WORKS, ""
    if inspect.Parameter.VAR_POSITIONAL in kinds and not target.__name__.startswith("init"):
        return WORKS, ""
    sample = SAMPLES.get(keyword, SAMPLE)
    try:
        return try_call(lambda **kw: target(*POSITIONAL.get(name, ()), **kw), **{keyword: sample})
    finally:
        ray.shutdown()


def try_init(keyword: str) -> Found:
    """A keyword of ``init``: a session is started with it."""
    ray = importlib.import_module("ray")
    if keyword == "kwargs":
        return WORKS, ""
    given = {"num_cpus": 1, "logging_level": "error", keyword: SAMPLES.get(keyword, SAMPLE)}
    try:
        return try_call(ray.init, **given)
    finally:
        ray.shutdown()


def try_option(of: str, option: str) -> Found:
    """An option of ``@ray.remote`` or ``@ray.method``; nothing is started."""
    ray = importlib.import_module("ray")

    def function() -> None: ...

    class Class:
        """An actor's."""

    given = {option: SAMPLES.get(option, SAMPLE), **TOGETHER.get(option, {})}
    thing: object = Class if of == "actor class" else function
    decorate = ray.method if of == "method" else ray.remote
    return try_call(lambda **kw: decorate(**kw)(thing), **given)


def try_member(cls: str, member: str) -> Found:
    """A member of ``ObjectRef``, ``RuntimeContext`` and the like."""
    place = {"RuntimeContext": "ray.runtime_context.RuntimeContext"}.get(cls, f"ray.{cls}")
    try:
        found = hasattr(resolve(place), member)
    except (AttributeError, ModuleNotFoundError) as error:
        return REFUSED, first_line(error)
    if found:
        return WORKS, ""
    why = ray_reference.ABSENT_MEMBERS.get(f"{cls}.{member}", ray_reference.LATER)
    return REFUSED, why


def try_command(word: str) -> Found:
    """A command of ``ray``; those that work are run by test_ray."""
    command = importlib.import_module("ray._command")
    if word in command.REFUSED:
        return REFUSED, f"ray {word}: {command.REFUSED[word]}."
    if word in (*command.HANDED_ON, *command.LISTS, "timeline"):
        return WORKS, ""
    return REFUSED, f"ray: no command '{word}'"


def probe(what: str) -> Found:
    """Tries a line of the table by its first column."""
    if what.startswith("$ ray "):
        return try_command(what[len("$ ray ") :])
    if found := re.fullmatch(r"(function|actor class|method): (\w+)", what):
        return try_option(found[1], found[2])
    if found := re.fullmatch(r"([\w.]+)\((\w+)\)", what):
        return try_keyword(found[1], found[2])
    if found := re.fullmatch(r"([A-Z]\w+)\.(\w+)", what):
        return try_member(found[1], found[2])
    return try_name(what)
