"""``init(local_mode=True)``: tasks and methods of actors run where they are called, at once, so
that pdb sees them.

The rest is as ever: arguments and results are copied through the object store, what a task raises
is raised by ``get``, and tasks may call tasks. Actors are in ``_local_actors``.
"""

from __future__ import annotations

import sys

from sundog import _actor, _core, _function, _generator, _options
from sundog._core import public
from sundog._function import RemoteFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any, Protocol

    from sundog._local_calls import Call
    from sundog._signature import Callee

    # References to what was given: by position, by name.
    Sent = tuple[list[_core.ObjectRef[Any]], dict[str, _core.ObjectRef[Any]]]

    class Options(Protocol):
        """What is asked of a call's options."""

        num_returns: int


def begin(namespace: str) -> None:
    """From now on ``f.remote(...)`` runs f here, and ``Class.remote(...)`` makes an object here."""
    from sundog._local_actors import LocalActors

    RemoteFunction.remote = remote  # type: ignore[method-assign,assignment]
    _actor.local = LocalActors(namespace)


def end() -> None:
    """Undoes ``begin``."""
    if "remote" in RemoteFunction.__dict__:
        del RemoteFunction.remote
    ended, _actor.local = _actor.local, None
    if ended is not None:
        ended.end()


def refuse_environment(asked: object) -> None:
    """What a task or actor asks of its worker cannot be had here."""
    if asked:
        raise ValueError(
            "runtime_env is for workers, and local_mode has none: leave it out, or local_mode"
        )


def run(function: RemoteFunction[Any], *args: Any, **kwargs: Any) -> Any:
    """One call, as ``RemoteFunction.remote``."""
    options = function._options
    refuse_environment(options.runtime_env)

    def call(values: list[Any], keywords: dict[str, Any]) -> Any:
        return function.__wrapped__(*values, **keywords)

    from sundog._local_calls import Call

    name = _function.full_name(function.__wrapped__)
    here = Call(options.title, name, options.resources)
    return answered(function, options, here, args, kwargs, call)


def answered(
    callee: Callee,
    options: Options,
    here: Call,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    call: Callable[[list[Any], dict[str, Any]], Any],
) -> Any:
    """Checks and copies the arguments, calls, and puts what came of it: what ``remote`` returns."""
    from sundog import _signature

    problem = _signature.problem_of_call(callee, args, kwargs)
    if problem is not None:
        raise problem
    wanted = options.num_returns
    given = sent(callee, args, kwargs)
    try:
        with here:
            result = call(*received(given))
            if wanted == _options.DYNAMIC:
                result, wanted = _generator.collect(result, here.title), 1
            refs = [] if wanted == _options.STREAMING else results(callee.__name__, wanted, result)
        if wanted == _options.STREAMING:
            return _generator.LocalGenerator(here.steps(result), here.title, let_debugger_end)
    except Exception as error:
        let_debugger_end(error)
        if wanted == _options.STREAMING:
            return _generator.LocalGenerator(raising(error), here.title, let_debugger_end)
        wanted = 1 if wanted == _options.DYNAMIC else wanted
        refs = [_core.put_error(error, here.title) for _ in range(max(wanted, 0))]
    del given
    if _actor.local is not None:
        _actor.local.look_again()
    if wanted == 0:
        return None
    return refs[0] if wanted == 1 else refs


def raising(error: Exception) -> Generator[Any, None, None]:
    """Yields nothing: what should have yielded did not even begin."""
    yield from ()
    raise error


def let_debugger_end(error: Exception) -> None:
    """Raises it if it says that the person left the debugger: that ends the program."""
    bdb = sys.modules.get("bdb")
    if bdb is not None and isinstance(error, bdb.BdbQuit):
        raise error


def sent(callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sent:
    """The arguments in the store."""
    by_position = [copied(callee, where, value) for where, value in enumerate(args)]
    return by_position, {where: copied(callee, where, value) for where, value in kwargs.items()}


def received(given: Sent) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as the callee gets them."""
    by_position, by_name = given
    return [_core.get(ref) for ref in by_position], {
        where: _core.get(ref) for where, ref in by_name.items()
    }


def copied(callee: Callee, where: int | str, value: Any) -> _core.ObjectRef[Any]:
    """The argument as the task gets it: a reference, or a copy in the store."""
    if isinstance(value, _core.ObjectRef):
        return value
    try:
        return _core.put_result(value)
    except Exception as error:
        from sundog import _errors

        raise _errors.unpicklable_argument(callee, where, value, error) from None


def results(name: str, wanted: int, result: Any) -> list[_core.ObjectRef[Any]]:
    """What the task returned, in the store."""
    if wanted == 1:
        return [_core.put_result(result)]
    if wanted and hasattr(result, "__next__"):
        items, error = _generator.first_items(result, wanted, name)
        refs = [_core.put_result(item) for item in items]
        if error is not None:
            let_debugger_end(error)
            refs += [_core.put_error(error, name) for _ in range(wanted - len(items))]
        return refs
    try:
        parts = list(result) if wanted else []
    except TypeError:
        parts = None
    if parts is None or len(parts) != wanted:
        from sundog import _errors

        raise _errors.wrong_number_of_results(name, wanted, result)
    return [_core.put_result(part) for part in parts]


remote = public(run)
