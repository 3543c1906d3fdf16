"""``LoggingConfig``: how lines of ``logging`` look in the program and in its workers.

``logging`` itself is imported when one is used: `_logging_setup` has what writes the lines.
"""

from __future__ import annotations

import sys

from sundog import _log
from sundog._core import public

ENCODINGS = ("TEXT", "JSON")
# What logging.LogRecord has.
RECORD_ATTRIBUTES = (
    "args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname",
    "levelno", "lineno", "message", "module", "msecs", "msg", "name", "pathname", "process",
    "processName", "relativeCreated", "stack_info", "taskName", "thread", "threadName",
)  # fmt: skip


class LoggingConfig:
    """How lines of ``logging`` look in the program and in its workers."""

    __slots__ = ("additional_log_standard_attrs", "encoding", "log_level")

    @public
    def __init__(
        self,
        encoding: str = "TEXT",
        log_level: str = "INFO",
        additional_log_standard_attrs: list[str] | None = None,
    ) -> None:
        """For ``init(logging_config=...)``.

        Args:
            encoding: "TEXT" or "JSON", which writes one object a line. Both tell job, process and
                node, and in workers task and actor.
            log_level: the least urgent level that is written: "DEBUG", "INFO", "WARNING", "ERROR",
                "CRITICAL".
            additional_log_standard_attrs: what of a ``logging.LogRecord`` to tell besides:
                ``["name", "funcName"]``.

        Raises:
            TypeError: a parameter of another type.
            ValueError: an encoding, level or attribute that does not exist.
        """
        if encoding not in ENCODINGS:
            raise ValueError(f"LoggingConfig: encoding is 'TEXT' or 'JSON', got {encoding!r}")
        if not isinstance(log_level, str) or log_level.lower() not in _log.LEVELS:
            raise ValueError(
                f"LoggingConfig: log_level is one of "
                f"{', '.join(name.upper() for name in _log.LEVELS)}, got {log_level!r}"
            )
        more: object = additional_log_standard_attrs
        if more is not None and not isinstance(more, (list, tuple)):
            raise TypeError(
                "LoggingConfig: additional_log_standard_attrs is a list like ['name'], got "
                f"{more!r}"
            )
        for name in more or ():
            if name not in RECORD_ATTRIBUTES:
                from sundog._options import did_you_mean

                near = did_you_mean(str(name), RECORD_ATTRIBUTES)
                raise ValueError(f"LoggingConfig: a LogRecord has no attribute {name!r}{near}")
        self.encoding = encoding
        self.log_level = log_level.upper()
        self.additional_log_standard_attrs = list(more or ())

    def __repr__(self) -> str:
        """As it is made."""
        return (
            f"LoggingConfig(encoding={self.encoding!r}, log_level={self.log_level!r}, "
            f"additional_log_standard_attrs={self.additional_log_standard_attrs!r})"
        )

    def __eq__(self, other: object) -> bool:
        """Equal parts."""
        return isinstance(other, LoggingConfig) and repr(other) == repr(self)

    __hash__ = None  # type: ignore[assignment]


class Chosen:
    """What ``init`` was told of logging, checked; what is None was not said.

    config: how all lines look. format: how Sundog's own look. level: the least urgent of those;
    None leaves it to the program.
    """

    __slots__ = ("config", "format", "level")

    def __init__(self, config: LoggingConfig | None, format: str | None, level: int | None) -> None:
        """Takes what is checked."""
        self.config = config
        self.format = format
        self.level = level

    def __eq__(self, other: object) -> bool:
        """Equal parts."""
        return isinstance(other, Chosen) and (
            (self.config, self.format, self.level) == (other.config, other.format, other.level)
        )

    __hash__ = None  # type: ignore[assignment]


def checked(config: object, format: object, configure: object, level: object) -> Chosen:
    """``init``'s ``logging_config``, ``logging_format``, ``configure_logging``, ``logging_level``.

    Raises:
        TypeError: one of another type.
        ValueError: a level or format that does not exist, or a format that would not be used.
    """
    if not isinstance(configure, bool):
        raise TypeError(f"init(): configure_logging is True or False, got {configure!r}")
    if config is not None and not isinstance(config, LoggingConfig):
        raise TypeError(f"init(): logging_config is a sundog.LoggingConfig, got {config!r}")
    if format is not None:
        check_format(format, configure)
    assert format is None or isinstance(format, str)
    number = _log.level_of(level or "info")
    if configure:
        _log.set_level(number)
    else:
        _log.leave_to_logging()
    return Chosen(config, format, number if configure else None)


def begin(chosen: Chosen) -> None:
    """Puts it in force, if it says anything."""
    if chosen.config is not None or chosen.format is not None:
        from sundog import _logging_setup

        _logging_setup.begin(chosen)
    elif "sundog._logging_setup" in sys.modules:  # of an init that failed
        sys.modules["sundog._logging_setup"].end()


def check_format(format: object, configure: bool) -> None:
    """Raises for a ``logging_format`` that cannot be one, or that nothing would use."""
    if not isinstance(format, str):
        raise TypeError(
            f"init(): logging_format is a text like '%(levelname)s %(message)s', got {format!r}"
        )
    if not configure:
        raise ValueError(
            "init(): logging_format is how Sundog's own lines look, and configure_logging=False "
            "leaves them to this program: leave one of the two out"
        )
    import logging

    try:
        logging.Formatter(format)
    except ValueError as error:
        raise ValueError(f"init(): logging_format={format!r}: {error}") from None
