"""Every edit that the documents' cells need before they run here, each with its reason.

All other cells run as they are printed. Tests fail if an edit finds nothing to change, so that none
outlives its reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from documents import Cell


@dataclass(frozen=True)
class Edit:
    """One replacement.

    document: its three digits.
    find: a regular expression; it must match in exactly `cells` cells of the document.
    put: what takes the match's place.
    reason: why the cell cannot run as it is printed.
    """

    document: str
    find: str
    put: str
    reason: str
    cells: int = 1


TENSORFLOW = Edit(
    "001",
    r"^import tensorflow as tf$",
    "import tensorflow.compat.v1 as tf; tf.disable_eager_execution()",
    "the cell is of TensorFlow 1; TensorFlow 2 keeps that interface under this name",
)
SOLVED_BY_PUT = Edit(
    "000",
    r"^results = ray\.get\(",
    "neural_net_weights = ray.put(neural_net_weights)\nresults = ray.get(",
    "the exercise: its reader is to put the weights once, and its check fails until then",
)
EDITS = (
    TENSORFLOW,
    Edit(
        "002",
        r"^os\._exit\(0\)$",
        "",
        "a notebook's trick to restart its kernel: it ends the process before the program begins",
    ),
    Edit(
        "002",
        r"^@remote$",
        "@ray.remote",
        "the author's import of the name is not shown",
    ),
    Edit(
        "002",
        r"^result = ray\.get\(results\)$",
        "results = ray.get(results)",
        "the next lines print and check `results`, as values",
    ),
)
# For the cells that train or load a model (`make demo-models`), beside those above.
FOR_MODELS = (
    Edit(
        "001",
        r"^(\s+)x_data = tf\.placeholder",
        r"\1tf.disable_eager_execution()\n\1x_data = tf.placeholder",
        "the actor's process imports TensorFlow 2, too, which there still runs eagerly",
    ),
    Edit(
        "003",
        r"^import torchvision$",
        "",
        "only cells that the author never ran need it; they download weights",
    ),
    Edit(
        "003",
        r"-r 100 ",
        "-r 5 ",
        "a hundred rounds of each take ten minutes",
        cells=2,
    ),
)
# What a document assumes of its machine, as settings of the process that runs it.
SETTINGS = {
    "002": ({"SUNDOG_NUM_CPUS": "4"}, "it calls no init() and means a machine with four CPUs"),
}

# What the illustrations of document 001 take for granted, by exercise.
GIVEN = {
    6: "object_ids = [ray.put(number) for number in range(3)]",
    8: "import numpy as np\nf = ray.remote(lambda array: array.sum())",
}


def edited(cells: Iterable[Cell], *more: Edit) -> list[Cell]:
    """The cells after the edits of their documents, and after `more` of them."""
    return [apply(cell, [*EDITS, *more]) for cell in cells]


def apply(cell: Cell, edits: Iterable[Edit]) -> Cell:
    """One cell after all edits of its document."""
    source = cell.source
    for edit in edits:
        if edit.document == cell.document:
            source = re.sub(edit.find, edit.put, source, flags=re.MULTILINE)
    return replace(cell, source=source)


def matches(edit: Edit, cells: Iterable[Cell]) -> int:
    """In how many cells an edit finds something."""
    return sum(bool(re.search(edit.find, cell.source, re.MULTILINE)) for cell in cells)
