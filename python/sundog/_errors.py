"""Makes the exceptions that users see. Every function returns the exception; the C++ part raises
it, so that a traceback shows the user's lines only."""

from __future__ import annotations

import os
import sys
from time import localtime, strftime

from sundog import exceptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, TracebackType
    from typing import Any

    from sundog import _core
    from sundog._actor import ActorMethod
    from sundog._function import RemoteFunction
    from sundog._signature import Callee

# model::ErrorKind
SYSTEM_ERRORS: dict[int, type[exceptions.SundogError]] = {
    1: exceptions.WorkerCrashedError,
    2: exceptions.NodeDiedError,
    3: exceptions.ObjectLostError,
    4: exceptions.ObjectStoreFullError,
    5: exceptions.TaskUnschedulableError,
    6: exceptions.TaskCancelledError,
    7: exceptions.GetTimeoutError,
    8: exceptions.OutOfMemoryError,
    9: exceptions.WorkerCrashedError,
    10: exceptions.ActorDiedError,
    11: exceptions.TaskKilledError,
    12: exceptions.TaskTimeoutError,
    13: exceptions.RuntimeEnvSetupError,
    14: exceptions.TaskPlacementGroupRemoved,
    15: exceptions.ActorPlacementGroupRemoved,
}
CRASHES = (1, 8, 9)
STDERR_SHOWN = "last words on stderr"
# client::CallStatus
CALL_ERRORS: dict[int, type[Exception]] = {
    1: exceptions.GetTimeoutError,
    3: exceptions.NodeDiedError,
    4: exceptions.SundogError,
    5: exceptions.SundogError,
    6: exceptions.ObjectStoreFullError,
    7: ValueError,
}
FORKED_CHILD = 5
STORE_FULL = 6
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
TRACEBACK_FRAMES_MAX = 20
REPR_MAX = 60


class NoSuchMethodError(exceptions.SundogError, AttributeError):
    """Shows itself as the AttributeError that it is, without our frames."""

    __module__, __qualname__ = "builtins", "AttributeError"

    def __reduce__(self) -> tuple[object, ...]:
        """Travels as an AttributeError."""
        return AttributeError, self.args


def short_repr(value: object) -> str:
    """A repr for a message: one line, never long, never an error."""
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    text = " ".join(text.split())
    return text if len(text) <= REPR_MAX else text[: REPR_MAX - 1] + "…"


def short_id(task: str) -> str:
    """A task's id for people. The first 8 digits are the job's and tell nothing."""
    return task[8:12] + "…"


def type_name(value: object) -> str:
    """``_thread.lock``, ``int``, ``package.module.Class``."""
    cls = type(value)
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


# ---------------------------------------------------------------- failed tasks, at the caller


def from_task(fields: dict[str, object]) -> exceptions.TaskError:
    """The error of a task whose code raised: ``fields`` are those of wire::TaskError."""
    error = rebuild({**fields, "exception": load(fields["exception"])})
    cause = load(fields["cause"])
    if isinstance(cause, BaseException) and error.cause is not None:
        error.cause.__cause__ = cause
        if error.__cause__ is None:  # the exception has no traceback of its own to show
            error.__cause__ = cause
    return error


def load(pickled: object) -> object:
    """The object, or None if there is none or it cannot be loaded here."""
    if not pickled:
        return None
    import pickle

    try:
        return pickle.loads(pickled)  # type: ignore[arg-type]
    except Exception:
        return None


def rebuild(fields: Mapping[str, object]) -> exceptions.TaskError:
    """A TaskError that is also an instance of its cause's class."""
    cause = fields["exception"]
    cause = cause if isinstance(cause, Exception) else None
    error = instance_of_cause(cause) if cause is not None else None
    if error is None:
        kind = f"{fields['type']}: " if fields["type"] else ""
        error = exceptions.TaskError(f"{kind}{fields['message']}")
    error.cause = cause
    error.remote_traceback = str(fields["traceback"])
    error.function_name = str(fields["name"])
    error.pid = int(str(fields["pid"]))
    error.node = str(fields["node"])
    error.task_id = str(fields["task"])
    error.source = str(fields["source"])
    add_note(error, place_of_error(error))
    told_by = error if cause is None else cause
    add_note(told_by, error.remote_traceback.rstrip())
    if cause is not None and error.remote_traceback:
        error.__cause__ = cause
    return error


