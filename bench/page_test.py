"""The page of figures: made anew from the JSON it is the same, and it hides nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import chart, guide_table, page
from bench.rows import ROWS, WAITING

SVG = "{http://www.w3.org/2000/svg}"


def told(median: float, **more: float) -> dict[str, Any]:
    return {"median": median, "min": median / 2, "max": median * 2, **more}


def result_of(row: str, **contestants: dict[str, Any]) -> dict[str, Any]:
    machine = {"cores": 2, "memory_gb": 8, "kernel": "6", "python": "3", "commit": "c"}
    return {
        "row": row,
        "measured": "2030-01-01T00:00",
        "machine": machine,
        "failures": ["dask start: it hangs"],
        "contestants": contestants,
    }


STARTED = {
    "start": result_of(
        "start",
        sundog={"init returns": told(0.2), "eight first results": told(0.01)},
        ray={"init returns": told(4.0)},
        pool={"init returns": told(0.05)},
    )
}


def test_the_page_and_its_charts_are_what_the_figures_give() -> None:
    made = page.files(page.RESULTS)
    stale = [name for name, text in made.items() if (page.DOCS / name).read_text() != text]
    assert stale == [], "make performance"
    charts = {f"charts/{path.name}" for path in (page.DOCS / "charts").iterdir()}
    assert charts == {name for name in made if name.endswith(".svg")}


def test_every_row_has_a_place_on_the_page() -> None:
    placed = [name for section in page.SECTIONS for name in section.rows]
    assert sorted(placed) == sorted(ROWS)
    text = page.page({}, set())
    assert all(f"`{name}`" in text for name in (*ROWS, *WAITING))


def test_what_falls_short_fails_or_is_slower_than_a_peer_is_said() -> None:
    text = page.page(STARTED, set())
    assert "- init returns: 1.67 times from the design." in text
    assert "**short**: 1.67 times from the design" in text
    assert "- init returns: multiprocessing.Pool, 4 ×." in text
    assert "Ray 2.60.0, " not in text.split("## Starting")[0].split("faster")[1]
    assert "- `start`: dask start." in text
    assert "eight first results" not in text.split("## Starting")[0]


def test_bars_are_as_long_as_their_figures_and_the_budget_is_drawn() -> None:
    drawn = page.chart_of(page.SECTIONS[0], STARTED)
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    bars = [r for r in root.iter(f"{SVG}rect") if r.get("fill") in chart.COLORS.values()]
    lengths = [float(bar.get("width", "0")) for bar in bars]
    assert len(lengths) == 4 and lengths[2] < lengths[0] < lengths[1]  # pool, Sundog, Ray
    budgets = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == chart.BUDGET]
    assert len(budgets) == 2
    assert float(budgets[0].get("x1", "0")) < chart.LEFT + lengths[0]


def test_a_figure_of_nothing_has_no_bar_and_no_logarithm() -> None:
    idle = {"idle": result_of("idle", sundog={"idle session, memory": told(0.0)})}
    assert page.chart_of(page.SECTIONS[1], idle) is None


def test_the_guides_table_is_in_words_and_keeps_the_page_around_it() -> None:
    assert guide_table.seconds(3.13) == "3.13 s" and guide_table.seconds(0.089) == "89 ms"
    assert guide_table.told({"median": 274_469.0}, "/s") == "274,000 a second"
    assert guide_table.told({"median": 2_655_139.0}, "/s") == "2.7 million a second"
    table = guide_table.table(STARTED, {("start", "init returns"): "s"})
    assert "| a session starts | 200 ms | 4 s |" in table
    around = f"before\n{guide_table.BEGIN}\nold\n{guide_table.END}\nafter\n"
    assert guide_table.put_into(around, table) == f"before\n{table}\nafter\n"
