"""Lines of Sundog itself, on stderr, as the logger ``sundog``.

``logging`` is imported only if the program did so: a session's first line must not cost what that
import costs.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": 50}

_level = INFO
_left_to_logging = False  # init(configure_logging=False)


def level_of(value: object) -> int:
    """A logging level as a number or a name.

    Raises:
        ValueError: no level has this name.
    """
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.lower() in LEVELS:
        return LEVELS[value.lower()]
    raise ValueError(f"logging_level is one of {', '.join(LEVELS)} or a number, got {value!r}")


def set_level(level: int) -> None:
    """What is less urgent is not printed."""
    global _level, _left_to_logging
    _level, _left_to_logging = level, False
    logger = configured_logger()
    if logger is not None:
        logger.setLevel(level)


def leave_to_logging() -> None:
    """The program's own configuration of ``logging`` decides, until ``set_level``."""
    global _left_to_logging
    _left_to_logging = True


def configured_logger() -> logging.Logger | None:
    """The logger ``sundog`` if the program gave it, or the root, a handler."""
    if _left_to_logging:
        import logging

        return logging.getLogger("sundog")
    module = sys.modules.get("logging")
    # The thread that imports cloudpickle may be in the middle of importing it.
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    logger: logging.Logger = module.getLogger("sundog")
    return logger if logger.hasHandlers() else None


def say(level: int, text: str) -> None:
    """One line."""
    logger = configured_logger()
    if logger is not None:
        logger.log(level, text)
    elif level >= _level and sys.stderr is not None:
        print(f"sundog: {text}", file=sys.stderr, flush=True)


def info(text: str) -> None:
    """What is going on."""
    say(INFO, text)


def warning(text: str) -> None:
    """What the person should know."""
    say(WARNING, text)
