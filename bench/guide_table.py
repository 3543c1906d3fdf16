"""The short table of the guide's page on performance, between two marks, from the same figures."""

from __future__ import annotations

import re
from typing import Any

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
# What a reader sees, row, metric.
LINES = (
    ("a session starts", "start", "init returns"),
    ("a task there and back, one at a time", "task", "task, one at a time"),
    ("20,000 tasks sent, then one `get`", "tasks_20000", "20,000 tasks, then get"),
    ("a call of an actor, one at a time", "actor_calls", "actor call, one at a time"),
    ("`put` of a small value", "put_get", "put, small value"),
    ("`get` of a small value", "put_get", "get, small value"),
    ("`wait` one by one over 1,000", "wait", "wait, one by one over 1,000"),
    ("`put` of 800 MB, first", "put_large", "put 800 MB, first"),
    ("`put` of 800 MB, again", "put_large", "put 800 MB, again"),
    ("memory of an idle session", "idle", "idle session, memory"),
)


def rounded(value: float) -> str:
    """Two digits or three, thousands apart, millions in words."""
    if value >= 1e6:
        return f"{value / 1e6:.1f} million"
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def told(summary: dict[str, Any], unit: str) -> str:
    """A median in words; a time where each operation was timed."""
    if "operation_p50" in summary:
        return f"{seconds(summary['operation_p50'])} (p50)"
    value = summary["median"]
    if unit == "s":
        return seconds(value)
    if unit in ("/s", "rounds/s"):
        return f"{rounded(value)}{' rounds' if unit != '/s' else ''} a second"
    return f"{rounded(value)} {unit}"


def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{rounded(value / size)} {unit}"
    return f"{value * 1e9:.0f} ns"


def table(results: dict[str, dict[str, Any]], units: dict[tuple[str, str], str]) -> str:
    """The marks and what is between them. units: of each row's metric."""
    lines = ["| | Sundog | Ray 2.60.0 |", "| --- | --- | --- |"]
    when: dict[str, None] = {}
    for words, row, metric in LINES:
        contestants = results.get(row, {}).get("contestants", {})
        ours, theirs = (contestants.get(name, {}).get(metric) for name in ("sundog", "ray"))
        if ours:
            unit = units[row, metric]
            beside = told(theirs, unit) if theirs else ""
            lines.append(f"| {words} | {told(ours, unit)} | {beside} |")
            where = results[row]["machine"]
            when[f"{results[row]['measured'][:10]} at commit {where['commit']}"] = None
    lines += ["", f"Medians of {', of '.join(when)}; both systems in turn in one run."]
    return "\n".join([BEGIN, "", *lines, "", END])


def put_into(page: str, new: str) -> str:
    """The page with what is between the marks replaced."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: new, page, count=1, flags=re.DOTALL)
