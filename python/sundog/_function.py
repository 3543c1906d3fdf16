"""Remote functions: the decorator, and the object it makes."""

from __future__ import annotations

from sundog import _apart, _core, _generator, _options, _signature
from sundog._core import public
from sundog._generic import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Literal, Protocol, TypeVar, overload

    from sundog import _retries
    from sundog._actor import ActorClass
    from sundog._actor_class import ClassDescription
    from sundog._actor_options import ActorOptions

    T = TypeVar("T")
    C = TypeVar("C", covariant=True)

    class Decorator(Protocol):
        """What ``remote`` with options makes."""

        @overload
        def __call__(self, function: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: Callable[..., Iterator[T]], /
        ) -> RemoteFunction[_generator.ObjectRefGenerator[T]]: ...
        @overload
        def __call__(self, function: Callable[..., T], /) -> RemoteFunction[_core.ObjectRef[T]]: ...

    class DecoratorOfSeveral(Protocol):
        """What ``remote`` with ``num_returns`` makes."""

        def __call__(
            self, function: Callable[..., Any], /
        ) -> RemoteFunction[list[_core.ObjectRef[Any]]]: ...

else:
    C = None


def name_of(function: Callable[..., Any]) -> str:
    """What people call the function; a partial has the name of what it calls."""
    inner = getattr(function, "func", function)
    name: str = getattr(inner, "__name__", type(inner).__name__)
    return name


def full_name(function: Callable[..., Any]) -> str:
    """``module.Outer.function``, of a task's function as its worker has it."""
    from sundog import _retries

    inner = function.function if isinstance(function, _retries.Retried) else function
    inner = getattr(inner, "func", inner)
    return f"{inner.__module__}.{getattr(inner, '__qualname__', name_of(inner))}"


