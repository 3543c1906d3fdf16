"""What the task or actor of this process holds: the daemon knows."""

from __future__ import annotations

import json

from sundog import _core, _explain

TASKS = 12  # model::Question


def resources(session: _core.Session) -> dict[str, float]:
    """Names to amounts.

    Raises:
        RuntimeError: this process runs no task.
    """
    from sundog import _actor

    here = _actor.current_local_call()
    if here is not None:
        return here.resources()
    actor = _actor.current()
    if actor is not None:
        own = actor[0].hex()
        for told in json.loads(session.query(_explain.ACTORS)):
            if told["actor"] == own:
                held: dict[str, float] = told["resources"]
                return held
    task = _core.current_task()
    if task is None:
        raise RuntimeError(
            "get_assigned_resources() is for tasks and actors: a driver is assigned nothing; "
            "sundog.cluster_resources() tells what the session has"
        )
    page = json.loads(session.query(TASKS, f"task {task[0]}"))
    for row in page["rows"]:
        amounts: dict[str, float] = page["templates"][str(row["tmpl"])]["resources"]
        return amounts
    return {}
