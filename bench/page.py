"""`make performance`: docs/performance.md, its charts and the guide's short table from the figures.

The figures are those in bench/results. Nothing is run and nothing measured: the same JSON gives the
same files. What falls short of the design is said so, in the table and above it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import chart, guide_table, summary  # noqa: E402
from bench.contestants import CONTESTANTS  # noqa: E402
from bench.rows import ROWS, WAITING, Metric, Row  # noqa: E402

RESULTS = ROOT / "bench/results"
DOCS = ROOT / "docs"
GUIDE = "guide/performance.md"
HEADER = "| | Sundog | Ray 2.60.0 | better | others | floor | design | |"


INTRODUCTION = """\
# Performance, measured

Made by `make performance` from the figures that `make bench` wrote; no figure is typed by hand.
Sundog, Ray 2.60.0, the other peers and the floors ran in turn in one run, each round in a fresh
process. Figures are medians [least .. most] over rounds; *better* is Sundog's median against
Ray's; *floor* is the least that the machine needs for the same; *design* is what Sundog must
reach, and what does not is marked **short**. `bench/README.md` says what each row times and who
takes part with what; [the guide](guide/performance.md) says what to do about a slow program.

A shared machine wanders by a factor of two within minutes: compare within a line, not between
lines.
"""


@dataclass(frozen=True)
class Section:
    """One part of the page: its chart has the metrics named; its table has all of its rows.

    unit: of the chart; metrics of another unit are in the table only.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    unit: str
    words: str
    better: str = "longer is better"


SECTIONS = (
    Section(
        "start",
        "Starting",
        ("start", "start_without_init", "eight_sleepers", "import"),
        "s",
        "From nothing to first results, in a fresh process each time.",
        "shorter is better",
    ),
    Section(
        "memory",
        "Memory",
        ("idle", "readers"),
        "MB",
        "Proportional set size of all processes of a session, so that shared memory counts once.",
        "shorter is better",
    ),
    Section(
        "calls",
        "Calls",
        ("task", "tasks_1000", "tasks_20000", "submitters", "actor_calls", "cpp_calls"),
        "/s",
        "Tasks and actor calls that do nothing: what is left is what a call costs. joblib batches"
        " small calls by itself; the others send each one.",
    ),
    Section(
        "many",
        "Many tasks, many actors",
        ("map_million", "queued", "daemon_cpu", "actors_created", "placement_group"),
        "s",
        "A million items or queued tasks, a thousand actors, and the daemon's own share of a task.",
        "shorter is better",
    ),
    Section(
        "small_values",
        "Small values",
        ("put_get", "wait"),
        "/s",
        "`put` and `get` of an integer; `wait` for one at a time over 1,000 references.",
    ),
    Section(
        "bytes",
        "Large arrays",
        ("put_large",),
        "GB/s",
        "A large `put` is a copy of memory. The floor is a plain `memcpy`; ours goes past the"
        " caches and can be faster. The first one also has to get its pages from the kernel.",
    ),
    Section(
        "weights",
        "Weights and many objects",
        ("weights", "small_beside_large", "many_objects"),
        "ms",
        "Dictionaries of arrays, and calls with very many references.",
        "shorter is better",
    ),
    Section(
        "models",
        "Models",
        ("models", "model_inference"),
        "ms",
        "BERT-base with random weights, 438 MB: until it can be used, and what its inference costs"
        " on shared weights; Ray with the same torch.",
        "shorter is better",
    ),
)


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Row's name to its result, for the rows that were measured."""
    found = {}
    for name in ROWS:
        path = folder / f"{name}.json"
        if path.exists():
            found[name] = json.loads(path.read_text())
    return found


def figure(result: dict[str, Any], contestant: str, metric: str) -> dict[str, Any] | None:
    """A contestant's summary of a metric, if it has one."""
    found: dict[str, Any] | None = result["contestants"].get(contestant, {}).get(metric)
    return found


def floor_of(result: dict[str, Any], metric: Metric) -> float | None:
    """The median of the metric's floor."""
    found = figure(result, "floor", metric.floor)
    return found["median"] if found else None


