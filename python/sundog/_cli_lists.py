"""``sundog list tasks`` and the other subjects of ``sundog.util.state``, as tables or as JSON."""

from __future__ import annotations

import json
import sys

from sundog import _cli
from sundog.exceptions import SundogError
from sundog.util import _state_rows, _state_schemas, state
from sundog.util._state_source import source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sundog.util._state_rows import Row
    from sundog.util._state_schemas import StateSchema

# Subject -> its class, what lists it, and the columns of the table.
SUBJECTS: dict[str, tuple[type[StateSchema], Any, tuple[str, ...]]] = {
    "tasks": (
        _state_schemas.TaskState,
        _state_rows.Source.tasks,
        ("task_id", "attempt_number", "name", "state", "type", "worker_pid", "error_type"),
    ),
    "actors": (
        _state_schemas.ActorState,
        _state_rows.Source.actors,
        ("actor_id", "class_name", "state", "job_id", "name", "pid", "ray_namespace"),
    ),
    "jobs": (
        _state_schemas.JobState,
        _state_rows.Source.jobs,
        ("job_id", "status", "start_time", "end_time", "entrypoint"),
    ),
    "objects": (
        _state_schemas.ObjectState,
        _state_rows.Source.objects,
        ("object_id", "object_size", "task_status", "reference_type", "type", "pid"),
    ),
    "workers": (
        _state_schemas.WorkerState,
        _state_rows.Source.workers,
        ("worker_id", "worker_type", "is_alive", "node_id"),
    ),
    "nodes": (
        _state_schemas.NodeState,
        _state_rows.Source.nodes,
        ("node_id", "state", "node_ip", "node_name", "resources_total", "labels"),
    ),
    "placement-groups": (
        _state_schemas.PlacementGroupState,
        _state_rows.Source.placement_groups,
        ("placement_group_id", "name", "creator_job_id", "state"),
    ),
    "runtime-envs": (
        _state_schemas.RuntimeEnvState,
        _state_rows.Source.runtime_envs,
        ("runtime_env", "success", "ref_cnt"),
    ),
}


def show(session: str | None, words: list[str]) -> int:
    """``list SUBJECT [--filter KEY=VALUE]... [--limit N] [--format table|json]``."""
    subject, rest = words[0], words[1:]
    kind, lists, columns = SUBJECTS[subject]
    limit = _cli.take_value(rest, "--limit") or str(state.LIMIT)
    form = _cli.take_value(rest, "--format") or "table"
    given = []
    while (text := _cli.take_value(rest, "--filter", "-f")) is not None:
        given.append(filter_of(text))
    _cli.expect_nothing(f"list {subject}", rest)
    if form not in ("table", "json"):
        raise _cli.UsageError(f"--format is table or json, got '{form}'")
    if not limit.isdigit():
        raise _cli.UsageError(f"--limit wants a number, got '{limit}'")
    cut = state.Cut()
    try:
        filters = state.checked_filters(given, kind)
        state.checked_limit(int(limit))
    except ValueError as error:
        raise _cli.UsageError(str(error)) from None
    name = None if session is None else _cli.sockets_of(session)[0]
    if name is None:
        _cli.sockets_of(None)
    with source(name) as asked:
        rows = state.select(lists(asked), filters, int(limit), cut)
    if form == "json":
        print(json.dumps([{c: row.get(c) for c in kind.list_columns()} for row in rows], indent=2))
    else:
        table(subject, rows, columns)
    if cut.notice:
        print(cut.notice.replace("raise the limit", f"--limit {2 * int(limit)}"), file=sys.stderr)
    return 0


def filter_of(text: str) -> tuple[str, str, str]:
    """``state=FAILED`` or ``state!=FAILED``."""
    key, sign, value = text.partition("=")
    if not sign:
        raise _cli.UsageError(f"--filter is KEY=VALUE or KEY!=VALUE, got '{text}'")
    return (key.removesuffix("!"), "!=" if key.endswith("!") else "=", value)


def table(subject: str, rows: list[Row], columns: tuple[str, ...]) -> None:
    """One line a row; below a failed task, the last line of its error."""
    shown: Callable[[object], str] = lambda value: "" if value is None else str(value)  # noqa: E731
    lines = [columns, *(tuple(shown(row.get(name)) for name in columns) for row in rows)]
    errors = ["", *((row.get("error_message") or "").strip() for row in rows)]
    _cli.print_table(lines, [text.splitlines()[-1] if text else "" for text in errors])
    print(f"{len(rows)} {subject.replace('-', ' ')}")


def main(words: list[str]) -> int:
    """``ray list``, ``ray get`` and ``ray summary``: every subject, by the functions of state."""
    try:
        return run(words)
    except _cli.UsageError as error:
        print(f"ray: {error}", file=sys.stderr)
        return 2
    except (SundogError, OSError) as error:
        print(f"ray: {error}", file=sys.stderr)
        return 1


def run(words: list[str]) -> int:
    """One of the three."""
    command, rest = words[0], [word.replace("_", "-") for word in words[1:2]] + words[2:]
    known = ("tasks", "actors", "objects") if command == "summary" else tuple(SUBJECTS)
    if not rest or rest[0] not in known:
        raise _cli.UsageError(f"{command} has as subjects {', '.join(known)}")
    if command == "list":
        return show(None, [rest[0], *(word for word in rest[1:] if word != "--detail")])
    if command == "get":
        if len(rest) != 2:
            raise _cli.UsageError(f"get {rest[0]} wants an id")
        return show(None, [rest[0], "--filter", f"{id_of(rest[0])}={rest[1]}", "--format", "json"])
    _cli.expect_nothing(f"summary {rest[0]}", rest[1:])
    _cli.sockets_of(None)
    functions = {
        "tasks": state.summarize_tasks,
        "actors": state.summarize_actors,
        "objects": state.summarize_objects,
    }
    print(json.dumps(functions[rest[0]](), indent=2))
    return 0


def id_of(subject: str) -> str:
    """The column that tells rows apart."""
    return "job_id" if subject == "jobs" else SUBJECTS[subject][2][0]
