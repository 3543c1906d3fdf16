"""The task timeline for people: inline in a notebook, as one self-contained page elsewhere.

The page is ``_page/``: plain modules and a style sheet, joined here into one file. The trace
travels compressed, in an alphabet without markup, so that no name in it can be anything but text.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import sys
import time
import zlib

from sundog import _core, _explain, _interactive, _paths, _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# In this order each finds what it imports.
MODULES = ("trace.js", "paint.js", "card.js", "looks.js", "timeline.js", "kernel.js", "page.js")
INLINE_HEIGHT_PIXELS = 460
COMM = "sundog.timeline"
GZIP_WINDOW = 31  # zlib's way to say: with a gzip header


def page_file(name: str) -> str:
    """One of the page's files."""
    with open(os.path.join(_paths.package_folder(), "_page", name), encoding="utf-8") as file:
        return file.read()


def script() -> str:
    """All modules as one: their import lines go, since everything is there already."""
    joined = "\n".join(page_file(name) for name in MODULES)
    return re.sub(r"^import \{[^}]*\} from \"[^\"]+\";\n", "", joined, flags=re.MULTILINE)


def packed(trace: str) -> str:
    """A trace's JSON, gzipped, in base64."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, GZIP_WINDOW)
    data = compressor.compress(trace.encode()) + compressor.flush()
    return base64.b64encode(data).decode()


def in_script(value: object) -> str:
    """JSON that may stand in a ``<script>`` element."""
    return json.dumps(value).replace("<", "\\u003c")


def page(trace: str, *, title: str, inline: bool, refresh: str, kernel: str = "") -> str:
    """The whole page.

    Args:
        trace: a Chrome trace as JSON.
        title: of the page.
        inline: whether it stands in another page that scrolls.
        refresh: the sentence that answers the Refresh button when nothing else can.
        kernel: the id under which a notebook's server knows this process; empty if none does.
    """
    config = {"title": "Task timeline", "inline": inline, "refresh": refresh, "arrows": False}
    config["kernel"] = kernel
    config["made"] = time.strftime("%Y-%m-%d %H:%M:%S")
    return page_file("page.html").format(
        title=html.escape(title),
        style=page_file("timeline.css"),
        config=in_script(config),
        data=packed(trace),
        script=script(),
    )


def write_page(path: str, trace: str, title: str) -> None:
    """Writes the page; whoever reads the file meanwhile sees the old one or the new one."""
    document = page(
        trace,
        title=title,
        inline=False,
        refresh="There are no newer tasks in this file: call sundog.task_timeline() again.",
    )
    unfinished = f"{path}.{os.getpid()}"
    with open(unfinished, "w", encoding="utf-8") as file:
        file.write(document)
    os.replace(unfinished, path)


def frame(document: str) -> str:
    """The page as a frame in a notebook's output."""
    return (
        f'<iframe srcdoc="{html.escape(document)}" title="Task timeline" '
        f'style="width: 100%; height: {INLINE_HEIGHT_PIXELS}px; border: 1px solid #8884; '
        'border-radius: 8px" loading="eager"></iframe>'
    )


class TimelineView:
    """A timeline that was shown or written; ``refresh()`` brings new tasks into it.

    ``path`` is the file's name, None in a notebook.
    """

    def __init__(self, filename: str | None) -> None:
        """Use ``sundog.task_timeline``."""
        session = _state.need_session("task_timeline")
        self.session = session.name
        self.path: str | None = None
        self.num_tasks = 0
        self._display: Any = None
        if filename is None and _interactive.notebook() is not None:
            self._show()
        else:
            self._write(filename or f"sundog-timeline-{session.name}.html")

    def refresh(self) -> None:
        """Shows, or writes, all tasks until now.

        Raises:
            RuntimeError: there is no session.
        """
        if self.path is not None:
            self._write(self.path)
        else:
            self._show()

    def _trace(self) -> str:
        trace = _state.need_session("task_timeline").query(_explain.TIMELINE)
        self.num_tasks = trace.count('"ph":"X"')
        return trace

    def _show(self) -> None:
        import importlib
        import warnings

        display: Any = importlib.import_module("IPython.display")

        answer_comms()
        document = page(
            self._trace(),
            title=f"Sundog session {self.session}: tasks",
            inline=True,
            refresh="For new tasks run this cell again, or keep the timeline "
            "(view = sundog.task_timeline()) and call view.refresh().",
            kernel=kernel_id(),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # HTML would rather have IFrame, which needs a file
            shown = display.HTML(frame(document))
        if self._display is None:
            self._display = display.display(shown, display_id=True)
        else:
            self._display.update(shown)

    def _write(self, filename: str) -> None:
        path = os.path.abspath(filename)
        write_page(path, self._trace(), f"Sundog session {self.session}: tasks")
        self.path = path
        if not _interactive.is_prompt():  # a prompt shows what the call returns
            print(f"sundog: {self!r}", file=sys.stderr)

    def __repr__(self) -> str:
        """``timeline of 15 tasks: /home/me/sundog-timeline-a1b2.html; open it in a browser``."""
        tasks = f"timeline of {self.num_tasks} task{'' if self.num_tasks == 1 else 's'}"
        if self.path is None:
            return f"<{tasks}, shown in the notebook>"
        return f"{tasks}: {self.path}; open it in a browser"

    def _ipython_display_(self) -> None:
        """Nothing more: it is shown already, or a line at the prompt says where it is."""
        if self.path is not None:
            print(repr(self))


def answer_comms() -> None:
    """Lets pages in this kernel's notebook ask for new tasks, if the notebook can."""
    manager = getattr(getattr(_interactive.notebook(), "kernel", None), "comm_manager", None)
    if manager is not None and COMM not in manager.targets:
        manager.register_target(COMM, answer)


def answer(comm: Any, opened: object) -> None:
    """Sends the trace to a page that asked; without a session there is none."""
    del opened
    session = _core.current_session()
    if session is not None:
        comm.send({"trace": packed(session.query(_explain.TIMELINE))})
    comm.close()


def kernel_id() -> str:
    """The id that a notebook's server gave this kernel: it names the connection file after it."""
    kernel = getattr(_interactive.notebook(), "kernel", None)
    path = getattr(getattr(kernel, "parent", None), "connection_file", "")
    found = re.fullmatch(r"kernel-([\w-]+)\.json", os.path.basename(path))
    return found[1] if found else ""