def name_of(row: Row, metric: Metric) -> str:
    """The metric's name, with that of the one that it continues in front."""
    if not metric.name.startswith("... "):
        return metric.name
    leads = [m.name for m in row.metrics[: row.metrics.index(metric)] if m.name[:4] != "... "]
    return f"{leads[-1]}: {metric.name[4:]}" if leads else metric.name[4:]


def shortfall(metric: Metric, result: dict[str, Any]) -> str:
    """What misses the design, and by how much; empty if nothing does."""
    ours = figure(result, "sundog", metric.name)
    share = summary.reached(metric, ours, floor_of(result, metric)) if ours else None
    if ours is None or share is None or share >= 1:
        return ""
    cpu = metric.cpu_us_must
    if cpu is not None and ours.get("cpu_us", 0) > cpu:
        return f"{summary.number(ours['cpu_us'])} µs of CPU a call, {cpu:g} asked"
    return f"{summary.number(1 / share)} times from the design"


def faster_peers(row: Row, result: dict[str, Any]) -> list[str]:
    """One line for each figure in which somebody else's median is better than Sundog's."""
    lines = []
    for metric in row.metrics:
        ours = figure(result, "sundog", metric.name)
        for contestant in CONTESTANTS.values():
            told = figure(result, contestant.name, metric.name)
            if ours is None or told is None or contestant.name in ("sundog", "floor"):
                continue
            ratio = summary.times_better(metric, told["median"], ours["median"])
            if ratio > 1:
                lines.append(
                    f"- {name_of(row, metric)}: {contestant.title}, {summary.number(ratio)} ×."
                )
    return lines


def table_line(row: Row, metric: Metric, result: dict[str, Any]) -> str:
    """One line of a section's table."""
    ours = figure(result, "sundog", metric.name)
    theirs = figure(result, "ray", metric.name)
    floor = floor_of(result, metric)
    unit = f" {metric.unit}" if metric.unit else ""
    mine = summary.spread(ours) + unit
    if ours and "operation_p50" in ours:
        mine += f"; p50 / p99 {summary.percentiles(ours)}"
    if ours and "cpu_us" in ours:
        mine += f"; CPU {summary.number(ours['cpu_us'])} µs"
    ratio = None
    if ours and theirs and ours["median"] and theirs["median"]:
        ratio = summary.times_better(metric, ours["median"], theirs["median"])
    others = [
        f"{contestant.title} {summary.number(told['median'])}"
        for contestant in CONTESTANTS.values()
        if contestant.name not in ("sundog", "ray", "floor")
        and (told := figure(result, contestant.name, metric.name))
    ]
    cells = [
        name_of(row, metric),
        mine,
        summary.spread(theirs) if theirs else "",
        f"{summary.number(ratio)} ×" if ratio else "",
        ", ".join(others),
        f"{metric.floor} {summary.number(floor)}" if floor else "",
        summary.demand(metric),
        f"**short**: {said}" if (said := shortfall(metric, result)) else "",
    ]
    return "| " + " | ".join(cells) + " |"


def group_of(row: Row, metric: Metric, result: dict[str, Any]) -> chart.Group | None:
    """The metric's bars; None without a figure of Sundog."""
    bars = []
    for contestant in CONTESTANTS.values():
        told = figure(result, contestant.name, metric.name)
        if told and contestant.name != "floor" and told["median"] > 0:
            label = f"{summary.number(told['median'])} {metric.unit}"
            bars.append(
                chart.Bar(contestant.title, told["median"], told["min"], told["max"], label)
            )
    if not bars or bars[0].name != CONTESTANTS["sundog"].title:
        return None
    return chart.Group(name_of(row, metric), tuple(bars), floor_of(result, metric), metric.must)


