"""`make demo`: real parallel work on Sundog, one line each; exit code 1 if anything fell short."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[threads] = "1"  # serial runs use one core, so that speed-ups compare like with like

from demo import (  # noqa: E402
    completion_order,
    custom_resources,
    dictionary,
    digits,
    first_loop,
    first_three,
    four_tasks,
    gpus,
    log_book,
    nested_training,
    pipelines,
    share_weights,
    tree_reduce,
    two_counters,
    words,
)
from demo.outcome import Outcome  # noqa: E402
from demo.rounds import all_rounds  # noqa: E402
from demo.runtime import MODULE, sundog  # noqa: E402
from demo.table import ROW, Item, run_item  # noqa: E402


def not_run() -> Outcome:
    """What needs a model library is shown where one is installed, never by a stand-in."""
    return Outcome("not run", remark="make demo-models")


ITEMS: tuple[Item, ...] = (
    ("seed 002", "four naps in a plain loop", first_loop.before),
    ("seed 002", "the same four as tasks", first_loop.after),
    ("seed 002", "... fresh process, no init()", first_loop.without_init),
    ("exercise 1", "four tasks at once", four_tasks.run),
    ("exercise 2", "four pipelines of four stages", pipelines.run),
    ("exercise 3", "training with nested tasks", nested_training.run),
    ("exercise 4", "two actors that count", two_counters.run),
    ("exercise 5", "tasks that write to an actor", log_book.run),
    ("exercise 6", "the first three of six", first_three.run),
    ("exercise 7", "ten in order of completion", completion_order.run),
    ("exercise 8", "one array for 20 tasks", share_weights.run),
    ("exercise 9", "tasks and an actor with GPUs", gpus.run),
    ("exercise 10", "a resource of one's own", custom_resources.run),
    ("exercise 11", "weights between processes", not_run),
    ("exercise 12", "a product by a tree", tree_reduce.run),
    ("seed 000", "dictionary put once, 20 tasks", dictionary.put_once),
    ("seed 000", "... by value, 20 times", dictionary.by_value),
    ("seed 000", "... put / get, and pickle", dictionary.against_pickle),
    ("words", "of the standard library", words.run),
    ("digits", "hyper-parameter search", digits.run),
)


def wanted_of(names: list[str]) -> list[Item]:
    """All items, or those whose words contain one of `names`."""
    return [
        item for item in ITEMS if not names or any(name in f"{item[0]} {item[1]}" for name in names)
    ]


def head() -> None:
    """What runs where, and the columns' names."""
    cores = len(os.sched_getaffinity(0))
    version = getattr(sundog, "__version__", "")
    print(f"{MODULE} {version}, Python {platform.python_version()}, {cores} core(s)")
    if cores < 2:
        print("This machine offers fewer than two cores: speed-ups are shown, not asked for.")
    print(ROW.format("", "", "took", "must be", "seed's own", "").rstrip(), flush=True)


def main(names: list[str], rounds: int) -> int:
    """Runs the items once, or each exercise `rounds` times."""
    wanted = wanted_of(names)
    if not wanted:
        print(f"no item of the demo matches {names}")
        return 2
    head()
    if rounds > 1:
        exercises = [i for i in wanted if i[0].startswith("exercise") and i[2] is not not_run]
        return all_rounds(exercises, rounds)
    begin = time.perf_counter()
    passed = sum(run_item(*item) for item in wanted)
    left_out = sum(item is not_run for _, _, item in wanted)
    took = time.perf_counter() - begin
    rest = f", {left_out} not run" if left_out else ""
    print(f"{passed - left_out} of {len(wanted) - left_out} items passed{rest}, in {took:.0f} s")
    return 0 if passed == len(wanted) else 1


def from_command_line() -> int:
    """Words that pick items, and how often."""
    parser = argparse.ArgumentParser(description="Real parallel programs, one line each.")
    parser.add_argument("names", nargs="*", help="items whose words contain one of these")
    parser.add_argument("--rounds", type=int, default=1, help="each exercise so many times")
    given = parser.parse_args()
    return main(given.names, given.rounds)


if __name__ == "__main__":
    sys.exit(from_command_line())
