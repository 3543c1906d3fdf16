"""What Sundog raises. Every class is a SundogError; the names are Ray's without "Ray"."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T", bound="SundogError")

__all__ = [
    "ActorAlreadyExistsError",
    "ActorDiedError",
    "ActorError",
    "ActorPlacementGroupRemoved",
    "ActorUnavailableError",
    "GetTimeoutError",
    "NodeDiedError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "OutOfMemoryError",
    "RuntimeEnvSetupError",
    "SundogError",
    "SystemError",
    "TaskCancelledError",
    "TaskError",
    "TaskKilledError",
    "TaskPlacementGroupRemoved",
    "TaskTimeoutError",
    "TaskUnschedulableError",
    "WorkerCrashedError",
]

_shown: dict[type[SundogError], type[SundogError]] = {}


def shown_class(cls: type[T]) -> type[T]:
    """The subclass of one of our classes that tracebacks call by its bare name."""
    shown = _shown.get(cls)
    if shown is None:
        members = {"__module__": "builtins", "__doc__": cls.__doc__}
        shown = _shown[cls] = type(cls.__name__, (cls,), members)
    return shown  # type: ignore[return-value]


def public_class(cls: type[SundogError]) -> type[SundogError]:
    """The class of this package that ``cls`` shows; any other class is itself."""
    base = cls.__mro__[1]
    return base if _shown.get(base) is cls else cls


class SundogError(Exception):
    """The base of everything that Sundog raises by itself.

    An error made of a class of this package shows itself by its bare name, as the interpreter's own
    errors do (``GetTimeoutError: …``, not ``sundog.exceptions.GetTimeoutError: …``): it is an
    instance of a subclass whose module is given as ``builtins``. The classes here keep their
    module, so that they pickle by reference.
    """

    def __new__(cls: type[T], *args: object, **kwargs: object) -> T:
        """An instance of the class that shows the bare name."""
        shown = shown_class(cls) if cls.__module__.startswith("sundog.") else cls
        return super().__new__(shown, *args, **kwargs)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as an instance of the class that was called."""
        told = vars(self).copy()
        made_of = public_class(type(self))
        return (made_of, self.args, told) if told else (made_of, self.args)


class SystemError(SundogError):
    """The runtime itself failed."""


class TaskError(SundogError):
    """A task raised an exception.

    What ``get`` raises is also an instance of the exception's own type, so that both
    ``except ZeroDivisionError`` and ``except TaskError`` catch it.

    Attributes:
        cause: the exception as the task raised it; None if it could not be pickled.
        remote_traceback: the task's traceback, the program's own lines only.
        function_name: the task's function.
        pid: the process that ran it.
        node: the machine that ran it.
        source: the line that raised, as "hello.py:12".
        task_id: the task, 32 hex digits.
    """

    cause: BaseException | None = None
    remote_traceback: str = ""
    function_name: str = ""
    pid: int = 0
    node: str = ""
    source: str = ""
    task_id: str = ""

    def as_instanceof_cause(self) -> TaskError:
        """The same error: it is an instance of its cause's type already."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled by its parts: its class is made for the exception's type."""
        from sundog import _errors

        return _errors.rebuild, (_errors.parts_of(self),)


class WorkerCrashedError(SundogError):
    """The process that ran the task ended; the text says by what cause."""


class OutOfMemoryError(WorkerCrashedError):
    """The process that ran the task was killed because memory ran out."""


class RuntimeEnvSetupError(SundogError):
    """The runtime environment of the task or actor could not be set up; the text has the end of
    the log and says where the rest is."""


class NodeDiedError(SundogError):
    """The daemon of this machine is gone, and its session with it."""


class ObjectLostError(SundogError):
    """The object does not exist any more, or never did in this session."""


class ObjectStoreFullError(SundogError):
    """The object store has no room, and nothing that runs can make any."""


class TaskUnschedulableError(SundogError):
    """No machine can ever run the task."""


class TaskCancelledError(SundogError):
    """The task was cancelled."""


class TaskKilledError(TaskCancelledError, WorkerCrashedError):
    """The task was cancelled with ``force=True``, and its worker killed."""


class TaskTimeoutError(TaskCancelledError, TimeoutError):
    """The task ran longer than its ``timeout_s``."""


class TaskPlacementGroupRemoved(TaskCancelledError):
    """The task's placement group was removed, and the task with it."""


class GetTimeoutError(SundogError, TimeoutError):
    """``get`` waited as long as it was told to."""


class ActorError(SundogError):
    """An actor failed."""


class ActorDiedError(ActorError):
    """The actor is dead; the text says how it ended, ``__cause__`` what its constructor raised."""


class ActorPlacementGroupRemoved(ActorDiedError):
    """The actor's placement group was removed, and the actor with it."""


class ActorUnavailableError(ActorError):
    """The actor cannot be reached for a moment."""


class PendingCallsLimitExceeded(SundogError):
    """As many calls of the actor are under way as its max_pending_calls allows."""


class ActorAlreadyExistsError(SundogError, ValueError):
    """An actor of this name exists."""