def place_of_error(error: exceptions.TaskError) -> str:
    """``  … in divide, hello.py:12, pid 4711 on node laptop``."""
    parts = [f"in {error.function_name}", error.source, f"pid {error.pid} on node {error.node}"]
    return "  … " + ", ".join(part for part in parts if part)


def parts_of(error: exceptions.TaskError) -> dict[str, object]:
    """What ``rebuild`` needs to make the error again."""
    cause = error.cause
    return {
        "exception": cause if cause is None else portable(cause)[0],
        "type": type(cause).__name__ if cause is not None else "",
        "message": str(error),
        "traceback": error.remote_traceback,
        "name": error.function_name,
        "source": error.source,
        "pid": error.pid,
        "node": error.node,
        "task": error.task_id,
    }


def instance_of_cause(cause: Exception) -> exceptions.TaskError | None:
    """An instance of a class derived from TaskError and the cause's; None where Python objects."""
    cause_class = type(cause)
    members = {
        "__module__": cause_class.__module__,
        "__qualname__": cause_class.__qualname__,
        "__init__": lambda self, *args: None,
        "__str__": lambda self: str(self.cause) if self.cause is not None else "",
        "__doc__": cause_class.__doc__,
    }
    try:
        made = type(cause_class.__name__, (exceptions.TaskError, cause_class), members)
        # MemoryError's own way to make one is for itself alone.
        maker: Any = Exception if cause_class is MemoryError else made
        error: Any = maker.__new__(made, *builtin_args(cause))
        initialize_builtin_part(error, cause_class, builtin_args(cause))
        error.args = cause.args
        error.__dict__.update(
            {name: value for name, value in vars(cause).items() if name != "__notes__"}
        )
    except Exception:
        return None
    return error if isinstance(error, exceptions.TaskError) else None


def builtin_args(cause: BaseException) -> tuple[Any, ...]:
    """What the interpreter's own part of an exception is made of."""
    # OSError keeps its file's name out of `args`, but not out of what pickles it.
    return OSError.__reduce__(cause)[1] if isinstance(cause, OSError) else cause.args  # type: ignore


def initialize_builtin_part(
    error: BaseException, cls: type[BaseException], args: tuple[Any, ...]
) -> None:
    """Fills what the interpreter keeps outside ``__dict__`` (OSError.errno, UnicodeError.start)."""
    for base in cls.__mro__:
        if base.__module__ == "builtins" and base is not BaseException:
            base.__init__(error, *args)  # type: ignore[misc]
            return


def add_note(error: BaseException, note: str) -> None:
    """``BaseException.add_note``, which Python 3.10 has not."""
    if note and sys.version_info >= (3, 11):
        error.add_note(note)


def from_system(
    kind: int, task: str, name: str, sentence: str, cause: exceptions.TaskError | None
) -> exceptions.SundogError:
    """The error of a task or object for a failure that the runtime determined.

    ``cause``: what led to it, what an actor's constructor raised for example.
    """
    if name and not sentence.startswith(name):
        sentence = f"{name} (task {short_id(task)}): {sentence}"
    if kind in CRASHES and STDERR_SHOWN not in sentence:
        sentence += where_it_printed(sentence)
    error = SYSTEM_ERRORS.get(kind, exceptions.SystemError)(sentence)
    if cause is not None:
        error.__cause__ = cause if cause.cause is None else cause.cause
    return error


def where_it_printed(sentence: str) -> str:
    """Where the output of the process that the sentence names is kept."""
    import re

    from sundog import _core

    session = _core.current_session()
    pid = re.search(r"pid (\d+)", sentence)
    if session is None or pid is None:
        return ""
    folder = session.info()["session_dir"]
    return f" What it printed is in {folder}/logs/worker-{pid[1]}.out and .err"


