"""``init(local_mode=True)``: tasks run where they are called, at once, so that pdb sees them.

The rest is as ever: arguments and results are copied through the object store, what a task raises
is raised by ``get``, and tasks may call tasks.
"""

from __future__ import annotations

import sys

from sundog import _core
from sundog._core import public
from sundog._function import RemoteFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def begin() -> None:
    """From now on ``f.remote(...)`` runs f here."""
    RemoteFunction.remote = remote  # type: ignore[method-assign,assignment]


def end() -> None:
    """Undoes ``begin``."""
    if "remote" in RemoteFunction.__dict__:
        del RemoteFunction.remote


def run(function: RemoteFunction[Any], *args: Any, **kwargs: Any) -> Any:
    """One call, as ``RemoteFunction.remote``."""
    from sundog import _signature

    problem = _signature.problem_of_call(function, args, kwargs)
    if problem is not None:
        raise problem
    name = function._options.title
    wanted = function._options.num_returns
    sent = [copied(function, where, value) for where, value in enumerate(args)]
    named = {where: copied(function, where, value) for where, value in kwargs.items()}
    try:
        values = [_core.get(ref) for ref in sent]
        keywords = {where: _core.get(ref) for where, ref in named.items()}
        result = function.__wrapped__(*values, **keywords)
        refs = results(function.__name__, wanted, result)
    except Exception as error:
        bdb = sys.modules.get("bdb")
        if bdb is not None and isinstance(error, bdb.BdbQuit):
            raise  # the person left the debugger: that ends the program
        refs = [_core.put_error(error, name) for _ in range(max(wanted, 0))]
    if wanted == 0:
        return None
    return refs[0] if wanted == 1 else refs


def copied(function: RemoteFunction[Any], where: int | str, value: Any) -> _core.ObjectRef[Any]:
    """The argument as the task gets it: a reference, or a copy in the store."""
    if isinstance(value, _core.ObjectRef):
        return value
    try:
        return _core.put_result(value)
    except Exception as error:
        from sundog import _errors

        raise _errors.unpicklable_argument(function, where, value, error) from None


def results(name: str, wanted: int, result: Any) -> list[_core.ObjectRef[Any]]:
    """What the task returned, in the store."""
    if wanted == 1:
        return [_core.put_result(result)]
    try:
        parts = list(result) if wanted else []
    except TypeError:
        parts = None
    if parts is None or len(parts) != wanted:
        from sundog import _errors

        raise _errors.wrong_number_of_results(name, wanted, result)
    return [_core.put_result(part) for part in parts]


remote = public(run)
