"""Cells of the documents that need torch or TensorFlow, run as printed, through `import ray`.

Nothing of a document is here: its cells are read where `../shared/seeds` or SUNDOG_SEEDS has them,
changed by the few edits of tests/e2e/seeds/edits.py, and run under IPython by run_cells.py there.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo.outcome import Outcome, require, seconds

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests" / "e2e" / "seeds"
SECONDS_MAX = 540
HUB_NAME = "bert-base-uncased"  # a folder of this name is found before the hub is asked

sys.path.insert(0, str(SEEDS))
documents: Any = importlib.import_module("documents")
edits: Any = importlib.import_module("edits")


def run_cells(cells: list[Any], folder: Path, *more: str) -> list[dict[str, str]]:
    """What the cells, and then `more` sources, printed and raised, in a process of their own."""
    report = folder / "report.json"
    places = [str(ROOT / "compat" / "ray"), str(ROOT / "python")]
    done = subprocess.run(
        [sys.executable, str(SEEDS / "run_cells.py"), str(report)],
        input=json.dumps([cell.source for cell in cells] + list(more)),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "IPYTHONDIR": str(folder)},
    )
    require(done.returncode == 0, f"IPython ended with {done.returncode}: {done.stderr[-500:]}")
    results: list[dict[str, str]] = json.loads(report.read_text())
    for cell, result in zip(cells, results, strict=False):
        what = f"line {cell.line} of document {cell.document}: {result['error']}: {result['text']}"
        require(not result["error"], what)
    return results


def not_run() -> Outcome:
    """Where the documents are missing."""
    return Outcome("not run", remark=documents.WHY_SKIPPED)


def exercise_11() -> Outcome:
    """All cells of the exercise; its own check is the last one."""
    if not documents.there():
        return not_run()
    cells = edits.edited(documents.exercise("001", 11), *edits.FOR_MODELS)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = run_cells(cells, Path(folder))
    took = time.perf_counter() - start
    printed = results[-1]["stdout"].strip()
    require(printed == cells[-1].printed[-1].strip(), f"its check printed {printed!r}")
    return Outcome(seconds(took), remark=f"{len(cells)} cells, {printed}")


def write_model(folder: Path) -> None:
    """BERT-base with random weights and a vocabulary of letters, as a folder of the library's."""
    import transformers

    place = folder / HUB_NAME
    transformers.BertModel(transformers.BertConfig()).save_pretrained(place)
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (place / "vocab.txt").write_text("\n".join(words) + "\n")


# Asked behind the document's cells: whether all its ways to load gave the same model.
SAME = """
import json
with torch.no_grad():
    outputs = [m.eval()(**test_tokens).last_hidden_state for m in (bert_2, bert_3, bert_4, bert_5)]
print(json.dumps([bool(torch.equal(outputs[0], output)) for output in outputs]))
"""
FIGURES = """
print(json.dumps({row["name"]: row["mean"] for row in records}))
"""


def seed_003() -> Outcome:
    """The cells that the document shows as run, from the first import to inference by a task."""
    if not documents.there():
        return not_run()
    cells = edits.edited(
        (c for c in documents.cells("003") if documents.was_run(c)), *edits.FOR_MODELS
    )
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder)
        (folder / "outputs").mkdir()
        results = run_cells(cells, folder, SAME, FIGURES)
    took = time.perf_counter() - start
    same, figures = (json.loads(result["stdout"]) for result in results[-2:])
    require(all(same), f"the ways to load gave different models: {same}")
    check_outputs(cells, results)
    shown = ", ".join(f"{what} {seconds(mean)}" for what, mean in figures.items())
    return Outcome(seconds(took), remark=f"{len(cells)} cells; means: {shown}")


def check_outputs(cells: list[Any], results: list[dict[str, str]]) -> None:
    """The cell that prints the outputs of the model and of its copy shows twice the same."""
    compared = 0
    for cell, result in zip(cells, results, strict=False):
        found = re.findall(r"tensor\(\[\[\[.*?\]\]\]", result["stdout"], re.DOTALL)
        if "print(bert_skeleton(" in cell.source:
            require(len(found) == 2 and found[0] == found[1], f"outputs differ: {found}")
            compared += 1
    require(compared == 1, f"{compared} cells compare outputs, not one")
