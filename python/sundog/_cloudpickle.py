"""cloudpickle, whose code objects keep the name of their file.

From 3.1.3 on cloudpickle calls every file "<dynamic-code>", for pickles that do not depend on where
a function was written. Tracebacks, debuggers and the timeline need the name.
"""

from __future__ import annotations

import io
from types import CodeType

from sundog import _later

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable
    from typing import Any

_later.import_cloudpickle()

import cloudpickle  # noqa: E402

DYNAMIC = "<dynamic-code>"

_reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]


def reduce_code(code: CodeType) -> tuple[object, ...]:
    """As cloudpickle's, with the file's name."""
    made, arguments, *rest = _reduce_code(code)
    named = tuple(
        code.co_filename if isinstance(argument, str) and argument == DYNAMIC else argument
        for argument in arguments
    )
    return made, named, *rest


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, but for code objects."""

    dispatch_table = cloudpickle.Pickler.dispatch_table.new_child({CodeType: reduce_code})


def dumps(
    value: object,
    protocol: int,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
) -> bytes:
    """As ``cloudpickle.dumps``.

    Raises:
        PicklingError, TypeError and others: what the pickler raises for a value that it cannot
            pickle.
    """
    file = io.BytesIO()
    Pickler(file, protocol=protocol, buffer_callback=buffer_callback).dump(value)
    return file.getvalue()