class FunctionCode:
    """A function or an actor's class, and what a session knows of it; shared by all options it is
    called with."""

    __slots__ = (
        "ahead",
        "cpp_name",
        "description",
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
        self.description: ClassDescription | None = None  # of a class; see _actor_class
        self.function_id = function_id
        self.ahead: tuple[bytes, Any] | None = None  # pickled while the session starts
        self.session = 0  # its number: the code does not keep a session alive
        self.templates: dict[tuple[object, ...], int] = {}
        # The large argument it was last called with, how often in a row, and whether that was told.
        self.last_large: tuple[object, int] = (None, 0)
        self.hinted = False

    def template(
        self, session: _core.Session, options: _options.FunctionOptions | ActorOptions
    ) -> int:
        """The number under which this session knows the function with these options."""
        if self.session != session.number:
            self.function_id = self.id_in(session, ()) if self.cpp_name is None else None
            self.session = session.number
            self.templates = {}
        key = options.key()
        if key not in self.templates:
            source = _signature.definition(self.function) if self.cpp_name is None else ""
            self.templates[key] = options.define(
                session, self.id_for(session, options), source, self.cpp_name or ""
            )
        return self.templates[key]

    def id_for(
        self, session: _core.Session, options: _options.FunctionOptions | ActorOptions
    ) -> bytes | None:
        """The id of what workers load for a call with these options."""
        retried_on = getattr(options, "retried_on", ())
        return self.id_in(session, retried_on) if retried_on else self.function_id

    def id_in(self, session: _core.Session, retried_on: _retries.Types) -> bytes:
        """Stores the function in the session unless the job has it; its id."""
        from sundog import _pickling

        try:
            known = _pickling.known_functions.get(self.function) or self.function_id
        except TypeError:
            known = self.function_id
        if (
            known is not None
            and self.session == 0
            and not retried_on
            and known[:4] == job_prefix(session)
        ):
            return known
        pickled, contained = self.take_ahead(retried_on) or self.pickled(retried_on)
        return session.put_function(pickled, contained)

    def pickled(self, retried_on: _retries.Types) -> tuple[bytes, Any]:
        """What is sent, and the references in it.

        Raises:
            TypeError: it cannot be pickled.
        """
        from sundog import _logs, _pickling

        try:
            sent = _logs.with_settings(self.function)
            if retried_on:
                from sundog import _retries

                sent = _retries.Retried(sent, retried_on)  # type: ignore[arg-type]
            return _core.pickle_noting_refs(_pickling.dumps, sent)
        except Exception as error:
            from sundog import _unpicklable

            is_class = isinstance(self.function, type)
            name = name_of(self.function)
            name, inside = (f"class {name}", name) if is_class else (f"{name}()", f"{name}()")
            raise _unpicklable.exception(
                f"cannot send {name}", inside, self.function, error
            ) from None

    def pickle_ahead(self) -> None:
        """For the call that starts the session, while the daemon starts."""
        if self.cpp_name is not None:
            return
        try:
            pickled, contained = self.pickled(())
        except Exception:  # the call itself says so, or pickles it where there is a session
            return
        if not contained:  # references are of the session that is to be
            self.ahead = pickled, contained
        _signature.definition(self.function)  # reads the source, which is cached

    def take_ahead(self, retried_on: _retries.Types) -> tuple[bytes, Any] | None:
        """What was pickled ahead, once."""
        ahead, self.ahead = self.ahead, None
        return None if retried_on else ahead

    def id_here(self) -> bytes | None:
        """The id under which the current session has it; None if it does not have it yet."""
        session = _core.current_session()
        return self.function_id if session and self.session == session.number else None


def job_prefix(session: _core.Session) -> bytes:
    """What the ids of a session's job begin with."""
    job = session.info()["job"]
    assert isinstance(job, int)
    return job.to_bytes(4, "little")


class RemoteFunction(_apart.CalledApart, _core.Callee, Generic[C]):
    """A function whose calls run in other processes: ``f.remote(...)`` returns an ObjectRef.

    ``f.__wrapped__`` is the function itself. For checkers of types, its parameter is what
    ``f.remote(...)`` returns: ``RemoteFunction[ObjectRef[int]]``.
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
        _generator.refuse_async(code.function, self.__name__)
        yields = _generator.is_generator(code.function)
        self._options = _options.FunctionOptions(options, self.__name__, yields)
        if code.cpp_name is not None:
            _options.check_for_cpp(self._options, code.cpp_name)
        self._set_arity(*_signature.arity(code.function))

    def _prepare(self) -> None:
        """Makes the function known to the current session; called by ``remote``."""
        session = _core.current_session()
        assert session is not None
        number = _options.refs_of(self._options.num_returns)
        self._set_prepared(self._code.template(session, self._options), number)

    if TYPE_CHECKING:

        def remote(self, *args: Any, **kwargs: Any) -> C: ...

    if TYPE_CHECKING:

        @overload
        def options(  # type: ignore[overload-overlap]
            self, *, num_returns: Literal[1], **options: object
        ) -> RemoteFunction[_core.ObjectRef[Any]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["streaming"], **options: object
        ) -> RemoteFunction[_generator.ObjectRefGenerator[Any]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["dynamic"], **options: object
        ) -> RemoteFunction[_core.ObjectRef[_generator.DynamicObjectRefGenerator[Any]]]: ...
        @overload
        def options(
            self, *, num_returns: int, **options: object
        ) -> RemoteFunction[list[_core.ObjectRef[Any]]]: ...
        @overload
        def options(self, **options: object) -> RemoteFunction[C]: ...

    @public
    def options(self, **options: object) -> RemoteFunction[Any]:
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
        code = self._code
        if code.cpp_name is not None:
            return rebuild_cpp, (code.cpp_name, self._options.given)
        return rebuild, (code.function, self._options.given, code.id_here())

    def _find_signature(self) -> inspect.Signature | None:
        """The function's signature, made once; None for what has none."""
        if not hasattr(self, "_signature"):
            import inspect

            try:
                self._signature = inspect.signature(self.__wrapped__)
            except (TypeError, ValueError):
                self._signature = None
        return self._signature

    def _place(self) -> str:
        """``hello.py:4``: where the function's ``def`` is."""
        return _signature.definition(self.__wrapped__)


def rebuild(
    function: Callable[..., Any], options: Mapping[str, object], function_id: bytes | None
) -> RemoteFunction[Any]:
    """A remote function that came out of a pickle."""
    return RemoteFunction(FunctionCode(function, function_id), options)


def rebuild_cpp(name: str, options: Mapping[str, object]) -> RemoteFunction[Any]:
    """A C++ function under its registered name."""

    def function(*args: Any) -> None:
        raise TypeError(f"{name} is a C++ function: it runs in C++ workers only")

    function.__name__ = function.__qualname__ = name
    return RemoteFunction(FunctionCode(function, cpp_name=name), options)


@public
def cpp_function(name: str) -> RemoteFunction[_core.ObjectRef[Any]]:
    """The C++ function that workers registered under this name (``SUNDOG_REMOTE(name)``).

    Numbers, strings, bytes, numpy arrays, and lists, tuples and dictionaries of them are read by
    C++; so is what it returns. Arrays are not copied.

    Args:
        name: the registered name.

    Returns:
        A remote function, to be called and given options like one in Python.

    Raises:
        TypeError: the name is not a string.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"cpp_function() takes the name of a C++ function, got {name!r}")
    return rebuild_cpp(name, {})


@public
def cpp_actor_class(name: str) -> ActorClass[Any]:
    """The C++ class that workers registered under this name (``SUNDOG_ACTOR(Name, methods...)``).

    Args:
        name: the registered name.

    Returns:
        An actor class. Handles of its actors take the name of any method; C++ checks methods and
        arguments when they are called.

    Raises:
        TypeError: the name is not a string.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"cpp_actor_class() takes the name of a C++ class, got {name!r}")
    from sundog import _cpp

    return _cpp.actor_class(name, {})


