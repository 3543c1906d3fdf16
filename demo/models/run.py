"""`make demo-models`: models and weights on Sundog, one line each; exit code 1 if anything failed.

    python demo/models/run.py torch         # in an environment with torch and transformers
    python demo/models/run.py tensorflow    # in one with TensorFlow

The last but one column is the document's own figure, measured by its author on another machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

warnings.filterwarnings("ignore", message=".*not writ")  # what torch says of read-only arrays

from demo.table import ROW, Item, run_item  # noqa: E402


def torch_items() -> tuple[Item, ...]:
    """Seed 003, with BERT-base of random weights."""
    from demo.models import as_printed, inference, loading

    return (
        ("seed 003", "BertModel.from_pretrained()", loading.from_pretrained),
        ("seed 003", "torch.load() of a module", loading.torch_load),
        ("seed 003", "get of the whole model", loading.whole),
        ("seed 003", "... right after put", loading.first_and_tenth),
        ("seed 003", "stripped, as Parameters", loading.stripped),
        ("seed 003", "stripped, direct", loading.direct),
        ("seed 003", "100 loads, memory grown", loading.flat_memory),
        ("seed 003", "inference, shared weights", inference.local),
        ("seed 003", "inference by a task", inference.by_actor_and_by_task),
        ("batch norm", "training mode on shared weights", inference.training_mode),
        ("seed 003", "its cells as printed", as_printed.seed_003),
    )


def tensorflow_items() -> tuple[Item, ...]:
    """Exercise 11 of seed 001."""
    from demo.models import as_printed, exercise

    return (
        ("exercise 11", "weights between processes", exercise.run),
        ("exercise 11", "its cells as printed", as_printed.exercise_11),
    )


PARTS: dict[str, Callable[[], tuple[Item, ...]]] = {
    "torch": torch_items,
    "tensorflow": tensorflow_items,
}


def version_of(*names: str) -> str:
    """The version of the first of these distributions that is installed."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?"


def main(parts: list[str]) -> int:
    """Runs the items of the parts named; 1 if any failed."""
    if not parts or any(part not in PARTS for part in parts):
        print(f"which part? {' or '.join(PARTS)}")
        return 2
    failed = 0
    for part in parts:
        items = PARTS[part]()
        found = version_of(part, f"{part}-cpu")
        print(f"{part} {found}, Python {platform.python_version()}, one thread a process")
        print(ROW.format("", "", "took", "must be", "seed's own", "").rstrip())
        failed += sum(not run_item(*item) for item in items)
        print(f"{len(items) - failed} of {len(items)} items passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