def from_call(status: int, sentence: str) -> Exception:
    """The error of a call that could not be made."""
    if status == FORKED_CHILD:
        return forked_child()
    if status == STORE_FULL:
        sentence = f"no room for this value: {sentence}"
        if sentence.endswith(" in all"):
            sentence += ": give it more with init(object_store_memory=BYTES)"
    return CALL_ERRORS.get(status, exceptions.SystemError)(sentence)


def forked_child() -> exceptions.SundogError:
    """What a call in a forked child raises."""
    return exceptions.SundogError(
        "this process was forked from a client of a session and is none itself: arrays that it "
        'holds stay readable, nothing else works. Call sundog.init(address="auto") here to make '
        "it one."
    )


# ---------------------------------------------------------------- failed tasks, at the worker


def describe(error: BaseException, name: str) -> dict[str, object]:
    """What a worker sends of an exception that a task raised: the fields of wire::TaskError."""
    inner = error
    if isinstance(error, exceptions.TaskError) and error.cause is not None:
        inner = error.cause  # a task that it waited for failed: the first cause is what counts
    frames = user_frames(error.__traceback__)
    text = format_frames(frames)
    if "CUDA" in str(inner) or "NVIDIA" in str(inner):
        from sundog import _hints

        text += _hints.missing_gpu(name)
    if inner is not error and isinstance(error, exceptions.TaskError):
        told = error.remote_traceback.rstrip()
        text = f"{told}\n  awaited in {name}:\n{text}"
        notes = getattr(inner, "__notes__", [])
        if told in notes:
            notes.remove(told)  # it is part of the new text
    return {
        "type": type(inner).__name__,
        "message": str(inner),
        "traceback": text,
        "name": name,
        "source": place_of(frames[-1]) if frames else "",
        "node": os.uname().nodename,
        "exception": dump(inner),
        "cause": dump(inner.__cause__),
    }


class Bare:
    """Pickles as an exception that is made again without its constructor, which may want other
    arguments than `args` keeps."""

    def __init__(self, error: BaseException) -> None:
        """What is to be made again."""
        self.error = error

    def __reduce__(self) -> tuple[object, ...]:
        """Its class, its arguments and what it keeps."""
        kept = {name: value for name, value in vars(self.error).items() if name != "__notes__"}
        return remake, (type(self.error), builtin_args(self.error), self.error.args, kept)


def remake(
    cls: type[BaseException], made_of: tuple[Any, ...], args: tuple[Any, ...], kept: object
) -> BaseException:
    """The exception of a Bare one."""
    error = cls.__new__(cls, *made_of)
    initialize_builtin_part(error, cls, made_of)
    error.args = args
    vars(error).update(kept)  # type: ignore[call-overload]
    return error


def dump(error: BaseException | None) -> bytes:
    """The exception pickled, if it can be pickled and loaded again; else nothing."""
    return b"" if error is None else portable(error)[1]


def portable(error: BaseException) -> tuple[BaseException | Bare, bytes]:
    """What pickles as this exception, and its pickle; empty if nothing does."""
    import pickle

    from sundog import _pickling

    for form in (error, Bare(error)):
        try:
            pickled = _pickling.dumps(form)
            pickle.loads(pickled)
        except Exception:
            continue
        return form, pickled
    return error, b""


