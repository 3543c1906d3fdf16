"""The table that a demo prints: one line for each item."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from demo.outcome import DemoError, Outcome

ROW = "{:<12} {:<32} {:>14}  {:<20} {:<13} {}"
# Where the item comes from, what it shows, and what runs it.
Item = tuple[str, str, Callable[[], Outcome]]


def show(part: str, what: str, outcome: Outcome) -> None:
    """Prints one line of the table."""
    row = ROW.format(part, what, outcome.took, outcome.must, outcome.seed, outcome.remark)
    print(row.rstrip(), flush=True)


def run_item(part: str, what: str, item: Callable[[], Outcome]) -> bool:
    """Runs one item and shows its line; False if it failed."""
    try:
        show(part, what, item())
    except DemoError as error:
        show(part, what, Outcome("FAILED", remark=str(error)))
        return False
    except Exception:
        show(part, what, Outcome("FAILED", remark="an error was raised:"))
        traceback.print_exc()
        return False
    return True
