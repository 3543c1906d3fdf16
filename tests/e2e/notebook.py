"""A Jupyter kernel of its own for a test, driven cell by cell through nbclient."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient.exceptions import CellExecutionError


class Kernel(KernelManager):
    """This interpreter as a kernel, whatever kernels the machine has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="the test's",
            language="python",
            interrupt_mode="signal",
        )


class Notebook:
    """Cells are run one after the other; `run` returns what a person sees under the cell."""

    def __init__(self, folder: Path) -> None:
        self.document = nbformat.v4.new_notebook()
        self.manager: Any = Kernel(connection_file=str(folder / "kernel.json"))
        self.client = nbclient.NotebookClient(
            self.document,
            km=self.manager,
            timeout=60,
            resources={"metadata": {"path": str(folder)}},
        )

    def cell(self, code: str) -> Any:
        """Runs a cell; its outputs. The exception of a cell that fails is raised."""
        cell = nbformat.v4.new_code_cell(code)
        self.document.cells.append(cell)
        self.client.execute_cell(cell, len(self.document.cells) - 1)
        return cell.outputs

    def run(self, code: str) -> str:
        """Runs a cell; its stdout and result as text."""
        return text_of(self.cell(code))

    def fails(self, code: str) -> CellExecutionError:
        """Runs a cell that raises; the error."""
        try:
            self.cell(code)
        except CellExecutionError as error:
            return error
        raise AssertionError(f"this cell should have failed: {code}")

    def last(self) -> Any:
        """The outputs of the newest cell."""
        return self.document.cells[-1].outputs


def text_of(outputs: Any) -> str:
    """stdout and results; HTML only where there is no other face."""
    parts = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type == "execute_result":
            parts.append(output.data["text/plain"])
    return "".join(parts)


def without_pids(text: str) -> str:
    """``(f pid=4711) x`` as ``(f) x``."""
    return re.sub(r" pid=\d+\)", ")", text)


@contextlib.contextmanager
def kernel(folder: Path, **environment: str) -> Iterator[Notebook]:
    """A notebook with a running kernel; at the end it is shut down."""
    notebook = Notebook(folder)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **environment,
    }
    with notebook.client.setup_kernel(env=env):
        try:
            yield notebook
        finally:
            notebook.client.kc.stop_channels()
            notebook.manager.shutdown_kernel(now=True)
            notebook.manager.context.term()


def seconds_until(condition: Any, limit: float = 20.0) -> float:
    """How long it took until the condition held."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > limit:
            raise AssertionError(f"not so after {limit} s")
        time.sleep(0.002)
    return time.monotonic() - begin
