"""What a program can ask about its session."""

from __future__ import annotations

import os
import sys

from sundog import _core
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sundog._actor import ActorHandle
    from sundog._ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
    from sundog._timeline import TimelineView
    from sundog.runtime_env import RuntimeEnv


def need_session(function: str) -> _core.Session:
    """The current session.

    Raises:
        RuntimeError: there is none.
    """
    session = _core.current_session()
    if session is None:
        raise RuntimeError(f"{function}() needs a session: call sundog.init() first")
    return session


@public
def cluster_resources() -> dict[str, float]:
    """All resources of the session.

    Returns:
        Names to amounts: ``{"CPU": 4, "GPU": 1}``.

    Raises:
        RuntimeError: there is no session.
    """
    from sundog import _explain

    total: dict[str, float] = _explain.status(need_session("cluster_resources"))["total"]
    return total


@public
def available_resources() -> dict[str, float]:
    """Resources that no running task or actor holds.

    Returns:
        Names to amounts; what is used up is left out.

    Raises:
        RuntimeError: there is no session.
    """
    from sundog import _explain

    free = _explain.status(need_session("available_resources"))["available"]
    return {name: amount for name, amount in free.items() if amount > 0}


@public
def nodes() -> list[dict[str, Any]]:
    """The machines of the session: this one.

    Returns:
        A dictionary for each, with "NodeID", "Alive", "NodeManagerAddress",
        "NodeManagerHostname", "NodeName", "Resources" (names to amounts) and "Labels".

    Raises:
        RuntimeError: there is no session.
    """
    from sundog import _explain, _strategy

    session = need_session("nodes")
    return [
        {
            "NodeID": session.info()["node"],
            "Alive": session.connected,
            "NodeManagerAddress": "127.0.0.1",
            "NodeManagerHostname": os.uname().nodename,
            "NodeName": os.uname().nodename,
            "Resources": _explain.status(session)["total"],
            "Labels": _strategy.labels_of(session),
        }
    ]


@public
def timeline(filename: str | None = None) -> list[Any] | None:
    """The session's tasks so far as a Chrome trace (chrome://tracing, ui.perfetto.dev).

    Args:
        filename: where to write it as JSON; None returns the events.

    Returns:
        A list of events, times in microseconds; None if a file was written.

    Raises:
        RuntimeError: there is no session.
        OSError: the file cannot be written.
    """
    from sundog import _explain

    text = need_session("timeline").query(_explain.TIMELINE)
    if filename is not None:
        with open(filename, "w", encoding="utf-8") as file:
            file.write(text)
        return None
    import json

    trace = json.loads(text)
    events: list[Any] = trace["traceEvents"] if isinstance(trace, dict) else trace
    return events


@public
def task_timeline(filename: str | None = None) -> TimelineView:
    """Shows when and where each task of the session ran, and what it got from which.

    In a notebook the timeline appears under the cell. Elsewhere one self-contained HTML file is
    written, and a line says where.

    Args:
        filename: where to write the page; None takes the notebook's output, or
            ``sundog-timeline-SESSION.html`` in the current folder.

    Returns:
        What was shown; its ``refresh()`` brings new tasks into it.

    Raises:
        RuntimeError: there is no session.
        OSError: the file cannot be written.
    """
    from sundog import _timeline

    return _timeline.TimelineView(filename)


