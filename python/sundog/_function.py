"""Remote functions: the decorator, and the object it makes."""

from __future__ import annotations

from sundog import _core, _options, _signature
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping
    from typing import Any, overload


def name_of(function: Callable[..., Any]) -> str:
    """What people call the function; a partial has the name of what it calls."""
    inner = getattr(function, "func", function)
    name: str = getattr(inner, "__name__", type(inner).__name__)
    return name


class FunctionCode:
    """A function and what a session knows of it; shared by all options it is called with."""

    __slots__ = (
        "cpp_name",
        "function",
        "function_id",
        "hinted",
        "last_large",
        "session",
        "templates",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        function_id: bytes | None = None,
        cpp_name: str | None = None,
    ) -> None:
        """``function_id``: under which the job has it already; ``cpp_name``: it is in C++."""
        self.function = function
        self.cpp_name = cpp_name
        self.function_id = function_id
        self.session = 0  # its number: the code does not keep a session alive
        self.templates: dict[tuple[object, ...], int] = {}
        # The large argument it was last called with, how often in a row, and whether that was told.
        self.last_large: tuple[object, int] = (None, 0)
        self.hinted = False

    def template(self, session: _core.Session, options: _options.FunctionOptions) -> int:
        """The number under which this session knows the function with these options."""
        if self.session != session.number:
            self.function_id = self.id_in(session) if self.cpp_name is None else None
            self.session = session.number
            self.templates = {}
        key = options.key()
        if key not in self.templates:
            self.templates[key] = session.define(
                self.function_id,
                self.cpp_name or options.name,
                _signature.definition(self.function) if self.cpp_name is None else "",
                options.resources,
                options.max_retries,
                options.retry_exceptions,
            )
        return self.templates[key]

    def id_in(self, session: _core.Session) -> bytes:
        """Stores the function in the session unless the job has it; its id."""
        from sundog import _pickling

        try:
            known = _pickling.known_functions.get(self.function) or self.function_id
        except TypeError:
            known = self.function_id
        if known is not None and self.session == 0 and known[:4] == job_prefix(session):
            return known
        name = name_of(self.function)
        try:
            pickled, contained = _core.pickle_noting_refs(_pickling.dumps, self.function)
        except Exception as error:
            from sundog import _unpicklable

            raise _unpicklable.exception(
                f"cannot send {name}()", f"{name}()", self.function, error
            ) from None
        return session.put_function(pickled, contained)


def job_prefix(session: _core.Session) -> bytes:
    """What the ids of a session's job begin with."""
    job = session.info()["job"]
    assert isinstance(job, int)
    return job.to_bytes(4, "little")


class RemoteFunction(_core.Callee):
    """A function whose calls run in other processes: ``f.remote(...)`` returns an ObjectRef.

    ``f.__wrapped__`` is the function itself.
    """

    _signature: inspect.Signature | None

    def __init__(
        self,
        function: Callable[..., Any] | FunctionCode,
        options: Mapping[str, object],
    ) -> None:
        """Use ``sundog.remote``."""
        code = function if isinstance(function, FunctionCode) else FunctionCode(function)
        self._code = code
        self.__wrapped__ = code.function
        self.__name__: str = name_of(code.function)
        self.__qualname__: str = getattr(code.function, "__qualname__", self.__name__)
        self.__module__: str = getattr(code.function, "__module__", "")
        self.__doc__ = code.function.__doc__
        self._options = _options.FunctionOptions(options, self.__name__)
        self._set_arity(*_signature.arity(code.function))

    def _prepare(self) -> None:
        """Makes the function known to the current session; called by ``remote``."""
        session = _core.current_session()
        assert session is not None
        self._set_prepared(self._code.template(session, self._options), self._options.num_returns)

    @public
    def options(self, **options: object) -> RemoteFunction:
        """The same function with other options, for the calls made through what is returned.

        Args:
            options: as for ``sundog.remote``; what is not given stays as it is.

        Raises:
            ValueError: an option that does not exist, or is not in this version.
            TypeError: an option of a wrong type.
        """
        return RemoteFunction(self._code, {**self._options.given, **options})

    def __repr__(self) -> str:
        """``<remote function slow>``."""
        return f"<remote function {self.__name__}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Travels with its code, and with the id under which the job has it."""
        session = _core.current_session()
        code = self._code
        if code.cpp_name is not None:
            return rebuild_cpp, (code.cpp_name, self._options.given)
        known = None
        if session is not None and code.session == session.number:
            known = code.function_id
        return rebuild, (code.function, self._options.given, known)


def rebuild(
    function: Callable[..., Any], options: Mapping[str, object], function_id: bytes | None
) -> RemoteFunction:
    """A remote function that came out of a pickle."""
    return RemoteFunction(FunctionCode(function, function_id), options)


def rebuild_cpp(name: str, options: Mapping[str, object]) -> RemoteFunction:
    """A C++ function under its registered name."""

    def function(*args: Any) -> None:
        raise TypeError(f"{name} is a C++ function: it runs in C++ workers only")

    function.__name__ = function.__qualname__ = name
    return RemoteFunction(FunctionCode(function, cpp_name=name), options)


@public
def cpp_function(name: str) -> RemoteFunction:
    """The C++ function that workers registered under this name (``SUNDOG_REMOTE(name)``).

    Numbers, strings, bytes and numpy arrays are read by C++ in place; so is what it returns.

    Args:
        name: the registered name.

    Raises:
        TypeError: the name is not a string.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"cpp_function() takes the name of a C++ function, got {name!r}")
    return rebuild_cpp(name, {})


def remote_function(function: object, options: Mapping[str, object]) -> RemoteFunction:
    """Makes a remote function of what ``sundog.remote`` was given."""
    if isinstance(function, RemoteFunction):
        raise TypeError(f"'{function.__name__}' is a remote function already")
    if isinstance(function, type):
        raise TypeError(
            f"'{function.__name__}' is a class: actors are not in this version, functions are"
        )
    if not callable(function):
        raise TypeError(
            f"remote() takes a function, got {type(function).__name__}; options are given by "
            "name: @remote(num_cpus=2)"
        )
    return RemoteFunction(function, options)


if TYPE_CHECKING:

    @overload
    def remote(function: Callable[..., Any], /) -> RemoteFunction: ...
    @overload
    def remote(**options: object) -> Callable[[Callable[..., Any]], RemoteFunction]: ...


@public
def remote(*args: object, **options: object) -> object:
    """Makes a function run in other processes.

    Use it bare (``@sundog.remote``), with options (``@sundog.remote(num_cpus=2)``), or as a
    call on a function (``sundog.remote(f)``).

    Args:
        args: the function, if there are no options.
        options: num_cpus (default 1) and num_gpus (default 0), numbers, fractions allowed;
            memory, bytes; resources, a dict of custom names to amounts; num_returns, how many
            ObjectRefs a call returns (default 1); max_retries, how often a call is tried again
            after its worker died (default 3, -1 without end); retry_exceptions, True to try
            again after an exception as well; name, what the task is called in messages.

    Raises:
        ValueError: an option that does not exist, or is not in this version.
        TypeError: an option of a wrong type, or something that is not a function.
    """
    if args and (len(args) > 1 or options):
        raise TypeError(
            "remote() takes one function, or options by name: @remote or @remote(num_cpus=2)"
        )
    if args:
        return remote_function(args[0], {})
    _options.FunctionOptions(options, "")
    return public(lambda function: remote_function(function, options))
