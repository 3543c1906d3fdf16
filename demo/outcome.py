"""What one item of the demo tells: a figure of ours, what it must be, and the seed's own figure."""

from __future__ import annotations

from dataclasses import dataclass


class DemoError(AssertionError):
    """An item ran but did not show what it promises."""


@dataclass(frozen=True)
class Outcome:
    """One line of the table.

    took: our figure, with its unit.
    must: the window or limit it was checked against; empty if there is none.
    seed: the figure that the document we follow prints for the same thing; empty if none.
    remark: a few words for people.
    """

    took: str
    must: str = ""
    seed: str = ""
    remark: str = ""


def require(condition: bool, message: str) -> None:
    """Raises DemoError with `message` unless `condition` holds."""
    if not condition:
        raise DemoError(message)


def require_window(seconds: float, low: float, high: float, what: str) -> str:
    """Checks low < seconds < high and returns the window as text for the table."""
    require(seconds > low, f"{what} took {seconds:.3f} s: too fast to be true, under {low:g} s")
    require(seconds < high, f"{what} took {seconds:.3f} s: too slow, the limit is {high:g} s")
    return f"{low:g} .. {high:g} s"


def seconds(value: float) -> str:
    """A duration as people read it."""
    return f"{value:.3f} s" if value >= 0.1 else f"{value * 1e3:.2f} ms"