def chart_of(section: Section, results: dict[str, dict[str, Any]]) -> str | None:
    """The section's chart; None if none of its figures was measured."""
    groups = [
        group
        for name in section.rows
        if name in results
        for metric in ROWS[name].metrics
        if metric.unit == section.unit or (section.unit == "/s" and metric.unit == "rounds/s")
        if (group := group_of(ROWS[name], metric, results[name]))
    ]
    title = f"{section.title} ({'a second' if section.unit == '/s' else section.unit})"
    return chart.svg(title, section.better, groups) if groups else None


def section_text(section: Section, results: dict[str, dict[str, Any]], drawn: bool) -> list[str]:
    """Heading, chart and table."""
    lines = ["", f"## {section.title}", "", section.words, ""]
    if drawn:
        lines += [f"![{section.title}](charts/{section.name}.svg)", ""]
    measured = [name for name in section.rows if name in results]
    if measured:
        lines += [HEADER, "|" + " --- |" * (HEADER.count("|") - 1)]
    for name in measured:
        for metric in ROWS[name].metrics:
            if figure(results[name], "sundog", metric.name):
                lines.append(table_line(ROWS[name], metric, results[name]))
    said = [f"{ROWS[name].published}." for name in section.rows if ROWS[name].published]
    missing = [name for name in section.rows if name not in results]
    if missing:
        said.append(f"Not measured yet: {', '.join(f'`{name}`' for name in missing)}.")
    return [*lines, *([""] if measured and said else []), *said]


def machines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Where and when: one line for each machine and commit."""
    places: dict[str, list[str]] = {}
    for name, result in results.items():
        where = result["machine"]
        versions = "".join(
            f", {package} {number}" for package, number in where.get("versions", {}).items()
        )
        text = (
            f"{where.get('processor', 'a processor')}, {where['cores']} cores,"
            f" {where['memory_gb']} GB, Linux {where['kernel']}, Python {where['python']}{versions}"
            f"; commit {where['commit']}, {result['measured'][:10]}"
        )
        places.setdefault(text, []).append(name)
    return [f"- {text}: {', '.join(names)}." for text, names in places.items()]


def page(results: dict[str, dict[str, Any]], drawn: set[str]) -> str:
    """The whole page. drawn: the sections that have a chart."""
    short = [
        f"- {name_of(ROWS[name], metric)}: {said}."
        for name, result in results.items()
        for metric in ROWS[name].metrics
        if (said := shortfall(metric, result))
    ]
    failed = [
        f"- `{name}`: {text.splitlines()[0].split(': ')[0]}."
        for name, result in results.items()
        for text in result["failures"]
    ]
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        "## What falls short",
        "",
        *(short or ["Nothing that was measured."]),
    ]
    faster = [line for name, result in results.items() for line in faster_peers(ROWS[name], result)]
    lines += ["", "## Where somebody else is faster", "", *(faster or ["In no figure measured."])]
    if failed:
        lines += ["", "These programs failed in the run and have no figure:", "", *failed]
    for section in SECTIONS:
        lines += section_text(section, results, section.name in drawn)
    lines += ["", "## Not run", ""]
    lines += [f"- `{name}`: {why}." for name, why in WAITING.items()]
    lines += ["", "## Machine and versions", "", *machines(results), ""]
    return "\n".join(lines)


def files(folder: Path) -> dict[str, str]:
    """Path below docs to its text, for the figures in `folder`."""
    results = load(folder)
    charts = {section.name: chart_of(section, results) for section in SECTIONS}
    made = {f"charts/{name}.svg": text for name, text in charts.items() if text}
    drawn = {name for name, text in charts.items() if text}
    units = {
        (row.name, metric.name): metric.unit for row in ROWS.values() for metric in row.metrics
    }
    guide = guide_table.put_into((DOCS / GUIDE).read_text(), guide_table.table(results, units))
    return {"performance.md": page(results, drawn), GUIDE: guide, **made}


def main() -> int:
    made = files(RESULTS)
    (DOCS / "charts").mkdir(exist_ok=True)
    for old in (DOCS / "charts").glob("*.svg"):
        if f"charts/{old.name}" not in made:
            old.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text)
    print(f"docs/performance.md, the table of docs/{GUIDE} and {len(made) - 2} charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