def remote_thing(
    function: object, options: Mapping[str, object]
) -> RemoteFunction[Any] | ActorClass[Any]:
    """Makes a remote function or an actor class of what ``sundog.remote`` was given."""
    if isinstance(function, type):
        from sundog import _actor

        return _actor.actor_class(function, options)
    if isinstance(function, RemoteFunction):
        raise TypeError(f"'{function.__name__}' is a remote function already")
    if hasattr(type(function), "__mro_entries__"):
        raise TypeError(f"{function!r} is remote already")
    if not callable(function):
        raise TypeError(
            f"remote() takes a function or a class, got {type(function).__name__}; options are "
            "given by name: @remote(num_cpus=2)"
        )
    return RemoteFunction(function, options)


if TYPE_CHECKING:

    @overload
    def remote(function: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
    @overload
    def remote(  # type: ignore[overload-overlap]
        function: Callable[..., Iterator[T]], /
    ) -> RemoteFunction[_generator.ObjectRefGenerator[T]]: ...
    @overload
    def remote(function: Callable[..., T], /) -> RemoteFunction[_core.ObjectRef[T]]: ...
    @overload
    def remote(*, num_returns: Literal[1], **options: object) -> Decorator: ...  # type: ignore[overload-overlap]
    @overload
    def remote(*, num_returns: int, **options: object) -> DecoratorOfSeveral: ...  # type: ignore[overload-overlap]
    @overload
    def remote(**options: object) -> Decorator: ...


@public
def remote(*args: object, **options: object) -> object:
    """Makes a function run in other processes, or the objects of a class live there.

    Use it bare (``@sundog.remote``), with options (``@sundog.remote(num_cpus=2)``), or as a
    call on a function or class (``sundog.remote(f)``).

    Args:
        args: the function or class, if there are no options.
        options: num_cpus (default 1) and num_gpus (default 0), numbers, fractions allowed;
            memory, bytes; resources, a dict of custom names to amounts.
            Of functions: num_returns, how many ObjectRefs a call returns (default 1), or
            "streaming" for an ObjectRefGenerator (the default of what yields), or "dynamic" for
            the reference of a DynamicObjectRefGenerator;
            _generator_backpressure_num_objects, how many items that nobody took hold a
            generator back (default: no number, only bytes do);
            max_retries, how often a call is tried again after its worker died (default 3, -1
            without end); retry_exceptions, True to try again after an exception as well; name,
            what the task is called in messages.
            Of classes, whose actors hold their resources while they live, but for the one CPU
            that they need to be placed if num_cpus is not given: max_restarts, how often the
            process is started anew after it died (default 0, -1 without end); max_task_retries,
            how often a call is tried again then (default 0); name, under which
            ``sundog.get_actor`` finds the actor, in the namespace ``namespace``; get_if_exists,
            True to get the actor that has the name; lifetime, "detached" to outlive the program.

    Returns:
        A RemoteFunction or an ActorClass: what has ``.remote(...)`` and ``.options(...)``. With
        options only, a decorator that makes one.

    Raises:
        ValueError: an option that does not exist, or is not in this version.
        TypeError: an option of a wrong type, or something that is no function or class.
    """
    if args and (len(args) > 1 or options):
        raise TypeError(
            "remote() takes one function or class, or options by name: @remote or "
            "@remote(num_cpus=2)"
        )
    if args:
        return remote_thing(args[0], {})
    check_early(options)
    return public(lambda function: remote_thing(function, options))


def check_early(options: Mapping[str, object]) -> None:
    """Tells wrong options before it is known whether they are a function's or a class's.

    Raises:
        ValueError: neither has such an option.
        TypeError: an option of a wrong type.
    """
    from sundog import _actor_options

    of_actors = {*_actor_options.ACTOR_OPTIONS, *_actor_options.ACTOR_LATER}
    if any(name in of_actors and not _options.is_known(name) for name in options):
        _actor_options.ActorOptions(options, "", False)
    else:
        _options.FunctionOptions(options, "")
