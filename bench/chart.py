"""A bar chart as SVG: groups of bars on a logarithmic axis, with spread, floor and budget.

Written by hand and not by a library, so that the same figures always give the same file. It knows
nothing of rows and contestants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP = 860, 170, 150, 46
BAR, STEP, GROUP_HEAD, GROUP_GAP = 13, 17, 22, 10
COLORS = {
    "Sundog": "#d9480f",
    "Ray 2.60.0": "#1864ab",
    "Dask distributed": "#2b8a3e",
    "multiprocessing.Pool": "#862e9c",
    "ProcessPoolExecutor": "#5f3dc4",
    "joblib/loky": "#0b7285",
}
OTHER = "#868e96"
FLOOR, BUDGET, INK, GRID = "#495057", "#c92a2a", "#212529", "#dee2e6"


@dataclass(frozen=True)
class Bar:
    """One figure: median, and the least and the most of its rounds; label: as it is written."""

    name: str
    median: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Group:
    """Bars that are compared with each other.

    floor: what the machine does at best, drawn as a dashed line through the group; budget: what the
    design asks, drawn as a red one. None where there is none.
    """

    title: str
    bars: tuple[Bar, ...]
    floor: float | None = None
    budget: float | None = None


@dataclass
class _Axis:
    """Decades from the least to the greatest figure, laid over the drawing's width."""

    groups: list[Group]
    first: int = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        values = [v for g in self.groups for v in (g.floor, g.budget) if v]
        values += [v for g in self.groups for b in g.bars for v in (b.median, b.low, b.high) if v]
        self.first = math.floor(math.log10(min(values)) - 0.05)
        self.last = max(self.first + 1, math.ceil(math.log10(max(values))))

    def at(self, value: float) -> float:
        """The place of a figure; nothing at all is at the left end."""
        if value <= 0:
            return LEFT
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, color: str, more: str = "") -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{color}"{more}/>'
    )


def _bar(bar: Bar, y: float, axis: _Axis) -> list[str]:
    """Name, bar, spread and figure."""
    end, low, high = axis.at(bar.median), axis.at(bar.low), axis.at(bar.high)
    middle = y + BAR / 2
    color = COLORS.get(bar.name, OTHER)
    parts = [
        _text(LEFT - 8, y + BAR - 3, bar.name, "end"),
        f'<rect x="{LEFT}" y="{y:.1f}" width="{max(end - LEFT, 1):.1f}" height="{BAR}"'
        f' fill="{color}"/>',
    ]
    if high - low >= 1:
        parts.append(_line(low, middle, high, middle, INK))
        parts += [_line(x, middle - 3, x, middle + 3, INK) for x in (low, high)]
    parts.append(_text(WIDTH - 12, y + BAR - 3, bar.label, "end"))
    return parts


def _group(group: Group, y: float, axis: _Axis) -> tuple[list[str], float]:
    """The group's parts and the height at which the next begins."""
    parts = [_text(12, y + 14, group.title, more=' font-weight="bold"')]
    top = y + GROUP_HEAD
    bottom = top + STEP * len(group.bars)
    for number, bar in enumerate(group.bars):
        parts += _bar(bar, top + STEP * number, axis)
    for value, color, more in (
        (group.floor, FLOOR, ' stroke-dasharray="4 3"'),
        (group.budget, BUDGET, ""),
    ):
        if value:
            x = axis.at(value)
            parts.append(_line(x, top - 4, x, bottom, color, f' stroke-width="2"{more}'))
    return parts, bottom + GROUP_GAP


def _decade(exponent: int) -> str:
    """10,000 or 0.001."""
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:.{-exponent}f}"


def svg(title: str, better: str, groups: list[Group]) -> str:
    """The chart as a document.

    title: what is shown and its unit. better: which direction is better, in words.
    """
    axis = _Axis(groups)
    body: list[str] = []
    y: float = TOP
    for group in groups:
        parts, y = _group(group, y, axis)
        body += parts
    grid = []
    for exponent in range(axis.first, axis.last + 1):
        x = axis.at(10.0**exponent)
        grid += [_line(x, TOP, x, y, GRID), _text(x, y + 14, _decade(exponent), "middle")]
    legend = f"{better}; thin line: spread; dashed: floor of the machine; red: the design's figure"
    height = y + 26
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}"'
        f' viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" font-size="11"'
        f' fill="{INK}">'
    )
    return "\n".join(
        [
            head,
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            _text(12, 20, title, more=' font-size="15" font-weight="bold"'),
            _text(12, 36, legend, more=f' fill="{FLOOR}"'),
            *grid,
            *body,
            "</svg>",
            "",
        ]
    )
