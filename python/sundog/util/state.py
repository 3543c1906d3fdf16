"""What a session has, as lists of objects: tasks, actors, objects, workers, programs, the machine,
placement groups and runtime environments. The daemon is asked; nothing is kept for it.

>>> from sundog.util import state
>>> [(task.name, task.error_type) for task in state.list_tasks(filters=[("state", "=", "FAILED")])]
[('load', 'TASK_EXECUTION_EXCEPTION')]
"""

from __future__ import annotations

import warnings

from sundog import _core
from sundog._core import public
from sundog.util import _state_rows as rows
from sundog.util import _state_schemas as schemas
from sundog.util._state_logs import get_log, list_logs
from sundog.util._state_source import StateError as StateError
from sundog.util._state_source import is_task_id, source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeVar

    from sundog.util._state_rows import Row, Source

    State = TypeVar("State", bound=schemas.StateSchema)
    Filters = Sequence[tuple[str, str, str | bool | int | float]] | None

__all__ = [
    "get_actor",
    "get_job",
    "get_log",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_jobs",
    "list_logs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]

LIMIT, LIMIT_MAX = 100, 10_000
LOOKED_AT_MAX = 10_000  # rows that filters are tried on


# ---------------------------------------------------------------- filters


def checked_filters(filters: object, kind: type[schemas.StateSchema]) -> list[Filter]:
    """Filters that make sense for this subject.

    Raises ValueError or TypeError that says what is wrong.
    """
    if filters is None:
        return []
    if isinstance(filters, str) or not isinstance(filters, (list, tuple)):
        raise TypeError(f"filters is a list like [('state', '=', 'FAILED')], got {filters!r}")
    return [Filter(given, kind) for given in filters]


class Filter:
    """``(key, "=" or "!=", value)``; texts are compared without regard to case."""

    def __init__(self, given: object, kind: type[schemas.StateSchema]) -> None:
        """Checks it."""
        if not isinstance(given, (list, tuple)) or len(given) != 3:
            raise ValueError(f"a filter is (key, '=' or '!=', value), got {given!r}")
        self.key, predicate, self.value = given
        if predicate not in ("=", "!="):
            raise ValueError(f"a filter's predicate is '=' or '!=', got {predicate!r} in {given!r}")
        self.equal = predicate == "="
        keys = sorted(kind.filterable_columns())
        if self.key not in keys:
            from sundog._options import did_you_mean

            raise ValueError(
                f"no filter for {self.key!r}{did_you_mean(str(self.key), keys)}: {kind.__name__} "
                f"is filtered by {', '.join(keys)}"
            )

    def takes(self, row: Row) -> bool:
        """Whether the row stays."""
        found, wanted = row.get(self.key), self.value
        same: bool
        if isinstance(found, bool) and isinstance(wanted, str):
            same = wanted.lower() in (("true", "1") if found else ("false", "0"))
        elif isinstance(found, str) or isinstance(wanted, str):
            same = found is not None and str(found).lower() == str(wanted).lower()
        else:
            same = bool(found == wanted)
        return same is self.equal


def checked_limit(limit: object) -> int:
    """How many rows are returned."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit is an integer, got {limit!r}")
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit is from 1 to {LIMIT_MAX:,}, got {limit}")
    return limit


class Cut:
    """What of a list is not there."""

    notice = ""


def select(
    all_rows: Iterable[Row], filters: list[Filter], limit: int, cut: Cut | None = None
) -> list[Row]:
    """The first rows that pass; ``cut`` learns what was left out."""
    found: list[Row] = []
    for looked_at, row in enumerate(all_rows):
        if looked_at == LOOKED_AT_MAX:
            if cut is not None:
                cut.notice = f"only the first {LOOKED_AT_MAX:,} were looked at; there are more"
            break
        if not all(f.takes(row) for f in filters):
            continue
        if len(found) == limit:
            if cut is not None:
                cut.notice = f"only the first {limit:,} are shown; there are more: raise the limit"
            break
        found.append(row)
    return found


def listed(
    kind: type[State],
    subject: Callable[[Source], Iterable[Row]],
    address: str | None,
    filters: Filters,
    limit: int,
    detail: bool,
    raise_on_missing_output: bool,
) -> list[State]:
    """What the list functions return."""
    checked = checked_filters(filters, kind)
    checked_limit(limit)
    cut = Cut()
    with source(address) as asked:
        found = select(subject(asked), checked, limit, cut)
    if cut.notice:
        if raise_on_missing_output and "looked at" in cut.notice:
            raise StateError(f"{kind.__name__}: {cut.notice} (raise_on_missing_output=False)")
        warnings.warn(f"{kind.__name__}: {cut.notice}", stacklevel=4)
    columns = kind.columns() if detail else kind.base_columns()
    return [kind(**{k: v for k, v in row.items() if k in columns}) for row in found]


def one(
    kind: type[State],
    subject: Callable[[Source], Iterable[Row]],
    key: str,
    id: str,
    address: str | None,
) -> State | None:
    """What the get functions return: with all details."""
    found = every(kind, subject, key, id, address)
    return found[0] if found else None


def every(
    kind: type[State],
    subject: Callable[[Source], Iterable[Row]],
    key: str,
    id: str,
    address: str | None,
) -> list[State]:
    """All rows of one id."""
    if not isinstance(id, str):
        raise TypeError(f"an id is a text of hex digits, got {id!r}")
    columns = kind.columns()
    with source(address) as asked:
        found = [row for row in subject(asked) if row[key] == id]
    return [kind(**{k: v for k, v in row.items() if k in columns}) for row in found]


# ---------------------------------------------------------------- lists

LIST_WORDS = """

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        filters: ``[("state", "=", "ALIVE"), ...]``, with "=" or "!="; texts are compared without
            regard to case. What may be filtered: ``{kind}.filterable_columns()``.
        limit: how many are returned, at most 10,000; a warning says if there are more.
        timeout: has no meaning here: the daemon answers at once.
        detail: True for the attributes that else are None, ``{kind}.detail_columns()``.
        raise_on_missing_output: raise if filters could not be tried on all.
        _explain: has no meaning here.

    Returns:
        A list of ``{kind}``; each is a mapping too.

    Raises:
        ValueError: a filter or limit that makes no sense.
        ConnectionError: no session runs.
        StateError: there are too many to filter."""
GET_WORDS = """

    Args:
        id: {id}.
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        _explain: has no meaning here.

    Returns:
        {returns}

    Raises:
        ConnectionError: no session runs."""


def lister(
    kind: type[State], subject: Callable[[Source], Iterable[Row]], words: str
) -> Callable[..., list[State]]:
    """A list function."""

    def function(
        address: str | None = None,
        filters: Filters = None,
        limit: int = LIMIT,
        timeout: int = 30,
        detail: bool = False,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[State]:
        del timeout, _explain
        return listed(kind, subject, address, filters, limit, detail, raise_on_missing_output)

    name = f"list_{subject.__name__}"
    described(function, name, words + LIST_WORDS, kind=kind.__name__)
    return public(function)


def getter(
    kind: type[State], subject: Callable[[Source], Iterable[Row]], key: str, what: str
) -> Callable[..., State | None]:
    """A get function."""

    def function(
        id: str, address: str | None = None, timeout: int = 30, _explain: bool = False
    ) -> State | None:
        del timeout, _explain
        return one(kind, subject, key, id, address)

    words = f"{what[0].upper()}{what[1:]} by its id, with all details." + GET_WORDS
    name = "get_" + subject.__name__.removesuffix("s")
    returns = f"A ``{kind.__name__}``; None if there is none."
    described(function, name, words, id=f"of {what}", returns=returns)
    return public(function)


def described(function: Any, name: str, words: str, **texts: str) -> None:
    """Gives a function its name and documentation."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = words.format(**texts)


S = rows.Source
list_tasks = lister(
    schemas.TaskState,
    S.tasks,
    "Attempts of tasks and of actors' calls: those that live, then those that ended, newest first.",
)
list_actors = lister(
    schemas.ActorState, S.actors, "Actors that live, and dead ones that somebody has a handle of."
)
list_objects = lister(
    schemas.ObjectState, S.objects, "Objects in the store: one row for each process that holds one."
)
list_workers = lister(schemas.WorkerState, S.workers, "Processes: programs and workers that live.")
list_jobs = lister(
    schemas.JobState, S.jobs, "Programs of the session: those that run, and the last that ended."
)
list_nodes = lister(schemas.NodeState, S.nodes, "The machines of the session: this one.")
list_placement_groups = lister(
    schemas.PlacementGroupState, S.placement_groups, "Placement groups that were not removed."
)
list_runtime_envs = lister(
    schemas.RuntimeEnvState, S.runtime_envs, "Runtime environments that programs asked for."
)

get_actor = getter(schemas.ActorState, S.actors, "actor_id", "an actor")
get_worker = getter(schemas.WorkerState, S.workers, "worker_id", "a process")
get_job = getter(schemas.JobState, S.jobs, "job_id", "a program")
get_node = getter(schemas.NodeState, S.nodes, "node_id", "a machine")
get_placement_group = getter(
    schemas.PlacementGroupState, S.placement_groups, "placement_group_id", "a placement group"
)


@public
def get_objects(
    id: str, address: str | None = None, timeout: int = 30, _explain: bool = False
) -> list[schemas.ObjectState]:
    """What each process holds of an object.

    Args:
        id: of the object, as ``ref.hex()`` says it.
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        _explain: has no meaning here.

    Returns:
        A list of ``ObjectState``, empty if there is no such object.

    Raises:
        ConnectionError: no session runs.
    """
    del timeout, _explain
    return every(schemas.ObjectState, S.objects, "object_id", id, address)


@public
def get_task(
    id: str | _core.ObjectRef[Any],
    address: str | None = None,
    timeout: int = 30,
    _explain: bool = False,
) -> schemas.TaskState | list[schemas.TaskState] | None:
    """The attempts of a task, with all details.

    Args:
        id: of the task, or a reference of a result of it.
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        _explain: has no meaning here.

    Returns:
        A ``TaskState``; a list of them, the last attempt first, if there were several; None if
        there is no such task, or its record was dropped.

    Raises:
        ConnectionError: no session runs.
    """
    del timeout, _explain
    name = id.hex()[:32] if isinstance(id, _core.ObjectRef) else id
    if not isinstance(name, str):
        raise TypeError(f"get_task() takes the id of a task or an ObjectRef, got {id!r}")
    if not is_task_id(name.lower()):
        return None
    found = every(schemas.TaskState, lambda s: s.tasks(name.lower()), "task_id", name, address)
    return found if len(found) > 1 else found[0] if found else None


# ---------------------------------------------------------------- summaries


def summary(groups: dict[str, Any], by: str, **totals: object) -> dict[str, Any]:
    """Of the one cluster that there is."""
    return {"cluster": {"summary": groups, "summary_by": by, **totals}}


@public
def summarize_tasks(
    address: str | None = None,
    timeout: int = 30,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many tasks of each function are in which state.

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        raise_on_missing_output: raise if there are more than 10,000, of which the rest is not
            counted.
        _explain: has no meaning here.

    Returns:
        ``{"cluster": {"summary": {name: {"func_or_class_name", "type", "state_counts"}}, ...}}``

    Raises:
        ConnectionError: no session runs.
        StateError: there are too many.
    """
    del timeout, _explain
    cut = Cut()
    groups: dict[str, Any] = {}
    totals = {"NORMAL_TASK": 0, "ACTOR_TASK": 0, "ACTOR_CREATION_TASK": 0}
    with source(address) as asked:
        found = select(asked.tasks(), [], LOOKED_AT_MAX, cut)
    if cut.notice and raise_on_missing_output:
        raise StateError(f"summarize_tasks(): {cut.notice} (raise_on_missing_output=False)")
    for row in found:
        name, kind = row["func_or_class_name"], row["type"]
        group = groups.setdefault(
            name, {"func_or_class_name": name, "type": kind, "state_counts": {}}
        )
        count(group["state_counts"], row["state"])
        totals[kind] += 1
    return summary(
        groups,
        "func_name",
        total_tasks=totals["NORMAL_TASK"],
        total_actor_tasks=totals["ACTOR_TASK"],
        total_actor_scheduled=totals["ACTOR_CREATION_TASK"],
    )


@public
def summarize_actors(
    address: str | None = None,
    timeout: int = 30,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many actors of each class are in which state.

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        raise_on_missing_output: has no meaning here: all are counted.
        _explain: has no meaning here.

    Returns:
        ``{"cluster": {"summary": {class: {"class_name", "state_counts"}}, ...}}``

    Raises:
        ConnectionError: no session runs.
    """
    del timeout, raise_on_missing_output, _explain
    groups: dict[str, Any] = {}
    total = 0
    with source(address) as asked:
        for row in asked.actors():
            name = row["class_name"]
            group = groups.setdefault(name, {"class_name": name, "state_counts": {}})
            count(group["state_counts"], row["state"])
            total += 1
    return summary(groups, "class", total_actors=total)


@public
def summarize_objects(
    address: str | None = None,
    timeout: int = 30,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many objects there are and how large they are.

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        timeout: has no meaning here: the daemon answers at once.
        raise_on_missing_output: has no meaning here.
        _explain: has no meaning here.

    Returns:
        ``{"cluster": {"summary": {"disabled": {"total_objects", "total_size_mb", ...}}, ...}}``:
        where an object was made is not recorded, so all are in one group.

    Raises:
        ConnectionError: no session runs.
    """
    del timeout, raise_on_missing_output, _explain
    sizes: dict[str, int] = {}
    states: dict[str, int] = {}
    references: dict[str, int] = {}
    pids = set()
    with source(address) as asked:
        for row in asked.objects():
            sizes[row["object_id"]] = row["object_size"]
            count(states, row["task_status"])
            count(references, row["reference_type"])
            pids.add(row["pid"])
    megabytes = sum(sizes.values()) / 1e6
    group = {
        "total_objects": len(sizes),
        "total_size_mb": megabytes,
        "total_num_workers": len(pids),
        "total_num_nodes": 1,
        "task_state_counts": states,
        "task_attempt_number_counts": {"1": sum(states.values())},
        "ref_type_counts": references,
    }
    return summary(
        {"disabled": group},
        "callsite",
        total_objects=len(sizes),
        total_size_mb=megabytes,
        callsite_enabled=False,
    )


def count(counts: dict[str, int], key: str) -> None:
    """One more."""
    counts[key] = counts.get(key, 0) + 1