def user_frames(traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
    """The frames below ours, outermost first: (code, line)."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(OWN_FOLDER):
            frames.append((code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def place_of(frame: tuple[CodeType, int]) -> str:
    """``hello.py:12``."""
    return f"{os.path.basename(frame[0].co_filename)}:{frame[1]}"


def format_frames(frames: list[tuple[CodeType, int]]) -> str:
    """As Python formats a traceback's lines; the middle of a deep one is left out."""
    import linecache

    hidden = max(0, len(frames) - TRACEBACK_FRAMES_MAX)
    lines = []
    for index, (code, line) in enumerate(frames):
        if hidden and index == 1:
            lines.append(f"  … {hidden} more calls …")
        if hidden and 1 <= index <= hidden:
            continue
        lines.append(f'  File "{code.co_filename}", line {line}, in {code.co_name}')
        source = linecache.getline(code.co_filename, line).strip()
        if source:
            lines.append(f"    {source}")
    return "\n".join(lines)


# ---------------------------------------------------------------- wrong calls


def get_of_something_else(given: object) -> TypeError:
    """``get(5)``, ``get([ref, 5])``."""
    if isinstance(given, (list, tuple)):
        given = [given]
        from sundog import _core

        for index, item in enumerate(given[0]):
            if not isinstance(item, _core.ObjectRef):
                return TypeError(
                    "get() takes an ObjectRef or a list of them, got a "
                    f"{type(given[0]).__name__} with {type_name(item)} at index {index}: "
                    f"{short_repr(item)}"
                )
    told = f"{type_name(given)}: {short_repr(given)}"
    if type(given).__name__ in ("generator", "set", "map", "dict_values"):
        told = f"a {type_name(given)}: make a list of it, get(list(...))"
    return TypeError(f"get() takes an ObjectRef or a list of them, got {told}")


def cancel_of_something_else(given: object) -> TypeError:
    """``cancel(5)``, ``cancel(actor)``, ``cancel([ref])``."""
    from sundog import _actor

    told = f"{type_name(given)}: {short_repr(given)}"
    if isinstance(given, _actor.ActorHandle):
        return TypeError(
            f"cancel() takes the ObjectRef of a call, got {told}: kill(actor) ends an actor"
        )
    if isinstance(given, (list, tuple)):
        return TypeError(f"cancel() takes one ObjectRef, got {told}: cancel them one by one")
    return TypeError(f"cancel() takes an ObjectRef, got {told}")


def wait_for_something_else(given: object) -> TypeError:
    """``wait(ref)``, ``wait([5])``."""
    from sundog import _core

    if isinstance(given, _core.ObjectRef):
        return TypeError("wait() takes a list of ObjectRefs, got one ObjectRef: wait([ref])")
    if isinstance(given, list):
        for index, item in enumerate(given):
            if not isinstance(item, _core.ObjectRef):
                return TypeError(
                    f"wait() takes a list of ObjectRefs, got a list with {type_name(item)} at "
                    f"index {index}: {short_repr(item)}"
                )
    return TypeError(
        f"wait() takes a list of ObjectRefs, got {type_name(given)}: {short_repr(given)}"
    )


def called_directly(
    callee: RemoteFunction[Any] | ActorMethod,
    args: Sequence[object],
    kwargs: Mapping[str, object] | None,
) -> TypeError:
    """``f(3)`` instead of ``f.remote(3)``."""
    call = shown_arguments(args, kwargs)
    if hasattr(callee, "_wrong_call"):
        return TypeError(callee._wrong_call(call))
    name = callee.__name__
    return TypeError(
        f"'{name}' is a remote function: call {name}.remote({call}), or "
        f"{name}.__wrapped__({call}) to run it here."
    )


def constructed_directly(
    name: str, args: Sequence[object], kwargs: Mapping[str, object] | None
) -> TypeError:
    """``Counter(3)`` instead of ``Counter.remote(3)``."""
    call = shown_arguments(args, kwargs)
    return TypeError(
        f"'{name}' is an actor class: make an actor with {name}.remote({call}), or a plain object "
        f"with {name}.__wrapped__({call})."
    )


def shown_arguments(args: Sequence[object], kwargs: Mapping[str, object] | None) -> str:
    """``3, b='x'``."""
    given = [short_repr(arg) for arg in args]
    given += [f"{name}={short_repr(value)}" for name, value in (kwargs or {}).items()]
    return ", ".join(given)


def wrong_number_of_results(name: str, wanted: int, value: object) -> ValueError:
    """A task with ``num_returns`` returned something else."""
    try:
        got = f"{len(value)} values"  # type: ignore[arg-type]
    except TypeError:
        got = f"one {type_name(value)}"
    return ValueError(
        f"{name}() has num_returns={wanted}, but it returned {got}: return a tuple of {wanted}"
    )


def wrong_number_of_items(name: str, wanted: int, got: int) -> ValueError:
    """A generator with ``num_returns`` yielded something else; it was ended behind one too many."""
    count = f"more than {wanted}" if got > wanted else f"only {got}"
    return ValueError(
        f"{name}() has num_returns={wanted}, but it yielded {count} values: yield {wanted}, or use "
        'num_returns="streaming" for any number'
    )


def no_generator(name: str, value: object) -> TypeError:
    """A task with ``num_returns="streaming"`` or ``"dynamic"`` returned something else."""
    return TypeError(
        f'{name}() has num_returns="streaming" or "dynamic", but it returned {type_name(value)}: '
        "let it yield, or return iter(...) of what it has"
    )


def wait_of_cancelled_call() -> exceptions.TaskCancelledError:
    """What ``get`` and ``wait`` raise in a call of an actor that was cancelled."""
    return exceptions.TaskCancelledError("the call was cancelled while it waited")


def unpicklable_argument(
    callee: Callee, where: int | str, value: object, error: BaseException
) -> BaseException:
    """An argument that cannot be sent, with the path to the member that is at fault."""
    from sundog import _signature, _unpicklable

    name = _signature.parameter_name(callee, where)
    return _unpicklable.exception(
        f"cannot send argument '{name}' of {_signature.title(callee)}()", name, value, error
    )


def unpicklable_value(value: object, error: BaseException) -> BaseException:
    """A value that cannot be put."""
    from sundog import _unpicklable

    remedy = " Create it inside the tasks that need it."
    return _unpicklable.exception("cannot put this value", "value", value, error, remedy)


def unpicklable_result(name: str, value: object, error: BaseException) -> BaseException:
    """A result that cannot be sent back."""
    from sundog import _unpicklable

    what, remedy = f"cannot send the result of {name}()", " Return what it holds instead."
    return _unpicklable.exception(what, "result", value, error, remedy)


# ---------------------------------------------------------------- timeouts and old references


def timed_out(
    refs: _core.ObjectRef[object] | Sequence[_core.ObjectRef[object]], seconds: float
) -> exceptions.GetTimeoutError:
    """``get`` with a timeout: says what the first object that is not there waits for."""
    from sundog import _core, _explain

    waited = [refs] if isinstance(refs, _core.ObjectRef) else refs
    one = len(waited) == 1
    missing = _explain.of_first_missing(waited)
    if missing is None:
        return exceptions.GetTimeoutError(
            f"{'one object was' if one else f'{len(waited)} objects were'} not here after "
            f"{seconds:.1f} s"
        )
    ref, told = missing
    what = f"object {ref.hex()}"
    if "name" in told:
        what = f"{told['name']} (task {short_id(str(told['task']))})"
    elif "group" in told:
        what = str(told["group"])
    others = "" if one else f" ({len(waited)} objects were asked for)"
    reason = _explain.why_not(told) or "the session does not say why"
    return exceptions.GetTimeoutError(
        f"{what} is not ready after {seconds:.1f} s{others}: {reason}."
    )


def lost_with_session(
    ref: object, old: _core.Session | None, current: _core.Session | None
) -> exceptions.ObjectLostError:
    """A reference of a session that is not the current one."""
    if old is None:
        return exceptions.ObjectLostError(f"{ref} names no object: it is the nil reference.")
    text = f"{ref} belongs to session {old.name}"
    if old.ended:
        text += f", shut down at {strftime('%H:%M:%S', localtime(old.ended))}"
    if current is None:
        return exceptions.ObjectLostError(f"{text}; now there is no session.")
    return exceptions.ObjectLostError(f"{text}; this is session {current.name}.")
