"""What ``sundog.util.state`` lists: one class a subject, with the attributes that Ray's have.

Attributes of detail are None unless ``detail=True`` was asked for; what has no meaning on one
machine is None always.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# Of attributes: told only if detail is asked for, and whether a filter may name them.
DETAIL = {"detail": True, "filterable": False}
FILTERED = {"detail": True, "filterable": True}
OTHER = {"filterable": False}


@dataclass
class StateSchema:
    """A row: its parts are attributes, and keys."""

    def __getitem__(self, key: str) -> Any:
        """A part by its name."""
        if key not in self.columns():
            raise KeyError(key)
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """A part by its name, or the default."""
        return getattr(self, key) if key in self.columns() else default

    def asdict(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)

    @classmethod
    def columns(cls) -> set[str]:
        """The names of all parts."""
        return {part.name for part in fields(cls)}

    @classmethod
    def base_columns(cls) -> set[str]:
        """Those that are told without detail."""
        return cls.columns() - cls.detail_columns()

    @classmethod
    def detail_columns(cls) -> set[str]:
        """Those that are told only with it."""
        return {part.name for part in fields(cls) if part.metadata.get("detail")}

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """Those that a filter may name."""
        return {part.name for part in fields(cls) if part.metadata.get("filterable", True)}

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """Their names in order."""
        names = [part.name for part in fields(cls)]
        return names if detail else [name for name in names if name in cls.base_columns()]


@dataclass
class TaskState(StateSchema):
    """One attempt of a task. Times are in milliseconds since 1970."""

    task_id: str | None = None
    attempt_number: int | None = None
    name: str | None = None
    state: str | None = None
    job_id: str | None = None
    actor_id: str | None = None
    type: str | None = None
    func_or_class_name: str | None = None
    parent_task_id: str | None = None
    node_id: str | None = None
    worker_id: str | None = None
    worker_pid: int | None = None
    error_type: str | None = None
    language: str | None = field(default=None, metadata=FILTERED)
    required_resources: dict[str, float] | None = field(default=None, metadata=DETAIL)
    runtime_env_info: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    placement_group_id: str | None = field(default=None, metadata=FILTERED)
    events: list[dict[str, Any]] | None = field(default=None, metadata=DETAIL)
    profiling_data: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    creation_time_ms: int | None = field(default=None, metadata=DETAIL)
    start_time_ms: int | None = field(default=None, metadata=DETAIL)
    end_time_ms: int | None = field(default=None, metadata=DETAIL)
    task_log_info: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    error_message: str | None = field(default=None, metadata=DETAIL)
    is_debugger_paused: bool | None = field(default=None, metadata=FILTERED)
    call_site: str | None = field(default=None, metadata=DETAIL)
    label_selector: dict[str, str] | None = field(default=None, metadata=DETAIL)
    fallback_strategy: list[dict[str, Any]] | None = field(default=None, metadata=DETAIL)


@dataclass
class ActorState(StateSchema):
    """An actor."""

    actor_id: str | None = None
    class_name: str | None = None
    state: str | None = None
    job_id: str | None = None
    name: str | None = None
    node_id: str | None = None
    pid: int | None = None
    ray_namespace: str | None = None
    serialized_runtime_env: str | None = field(default=None, metadata=DETAIL)
    required_resources: dict[str, float] | None = field(default=None, metadata=DETAIL)
    death_cause: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    is_detached: bool | None = field(default=None, metadata=DETAIL)
    placement_group_id: str | None = field(default=None, metadata=FILTERED)
    repr_name: str | None = field(default=None, metadata=FILTERED)
    num_restarts: int | None = field(default=None, metadata=DETAIL)
    num_restarts_due_to_lineage_reconstruction: int | None = field(default=None, metadata=DETAIL)
    num_restarts_due_to_node_preemption: int | None = field(default=None, metadata=DETAIL)
    call_site: str | None = field(default=None, metadata=DETAIL)
    label_selector: dict[str, str] | None = field(default=None, metadata=DETAIL)
    fallback_strategy: list[dict[str, Any]] | None = field(default=None, metadata=DETAIL)


@dataclass
class ObjectState(StateSchema):
    """What one process, or the session itself, holds of an object."""

    object_id: str | None = None
    object_size: int | None = None
    task_status: str | None = None
    attempt_number: int | None = None
    reference_type: str | None = None
    call_site: str | None = None
    type: str | None = None
    pid: int | None = None
    ip: str | None = None


@dataclass
class WorkerState(StateSchema):
    """A process that lives: a program (DRIVER) or a worker."""

    worker_id: str | None = None
    is_alive: bool | None = None
    worker_type: str | None = None
    exit_type: str | None = None
    node_id: str | None = None
    ip: str | None = None
    pid: int | None = None
    exit_detail: str | None = field(default=None, metadata=DETAIL)
    worker_launch_time_ms: int | None = field(default=None, metadata=DETAIL)
    worker_launched_time_ms: int | None = field(default=None, metadata=DETAIL)
    start_time_ms: int | None = field(default=None, metadata=DETAIL)
    end_time_ms: int | None = field(default=None, metadata=DETAIL)
    debugger_port: int | None = field(default=None, metadata=FILTERED)
    num_paused_threads: int | None = field(default=None, metadata=FILTERED)


@dataclass
class JobState(StateSchema):
    """A program of the session; it has no detail that is not always told."""

    type: str | None = None
    job_id: str | None = None
    submission_id: str | None = None
    driver_info: dict[str, Any] | None = field(default=None, metadata=OTHER)
    status: str | None = None
    entrypoint: str | None = field(default=None, metadata=OTHER)
    message: str | None = field(default=None, metadata=OTHER)
    error_type: str | None = field(default=None, metadata=OTHER)
    start_time: int | None = field(default=None, metadata=OTHER)
    end_time: int | None = field(default=None, metadata=OTHER)
    metadata: dict[str, str] | None = field(default=None, metadata=OTHER)
    runtime_env: dict[str, Any] | None = field(default=None, metadata=OTHER)
    driver_agent_http_address: str | None = field(default=None, metadata=OTHER)
    driver_node_id: str | None = field(default=None, metadata=OTHER)
    driver_exit_code: int | None = field(default=None, metadata=OTHER)


@dataclass
class NodeState(StateSchema):
    """The machine."""

    node_id: str | None = None
    node_ip: str | None = None
    is_head_node: bool | None = None
    state: str | None = None
    state_message: str | None = field(default=None, metadata=OTHER)
    node_name: str | None = None
    resources_total: dict[str, float] | None = field(default=None, metadata=OTHER)
    labels: dict[str, str] | None = field(default=None, metadata=OTHER)
    start_time_ms: int | None = field(default=None, metadata=DETAIL)
    end_time_ms: int | None = field(default=None, metadata=DETAIL)


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group that was not removed."""

    placement_group_id: str | None = None
    name: str | None = None
    creator_job_id: str | None = None
    state: str | None = None
    bundles: list[dict[str, Any]] | None = field(default=None, metadata=DETAIL)
    is_detached: bool | None = field(default=None, metadata=FILTERED)
    stats: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    topology_strategy: dict[str, Any] | None = field(default=None, metadata=DETAIL)
    topology_assignments: dict[str, Any] | None = field(default=None, metadata=DETAIL)


@dataclass
class RuntimeEnvState(StateSchema):
    """A runtime environment that the session was told of."""

    runtime_env: dict[str, Any] | None = None
    success: bool | None = None
    creation_time_ms: int | None = field(default=None, metadata=OTHER)
    node_id: str | None = None
    ref_cnt: int | None = field(default=None, metadata=DETAIL)
    error: str | None = field(default=None, metadata=FILTERED)
