"""What the table says of made-up figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import summary
from bench.rows import ROWS, Metric, Program, Row

RATE = Metric("calls", "/s", more=True, must=100.0, cpu_us_must=8.0, gate_ray=20.0)
TIME = Metric("wait", "s", must=0.1, floor="floor", floor_share=1.1)


def figures(*values: float, **more: float) -> dict[str, Any]:
    return summary.summarize([{"metric": "m", "value": v, **more} for v in values])


def test_a_summary_keeps_median_and_spread() -> None:
    one = figures(3.0, 1.0, 2.0, 10.0, 4.0)
    assert (one["median"], one["min"], one["max"], one["rounds"]) == (3.0, 1.0, 10.0, 5)
    assert one["values"] == [1.0, 2.0, 3.0, 4.0, 10.0]


def test_more_is_better_for_rates_and_less_for_times() -> None:
    assert summary.times_better(RATE, 200.0, 50.0) == 4.0
    assert summary.times_better(TIME, 0.5, 2.0) == 4.0


def test_the_verdict_takes_the_figure_or_the_share_of_the_floor() -> None:
    assert summary.verdict(TIME, figures(0.09), None) == "yes"
    assert summary.verdict(TIME, figures(0.2), 0.19) == "yes"
    assert summary.verdict(TIME, figures(0.2), 0.1) == "within 3 x"
    assert summary.verdict(TIME, figures(0.5), 0.1) == "no"


def test_a_rate_that_burns_cpu_is_not_met() -> None:
    assert summary.verdict(RATE, figures(150.0, cpu_us=7.0), None) == "yes"
    assert summary.verdict(RATE, figures(150.0, cpu_us=12.0), None) == "within 3 x"
    assert summary.verdict(RATE, figures(150.0, cpu_us=25.0), None) == "no"


def test_the_gate_asks_twenty_times_ray_or_the_design() -> None:
    assert summary.gate(RATE, figures(60.0), figures(2.9), None) == "pass"
    assert summary.gate(RATE, figures(60.0), figures(4.0), None).startswith("FAIL: 15.0 x Ray")
    assert summary.gate(RATE, figures(110.0), figures(20.0), None) == "pass"
    assert "more than 3 x" in summary.gate(RATE, figures(30.0), figures(1.0), None)


def test_a_row_without_any_demand_has_no_gate() -> None:
    assert summary.gate(Metric("m", "s"), figures(1.0), None, None) == ""


def test_every_line_has_as_many_cells_as_the_header() -> None:
    row = Row("r", "a row", Program("p"), (RATE, TIME))
    contestants = {
        "sundog": {"calls": figures(90.0, 120.0, cpu_us=9.0), "wait": figures(0.2)},
        "ray": {"calls": figures(2.0)},
        "floor": {"floor": figures(0.1)},
    }
    lines = summary.table_lines(row, {"contestants": contestants})
    assert [line.count(" | ") for line in lines] == [summary.HEADER.count(" | ")] * 2


def test_programs_and_floors_of_all_rows_exist() -> None:
    folder = Path(__file__).resolve().parent
    for row in ROWS.values():
        for program in (row.program, *row.floors):
            if program.name.endswith(".c"):
                assert (folder / "floors" / program.name).exists(), program.name
            else:
                assert (folder / "programs" / f"{program.name}.py").exists(), program.name
