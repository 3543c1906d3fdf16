"""What the table says of made-up figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import run, summary
from bench.contestants import CONTESTANTS
from bench.rows import ROWS, Metric, Program, Row

RATE = Metric("calls", "/s", more=True, must=100.0, cpu_us_must=8.0, gate_ray=30.0)
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
    assert summary.verdict(TIME, figures(0.2), 0.1) == "within 2 x"
    assert summary.verdict(TIME, figures(0.25), 0.1) == "no"


def test_a_rate_that_burns_cpu_is_not_met() -> None:
    assert summary.verdict(RATE, figures(150.0, cpu_us=7.0), None) == "yes"
    assert summary.verdict(RATE, figures(150.0, cpu_us=12.0), None) == "within 2 x"
    assert summary.verdict(RATE, figures(150.0, cpu_us=25.0), None) == "no"


def test_the_gate_asks_thirty_times_ray_or_the_design() -> None:
    assert summary.gate(RATE, figures(60.0), figures(1.9), None) == "pass"
    assert summary.gate(RATE, figures(60.0), figures(4.0), None).startswith("FAIL: 15.0 x Ray")
    assert summary.gate(RATE, figures(110.0), figures(20.0), None) == "pass"
    assert "more than 2 x" in summary.gate(RATE, figures(30.0), figures(1.0), None)


def test_a_row_of_bytes_must_have_the_figure_itself() -> None:
    copy = Metric("put", "GB/s", more=True, must=4.0, exact=True)
    assert summary.gate(copy, figures(4.0), None, None) == "pass"
    assert summary.gate(copy, figures(3.9), None, None).startswith("FAIL: not DESIGN's figure")
    unknown = Metric("put", "ms", floor="copy", floor_share=1.1, exact=True)
    assert summary.gate(unknown, figures(4.0), None, None) == ""


def test_a_row_without_any_demand_has_no_gate() -> None:
    assert summary.gate(Metric("m", "s"), figures(1.0), None, None) == ""


def test_every_line_has_as_many_cells_as_the_header() -> None:
    row = Row("r", "a row", Program("p"), (RATE, TIME))
    contestants = {
        "sundog": {"calls": figures(90.0, 120.0, cpu_us=9.0), "wait": figures(0.2)},
        "ray": {"calls": figures(2.0)},
        "dask": {"calls": figures(3.0), "something else": figures(1.0)},
        "floor": {"floor": figures(0.1)},
    }
    lines = summary.table_lines(row, {"contestants": contestants})
    assert [line.count(" | ") for line in lines] == [summary.HEADER.count(" | ")] * 2
    assert " | dask 3 | " in lines[0] and "dask" not in lines[1]


def test_programs_and_floors_of_all_rows_exist() -> None:
    folder = Path(__file__).resolve().parent
    for row in ROWS.values():
        for program in (row.program, *row.floors):
            if program.name.endswith(".c"):
                assert (folder / "floors" / program.name).exists(), program.name
            else:
                assert (folder / "programs" / f"{program.name}.py").exists(), program.name
        assert set(row.peers) <= set(CONTESTANTS), row.name


def test_a_program_that_fails_ends_its_contestants_row_and_no_other(tmp_path: Path) -> None:
    row = Row(
        "r", "a row", Program("no_such_program"), (RATE,), (Program("process_pool", ("10",)),)
    )
    failed = run.run_row(row, 2, ["sundog", "floor"], tmp_path)
    assert len(failed) == 2 and failed[1] == "r: no figure of Sundog, nothing written"
    assert list(tmp_path.iterdir()) == []
    assert run.run_row(row, 1, ["floor"], tmp_path) == []
    assert "process pool" in json.loads((tmp_path / "r.json").read_text())["contestants"]["floor"]


def test_rounds_of_all_contestants_are_mixed() -> None:
    row = Row("r", "a row", Program("p"), (), (Program("f"),), 3, 1, "", ("dask", "pool"), 2)
    order = [contestant.name for contestant, _ in run.turns(row, None, [*CONTESTANTS])]
    assert [order.count(name) for name in ("sundog", "ray", "dask", "pool", "floor")] == [
        3,
        1,
        2,
        2,
        3,
    ]
    fewer = [contestant.name for contestant, _ in run.turns(row, 1, [*CONTESTANTS])]
    assert sorted(fewer) == ["dask", "floor", "pool", "ray", "sundog"]
