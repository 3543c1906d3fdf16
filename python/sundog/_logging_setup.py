"""Handlers and formatters of ``LoggingConfig`` and ``logging_format``.

Imported only where one of them is used. The program begins and ends them with its session; a
worker begins them with the first function that it gets. Logging never raises for what it cannot
learn of the session, and asks the daemon once an actor at most.
"""

from __future__ import annotations

import json
import logging
import sys

from sundog import _core, _log
from sundog._logging_config import RECORD_ATTRIBUTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sundog._logging_config import Chosen, LoggingConfig

FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
JSON_ATTRIBUTES = ("asctime", "levelname", "message", "filename", "lineno")

chosen: Chosen | None = None  # in force in this process
_undo: list[Any] = []
_of_process: tuple[object, dict[str, str]] = (None, {})
_actor_names: dict[str, str] = {}


class Stderr(logging.Handler):
    """Writes where ``print(file=sys.stderr)`` does at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def begin(what: Chosen) -> None:
    """Puts it in force until ``end``."""
    global chosen
    end()
    chosen = what
    own, least = logging.getLogger("sundog"), what.level
    if what.config is not None:
        level = _log.level_of(what.config.log_level)
        add(logging.getLogger(), "sundog-config", formatter_of(what.config))
        set_level(logging.getLogger(), level)
        least = None if least is None else max(least, level)
    if what.format is not None:
        add(own, "sundog-format", logging.Formatter(what.format))
        _undo.append((setattr, own, "propagate", own.propagate))
        own.propagate = False
    if least is not None:
        set_level(own, least)


def add(logger: logging.Logger, name: str, formatter: logging.Formatter) -> None:
    """Gives a logger a handler that ``end`` takes away."""
    handler = Stderr()
    handler.name = name
    handler.setFormatter(formatter)
    _undo.append((logging.Logger.removeHandler, logger, handler))
    logger.addHandler(handler)


def set_level(logger: logging.Logger, level: int) -> None:
    """Sets a logger's level until ``end``."""
    _undo.append((logging.Logger.setLevel, logger, logger.level))
    logger.setLevel(level)


def end() -> None:
    """Leaves ``logging`` as it was found."""
    global chosen
    chosen = None
    while _undo:
        undo, *arguments = _undo.pop()
        undo(*arguments)


def formatter_of(config: LoggingConfig) -> logging.Formatter:
    """What turns a record into a line."""
    more = tuple(config.additional_log_standard_attrs)
    return Json(more) if config.encoding == "JSON" else Text(more)


class Text(logging.Formatter):
    """The usual line, with ``key=value`` behind the message."""

    def __init__(self, more: tuple[str, ...]) -> None:
        """``more``: attributes of records to tell besides."""
        super().__init__(FORMAT)
        self.more = more

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback, which follows it."""
        told = told_of(record, self.more)
        pairs = " ".join(f"{name}={value}" for name, value in told.items())
        line = super().formatMessage(record)
        return f"{line} {pairs}" if pairs else line


class Json(logging.Formatter):
    """One object a line."""

    def __init__(self, more: tuple[str, ...]) -> None:
        """``more``: attributes of records to tell besides."""
        super().__init__()
        self.more = more

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        line: dict[str, object] = {name: getattr(record, name) for name in JSON_ATTRIBUTES}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exc_text"] = record.exc_text
        if record.stack_info:
            line["stack_info"] = self.formatStack(record.stack_info)
        line |= told_of(record, self.more)
        line["timestamp_ns"] = round(record.created * 1e9)
        return json.dumps(line, default=str, ensure_ascii=False)


def told_of(record: logging.LogRecord, more: tuple[str, ...]) -> dict[str, object]:
    """Where it was logged, what was asked for besides, and what the call gave as ``extra``."""
    told: dict[str, object] = dict(place())
    for name in more:
        told[name] = getattr(record, name, None)
    for name, value in vars(record).items():
        if name not in RECORD_ATTRIBUTES and not name.startswith("_"):
            told[name] = value
    return told


def place() -> dict[str, str]:
    """Job, process and node; in a worker task and actor. What is not known is left out."""
    global _of_process
    session = _core.current_session()
    if session is None:
        return {}
    try:
        from sundog import _state

        context = _state.RuntimeContext(session)
        if _of_process[0] is not session:
            ids = {
                "job_id": context.get_job_id(),
                "node_id": context.get_node_id(),
            }
            _of_process = (session, ids)
        told = _of_process[1] | {"worker_id": context.get_worker_id()}
        if context.get_task_id() is None:
            return told
        actor = context.get_actor_id()
        if actor and actor not in _actor_names:
            _actor_names[actor] = context.get_actor_name() or ""
        told |= {
            name: value
            for name, value in (
                ("actor_id", actor),
                ("actor_name", _actor_names[actor] if actor else None),
                ("task_id", context.get_task_id()),
                ("task_name", context.get_task_name()),
                ("task_func_name", context.get_task_function_name()),
            )
            if value is not None
        }
        return told
    except Exception:  # the session is ending: the line is written without
        return {}
