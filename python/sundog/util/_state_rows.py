"""What ``sundog.util.state`` lists, asked of the daemon a page at a time."""

from __future__ import annotations

import json
import os
import time

from sundog import _explain, _groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sundog import _core

    Row = dict[str, Any]

# model::Question
TASKS, PAST_TASKS, PROCESSES, ENVIRONMENTS = 12, 13, 14, 15
TYPES = {"task": "NORMAL_TASK", "creation": "ACTOR_CREATION_TASK", "call": "ACTOR_TASK"}
ACTOR_STATES = {"PENDING": "PENDING_CREATION", "CREATING": "PENDING_CREATION"}
HERE = "127.0.0.1"


class Source:
    """Asks one session. Each method yields all rows of a subject, with all their parts."""

    def __init__(self, session: _core.Session, own: bool = False) -> None:
        """Of this session, which is this process's ``own``, or joined for this question."""
        self.session = session
        self.own = own
        self.node = str(session.info()["node"])
        # The daemon counts from when the machine was started.
        self.epoch_ms = (time.time_ns() - time.monotonic_ns()) / 1e6
        self.missing = 0  # tasks whose records were dropped

    def ask(self, question: int, argument: str = "") -> Any:
        """One answer."""
        return json.loads(self.session.query(question, argument))

    def wall_ms(self, moment: int) -> int | None:
        """Milliseconds since 1970."""
        return round(self.epoch_ms + moment / 1e6) if moment else None

    # ---- tasks

    def tasks(self, id: str | None = None) -> Iterator[Row]:
        """Those that live, then those that ended, newest first; of one id, if it is given."""
        living = self.living(id)
        ended: set[tuple[str, int]] = set()
        first = self.ask(PAST_TASKS, "before 0" + (f" task {id}" if id else ""))
        ended.update((row["task"], row["attempt"]) for row in first["rows"])
        for row, template in living:  # what ended meanwhile is among the others
            if (row["task"], row["attempt"]) not in ended:
                yield self.task(row, template)
        self.missing = first["dropped"]
        page = first
        while True:
            for row in page["rows"]:
                yield self.task(row, page["templates"][str(row["tmpl"])])
            if page["next"] < 0:
                return
            page = self.ask(PAST_TASKS, f"before {page['next']}" + (f" task {id}" if id else ""))

    def living(self, id: str | None) -> list[tuple[Row, Row]]:
        """Rows and templates of tasks that live."""
        found: list[tuple[Row, Row]] = []
        argument = f"task {id}" if id else "from 0"
        while True:
            page = self.ask(TASKS, argument)
            templates = page["templates"]
            rows = [row for row in page["rows"] if not row["unrecorded"]]
            found += [(row, templates[str(row["tmpl"])]) for row in rows]
            if page["next"] < 0 or id or len(found) >= 10_000:
                return found
            argument = f"from {page['next']}"

    def task(self, row: Row, template: Row) -> Row:
        """One attempt."""
        events = [
            {"state": state, "created_ms": self.wall_ms(row[moment])}
            for state, moment in (
                ("PENDING_ARGS_AVAIL", "submitted"),
                ("PENDING_NODE_ASSIGNMENT", "ready"),
                ("RUNNING", "started"),
                (row["state"], "finished"),
            )
            if row[moment]
        ]
        environment = template["runtime_env"]
        is_creation = template["kind"] == "creation"
        return {
            "task_id": row["task"],
            "attempt_number": row["attempt"],
            "name": template["name"],
            "state": row["state"],
            "job_id": row["task"][:8],
            "actor_id": row["task"] + "00000000" if is_creation else row["actor"] or None,
            "type": TYPES[template["kind"]],
            "func_or_class_name": template["function"],
            "parent_task_id": row["parent"],
            "node_id": self.node if row["pid"] else None,
            "worker_id": str(row["pid"]) if row["pid"] else None,
            "worker_pid": row["pid"] or None,
            "error_type": row.get("error_type"),
            "language": template["language"],
            "required_resources": template["resources"],
            "runtime_env_info": {"hash": f"{environment:016x}"} if environment else None,
            "placement_group_id": row.get("group") or template["group"] or None,
            "events": events,
            "creation_time_ms": self.wall_ms(row["submitted"]),
            "start_time_ms": self.wall_ms(row["started"]),
            "end_time_ms": self.wall_ms(row["finished"]),
            "error_message": row.get("error") or None,
            "call_site": template["source"] or None,
        }

    # ---- actors, objects, processes

    def actors(self) -> Iterator[Row]:
        """Actors that live, and dead ones that somebody has a handle of."""
        for a in self.ask(_explain.ACTORS):
            dead = a["state"] == "DEAD"
            yield {
                "actor_id": a["actor"],
                "class_name": a["class_name"],
                "state": ACTOR_STATES.get(a["state"], a["state"]),
                "job_id": job_of(a["job"]),
                "name": a["name"],
                "node_id": self.node,
                "pid": a["pid"],
                "ray_namespace": a["namespace"],
                "required_resources": a["resources"],
                "death_cause": {"error_message": a["cause"]} if dead else None,
                "is_detached": a["detached"],
                "repr_name": "",
                "num_restarts": a["restarts"],
            }

    def objects(self) -> Iterator[Row]:
        """For each object one row a process that holds it."""
        for item in self.ask(_explain.MEMORY):
            base = {
                "object_id": item["object"],
                "object_size": item["bytes"],
                "task_status": "FINISHED" if item["ready"] else "PENDING_NODE_ASSIGNMENT",
                "attempt_number": 1,
                "call_site": "disabled",
                "ip": HERE,
            }
            held = [(h["pid"], "PINNED_IN_MEMORY") for h in item["pins"]]
            pinned = {pid for pid, _ in held}
            held += [(h["pid"], "LOCAL_REFERENCE") for h in item["refs"] if h["pid"] not in pinned]
            if item.get("internal_refs"):
                held.append((0, "USED_BY_PENDING_TASK"))
            for pid, reference in held:
                kind = "DRIVER" if pid in self.drivers() else "WORKER"
                yield {**base, "reference_type": reference, "pid": pid, "type": kind}

    def drivers(self) -> set[int]:
        """Processes of programs."""
        if not hasattr(self, "_drivers"):
            self._drivers = {p["pid"] for p in self.ask(PROCESSES) if p["driver"]}
        return self._drivers

    def workers(self) -> Iterator[Row]:
        """Processes that live."""
        for process in self.ask(PROCESSES):
            began = start_of(process["pid"])
            yield {
                "worker_id": str(process["pid"]),
                "is_alive": True,
                "worker_type": "DRIVER" if process["driver"] else "WORKER",
                "node_id": self.node,
                "ip": HERE,
                "pid": process["pid"],
                "worker_launch_time_ms": began,
                "worker_launched_time_ms": began,
                "start_time_ms": began,
                "end_time_ms": 0,
                "num_paused_threads": 0,
            }

    # ---- programs, the machine, groups, environments

    def jobs(self) -> Iterator[Row]:
        """Programs that run, and the last that ended."""
        from sundog.job_config import metadata_of

        for j in self.ask(_explain.JOBS):
            yield {
                "type": "DRIVER",
                "job_id": j["job"],
                "driver_info": {"id": j["job"], "node_ip_address": HERE, "pid": str(j["pid"])},
                "status": "RUNNING" if j["state"] == "RUNNING" else "SUCCEEDED",
                "entrypoint": j["entry_point"],
                "start_time": j["began_ms"],
                "end_time": j["ended_ms"] or None,
                "metadata": metadata_of(str(self.session.info()["session_dir"]), j["job"]),
                "runtime_env": {},
                "driver_node_id": self.node,
            }

    def nodes(self) -> Iterator[Row]:
        """This one."""
        from sundog import _strategy

        yield {
            "node_id": self.node,
            "node_ip": HERE,
            "is_head_node": True,
            "state": "ALIVE" if self.session.connected else "DEAD",
            "node_name": os.uname().nodename,
            "resources_total": _explain.status(self.session)["total"],
            "labels": _strategy.labels_of(self.session),
            "end_time_ms": 0,
        }

    def placement_groups(self) -> Iterator[Row]:
        """Those that were not removed."""
        for told in self.ask(_groups.QUESTION)["groups"]:
            row = _groups.row(told)
            yield {
                "placement_group_id": told["id"],
                "name": told["name"],
                "creator_job_id": job_of(told["job"]),
                "state": row["state"],
                "bundles": [
                    {"bundle_id": number, "unit_resources": bundle}
                    for number, bundle in enumerate(told["bundles"])
                ],
                "is_detached": told["detached"],
                "stats": row["stats"],
            }

    def runtime_envs(self) -> Iterator[Row]:
        """Those that were asked for."""
        for told in self.ask(ENVIRONMENTS):
            yield {
                "runtime_env": json.loads(told["description"]),
                "success": {"READY": True, "FAILED": False}.get(told["state"]),
                "node_id": self.node,
                "ref_cnt": told["workers"],
                "creation_time_ms": None,
            }


def job_of(number: int) -> str:
    """As ``get_job_id()`` has it."""
    return number.to_bytes(4, "little").hex()


def start_of(pid: int) -> int | None:
    """When a process of this machine began, in milliseconds since 1970; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return round((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot) * 1000)