class Explanation(str):
    """What ``explain`` returns: text that shows itself as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        """The text, so that a prompt shows it as lines."""
        return str(self)


@public
def explain(ref: _core.ObjectRef[Any]) -> str:
    """Why an object is, or is not, ready: one line for each step of the chain.

    Args:
        ref: the object.

    Returns:
        Text of some lines, which a prompt shows as lines.

    Raises:
        TypeError: ``ref`` is not an ObjectRef.
        RuntimeError: there is no session, or it does not answer.
    """
    from sundog import _errors, _explain

    if not isinstance(ref, _core.ObjectRef):
        raise TypeError(
            f"explain() takes an ObjectRef, got {_errors.type_name(ref)}: {_errors.short_repr(ref)}"
        )
    need_session("explain")
    told = _explain.ask(ref)
    if told is None:
        raise RuntimeError("the session does not answer")
    what = f"object {ref.hex()}"
    if "name" in told:
        what = f"{told['name']} (task {_errors.short_id(str(told['task']))}, {told['state']})"
    lines = [str(line) for line in told.get("chain") or [told.get("reason", "")]]
    return Explanation(f"{what}: {lines[0]}" + "".join(f"\n  {line}" for line in lines[1:]))


def current_task() -> tuple[str, str] | None:
    """The id and the name of the task that runs here, in local mode too; None in a driver."""
    from sundog import _actor

    here = _actor.current_local_call()
    if here is not None:
        return here.id, here.title
    task = _core.current_task()
    return None if task is None else task[:2]


class RuntimeContext:
    """Where this code runs. What does not apply is None."""

    __slots__ = ("_session",)

    def __init__(self, session: _core.Session) -> None:
        """Use ``get_runtime_context``."""
        self._session = session

    def get_job_id(self) -> str:
        """The job, 8 hex digits."""
        job = self._session.info()["job"]
        assert isinstance(job, int)
        return job.to_bytes(4, "little").hex()

    def get_node_id(self) -> str:
        """This machine, 32 hex digits."""
        return str(self._session.info()["node"])

    def get_node_labels(self) -> dict[str, str]:
        """What label selectors find here: ``init``'s labels and ``{"ray.io/node-id": ...}``."""
        from sundog import _strategy

        return _strategy.labels_of(self._session)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """The GPUs of this task or actor as texts, ``{"GPU": ["0", "1"]}``; see ``get_gpu_ids``."""
        return {"GPU": [str(gpu) for gpu in get_gpu_ids()]}

    @public
    def get_assigned_resources(self) -> dict[str, float]:
        """What the task that runs here asked for, or what the actor that this is holds.

        Returns:
            Names to amounts, ``{"CPU": 0.5}``; what is zero is left out. Memory is in bytes.

        Raises:
            RuntimeError: this is a driver.
        """
        from sundog import _assigned

        return _assigned.resources(self._session)

    def get_resource_ids(self) -> dict[str, list[str]]:
        """The old name of ``get_accelerator_ids``."""
        return self.get_accelerator_ids()

    @property
    def job_id(self) -> JobID:
        """The job; ``get_job_id`` has it as text."""
        from sundog._ids import JobID

        return JobID(bytes.fromhex(self.get_job_id()))

    @property
    def node_id(self) -> NodeID:
        """This machine; ``get_node_id`` has it as text."""
        from sundog._ids import NodeID

        return NodeID(bytes.fromhex(self.get_node_id()))

    @property
    def task_id(self) -> TaskID | None:
        """The task that runs here, None in a driver; ``get_task_id`` has it as text."""
        from sundog._ids import TaskID

        task = self.get_task_id()
        return None if task is None else TaskID(bytes.fromhex(task))

    def get(self) -> dict[str, Any]:
        """Ids and namespace as one dictionary, with what applies here."""
        told = {
            "job_id": self.job_id,
            "node_id": self.node_id,
            "namespace": self.namespace,
            "task_id": self.task_id,
            "actor_id": self.actor_id,
        }
        return {name: value for name, value in told.items() if value is not None}

    def get_worker_id(self) -> str:
        """This process: its pid, for there is no other name."""
        return str(os.getpid())

    def get_session_name(self) -> str:
        """The session's name."""
        return self._session.name

    def get_temp_dir(self) -> str:
        """The session's folder."""
        return str(self._session.info()["session_dir"])

    def get_task_id(self) -> str | None:
        """The task that runs here, 32 hex digits; None in a driver. With ``local_mode`` it only
        tells one call from another: no list has it."""
        task = current_task()
        return task[0] if task else None

    def get_task_name(self) -> str | None:
        """What messages call the task that runs here; None in a driver."""
        task = current_task()
        return task[1] if task else None

    def get_task_function_name(self) -> str | None:
        """The function or method that runs here, ``module.Class.method``; None in a driver."""
        from sundog import _actor, _function

        here = _actor.current_local_call()
        if here is not None:
            return here.function_name
        function = _core.current_function()
        if function is None:
            return None
        if isinstance(function, str):
            actor = _actor.current()
            assert actor is not None
            return f"{actor[1].__module__}.{actor[1].__qualname__}.{function}"
        if isinstance(function, type):
            return f"{function.__module__}.{function.__qualname__}.__init__"
        return _function.full_name(function)

    def is_canceled(self) -> bool:
        """Whether the task that runs here is cancelled; who learns that is not interrupted.

        Raises:
            RuntimeError: this is a driver.
        """
        from sundog import _cancel

        return _cancel.is_canceled()

    def get_actor_id(self) -> str | None:
        """The actor that this process is, 40 hex digits; None if it is none."""
        from sundog import _actor

        actor = _actor.current()
        return actor[0].hex() if actor else None

    @property
    def actor_id(self) -> ActorID | None:
        """The actor that this process is; None if it is none."""
        from sundog import _actor
        from sundog._ids import ActorID

        actor = _actor.current()
        return ActorID(actor[0]) if actor else None

    def get_actor_name(self) -> str | None:
        """The name of the actor that this process is; None if it has none or is none."""
        import json

        from sundog import _actor, _explain

        own = self.get_actor_id()
        if own is None:
            return None
        if _actor.local is not None:
            return _actor.local.current_name()
        for actor in json.loads(self._session.query(_explain.ACTORS)):
            if actor["actor"] == own:
                return actor.get("name") or None
        return None

    def get_placement_group_id(self) -> str | None:
        """The placement group that this code runs in, 32 hex digits; None if it is in none."""
        from sundog import _groups

        group, _ = _groups.current()
        return None if group is None else str(group["id"])

    @property
    def current_placement_group_id(self) -> PlacementGroupID | None:
        """The placement group that this code runs in; None if it is in none."""
        from sundog._ids import PlacementGroupID

        id = self.get_placement_group_id()
        return None if id is None else PlacementGroupID(bytes.fromhex(id))

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what is submitted here runs in the same placement group."""
        from sundog import _groups

        return _groups.current()[1]

    @property
    def current_actor(self) -> ActorHandle[Any]:
        """A handle of the actor that this process is.

        Raises:
            RuntimeError: it is none.
        """
        from sundog import _actor_names

        handle = _actor_names.current_handle()
        if handle is None:
            raise RuntimeError("current_actor: this process is no actor")
        return handle

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor that this process is was started anew after it died."""
        from sundog import _actor

        actor = _actor.current()
        return actor is not None and actor[2] > 0

    @property
    def namespace(self) -> str:
        """Where names of actors are looked up."""
        return str(self._session.info()["namespace"])

    def get_runtime_env_string(self) -> str:
        """The runtime environment of this process as JSON, with copies in place of folders."""
        from sundog import _environment

        return _environment.text_of(_environment.current)

    @property
    def runtime_env(self) -> RuntimeEnv:
        """The runtime environment of this process; what a task or actor adds is in theirs."""
        from sundog import _environment, runtime_env

        return runtime_env.rebuild(dict(_environment.current))

    @property
    def worker_mode(self) -> str:
        """``worker`` in a task, else ``driver``."""
        return "worker" if self._session.is_worker else "driver"


@public
def get_runtime_context() -> RuntimeContext:
    """Where this code runs: session, job, node, task, actor.

    Returns:
        An object to ask; what does not apply is None.

    Raises:
        RuntimeError: there is no session.
    """
    return RuntimeContext(need_session("get_runtime_context"))


@public
def get_gpu_ids() -> list[int | str]:
    """The GPUs that this task or actor was given, as the driver's CUDA_VISIBLE_DEVICES names them.

    Returns:
        Numbers, or texts where that variable has texts (``GPU-…``, ``MIG-…``). In a driver: what
        it sees itself. In a task without ``num_gpus``: none, though it finds the variable as the
        driver has it.
    """
    session = _core.current_session()
    if session is not None and session.is_worker and not os.environ.get("SUNDOG_GPUS"):
        return []
    names = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [int(name) if name.isdigit() else name for name in names if name]


def python_version() -> str:
    """``3.11``."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
