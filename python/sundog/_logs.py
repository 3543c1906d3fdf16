"""``logging`` in workers follows the driver: root level and format travel with functions, or what
``init`` was told of logging."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from sundog._logging_config import Chosen

    Root: TypeAlias = tuple[int, str | None, str | None, str]
    Settings: TypeAlias = Root | Chosen

STYLES = {"PercentStyle": "%", "StrFormatStyle": "{", "StringTemplateStyle": "$"}
WARNING = 30  # the root's level where nobody set one

_applied: Settings | None = None


class Following:
    """A function on its way to a worker, with the driver's settings of ``logging``."""

    def __init__(self, function: Callable[..., Any], settings: Settings) -> None:
        """Pairs them."""
        self.function = function
        self.settings = settings

    def __reduce__(self) -> tuple[object, ...]:
        """Arrives as the function itself."""
        return arrive, (self.function, self.settings)


def with_settings(function: Callable[..., Any]) -> object:
    """What to pickle: the function alone, if nobody configured ``logging`` here."""
    setup = sys.modules.get("sundog._logging_setup")
    chosen: Chosen | None = setup.chosen if setup is not None else None
    settings = chosen if chosen is not None else current()
    return function if settings is None else Following(function, settings)


def current() -> Root | None:
    """Root level, format, date format and style; None if they are Python's own."""
    module = sys.modules.get("logging")
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    root: logging.Logger = module.getLogger()
    formatter = next((h.formatter for h in root.handlers if h.formatter is not None), None)
    style = STYLES.get(type(getattr(formatter, "_style", None)).__name__)
    if formatter is None or style is None:
        return None if root.level == WARNING else (root.level, None, None, "%")
    return root.level, formatter._fmt, formatter.datefmt, style


def arrive(function: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """In the worker: sets ``logging`` up as in the driver, once for each change there."""
    global _applied
    if settings == _applied:
        return function
    _applied = settings
    if isinstance(settings, tuple):
        apply(*settings)
    else:
        from sundog import _logging_setup

        _logging_setup.begin(settings)
    return function


def apply(level: int, form: str | None, date: str | None, style: Any) -> None:
    """Gives the root its level, and our handler, which writes where ``print`` does, its format."""
    import logging

    root = logging.getLogger()
    root.setLevel(level)
    ours = next((h for h in root.handlers if h.name == "sundog"), None)
    if ours is None and root.handlers:
        return  # the program's own code configured this worker
    if ours is None:
        ours = logging.StreamHandler(sys.stderr)
        ours.name = "sundog"
        root.addHandler(ours)
    ours.setFormatter(logging.Formatter(form, date, style))
