"""Runs cells under IPython, as a notebook's kernel does, in one process of their own.

Reads a list of sources as JSON from stdin; writes a list of results as JSON to the file named on
the command line: for each cell what it printed, what it showed as HTML and, if it raised, the
exception's type and text. Cells after one that raised still run, as they do when a person runs
them by hand.
"""

import json
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


def run_cell(shell: InteractiveShell, source: str) -> dict[str, str]:
    """One cell's output and error."""
    with capture_output(stdout=True, stderr=True, display=True) as captured:
        result = shell.run_cell(source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    return {
        "stdout": captured.stdout,
        "stderr": captured.stderr,
        "html": "".join(shown.data.get("text/html", "") for shown in captured.outputs),
        "error": type(error).__name__ if error is not None else "",
        "text": str(error) if error is not None else "",
    }


def main() -> None:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    results = [run_cell(shell, source) for source in json.load(sys.stdin)]
    Path(sys.argv[1]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
