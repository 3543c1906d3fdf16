"""From figures of many rounds to one table: medians, ratios, and what met DESIGN's last column."""

from __future__ import annotations

import statistics
from typing import Any

from bench.rows import Metric, Row

# No row of a release may miss DESIGN's figure by more than this factor.
TOLERANCE = 2.0
HEADER = (
    "| row | unit | Sundog: median [min .. max] | p50 / p99 | CPU a call (Ray's) "
    "| Ray 2.60.0: median [min .. max] | times better | other peers | floor of the same minutes "
    "| share of floor | must | met | gate |"
)

Figures = dict[str, list[dict[str, Any]]]  # metric name -> one record a round


def summarize(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Median, min, max over rounds of the value and of every further figure of the records."""
    values = sorted(record["value"] for record in records)
    summary: dict[str, Any] = {
        "rounds": len(values),
        "median": statistics.median(values),
        "min": values[0],
        "max": values[-1],
        "p50": values[len(values) // 2],
        "p99": values[min(len(values) - 1, len(values) * 99 // 100)],
        "values": values,
    }
    # A program that timed each operation gives its own percentiles, in seconds.
    for name in ("p50", "p99"):
        if all(name in record for record in records):
            summary[f"operation_{name}"] = statistics.median(record[name] for record in records)
    for name in ("cpu_us", "program_cpu_seconds"):
        if all(name in record for record in records):
            summary[name] = statistics.median(record[name] for record in records)
    return summary


def by_metric(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Records of one contestant, all rounds, as one summary for each metric."""
    figures: Figures = {}
    for record in records:
        figures.setdefault(record["metric"], []).append(record)
    return {name: summarize(rounds) for name, rounds in figures.items()}


def times_better(metric: Metric, ours: float, theirs: float) -> float:
    """How many times better `ours` is than `theirs`; infinite if theirs is nothing."""
    good, bad = (ours, theirs) if metric.more else (theirs, ours)
    return good / bad if bad else float("inf")


def reached(metric: Metric, ours: dict[str, Any], floor: float | None) -> float | None:
    """How much of DESIGN's figure is reached: 1 or more is met; None where DESIGN has none."""
    value = ours["median"]
    ratios = []
    if metric.must is not None:
        ratios.append(times_better(metric, value, metric.must))
    if metric.floor_share is not None and floor:
        ratios.append(times_better(metric, value, metric.floor_share * floor))
    if not ratios:
        return None
    best = max(ratios)
    if metric.cpu_us_must is not None and "cpu_us" in ours:
        best = min(best, metric.cpu_us_must / max(ours["cpu_us"], 1e-9))
    return best


def verdict(metric: Metric, ours: dict[str, Any], floor: float | None) -> str:
    """`yes`, `within 2 x`, `no`, or nothing where DESIGN has no figure."""
    share = reached(metric, ours, floor)
    if share is None:
        return ""
    if share >= 1:
        return "yes"
    return f"within {TOLERANCE:.0f} x" if share * TOLERANCE >= 1 else "no"


def gate(
    metric: Metric, ours: dict[str, Any], theirs: dict[str, Any] | None, floor: float | None
) -> str:
    """Whether a release may have this figure: `pass`, `FAIL: why`, or nothing if nothing is asked.

    At least gate_ray times better than Ray or as good as DESIGN asks; never worse than
    DESIGN by more than TOLERANCE; a row of bytes meets DESIGN itself.
    """
    met = verdict(metric, ours, floor)
    reasons = []
    if metric.gate_ray is not None and theirs is not None and met != "yes":
        ratio = times_better(metric, ours["median"], theirs["median"])
        if ratio < metric.gate_ray:
            reasons.append(f"{ratio:.1f} x Ray, not {metric.gate_ray:g}")
    if metric.exact and met not in ("", "yes"):
        reasons.append("not DESIGN's figure, which a row of bytes must have")
    elif met == "no":
        reasons.append(f"more than {TOLERANCE:g} x from DESIGN's figure")
    asked = met or metric.gate_ray is not None
    return ("FAIL: " + "; ".join(reasons)) if reasons else ("pass" if asked else "")


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(summary: dict[str, Any] | None) -> str:
    """`median [min .. max]`."""
    if summary is None:
        return "–"
    low, high = number(summary["min"]), number(summary["max"])
    return f"{number(summary['median'])} [{low} .. {high}]"


def percentiles(summary: dict[str, Any]) -> str:
    if "operation_p50" in summary:
        micro = (summary["operation_p50"] * 1e6, summary["operation_p99"] * 1e6)
        return f"{number(micro[0])} / {number(micro[1])} us"
    return f"{number(summary['p50'])} / {number(summary['p99'])}"


def _cpu(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    """CPU time of all processes for one operation."""
    text = f"{number(ours['cpu_us'])} us" if ours and "cpu_us" in ours else ""
    if theirs and "cpu_us" in theirs:
        text += f" ({number(theirs['cpu_us'])} us)"
    return text


def _others(metric: Metric, contestants: dict[str, Any]) -> str:
    """Medians of the peers beside Ray that reported this figure."""
    told = [
        f"{name} {number(figures[metric.name]['median'])}"
        for name, figures in contestants.items()
        if name not in ("sundog", "ray", "floor") and metric.name in figures
    ]
    return ", ".join(told)


def demand(metric: Metric) -> str:
    parts = []
    if metric.must is not None:
        parts.append(number(metric.must))
    if metric.floor_share is not None:
        parts.append(f"{metric.floor_share:g} x floor")
    text = " or ".join(parts)
    return f"{text}; {metric.cpu_us_must:g} us" if metric.cpu_us_must is not None else text


def table_lines(row: Row, result: dict[str, Any]) -> list[str]:
    """The row's lines of the markdown table, one a metric."""
    lines = []
    for metric in row.metrics:
        ours = result["contestants"].get("sundog", {}).get(metric.name)
        theirs = result["contestants"].get("ray", {}).get(metric.name)
        floor = result["contestants"].get("floor", {}).get(metric.floor)
        if ours is None and theirs is None:
            continue
        floor_value = floor["median"] if floor else None
        cells = [metric.name, metric.unit, spread(ours)]
        cells.append(percentiles(ours) if ours else "")
        cells.append(_cpu(ours, theirs))
        cells.append(spread(theirs))
        both = ours and theirs
        ratio = times_better(metric, ours["median"], theirs["median"]) if both else None
        cells.append(f"{ratio:.1f}" if ratio is not None else "")
        cells.append(_others(metric, result["contestants"]))
        cells.append(f"{metric.floor}: {spread(floor)}" if floor else "")
        share = ours["median"] / floor_value if ours and floor_value else None
        cells.append(f"{share:.2f}" if share is not None else "")
        cells.append(demand(metric))
        cells.append(verdict(metric, ours, floor_value) if ours else "")
        cells.append(gate(metric, ours, theirs, floor_value) if ours else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines
