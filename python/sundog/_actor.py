"""Actor classes, handles of actors, and methods to be called through them."""

from __future__ import annotations

from sundog import (
    _actor_class,
    _actor_options,
    _apart,
    _core,
    _function,
    _options,
    _signature,
)
from sundog._core import public
from sundog._generic import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeVar

    from sundog._local_actors import LocalActors
    from sundog._local_calls import Call

    T = TypeVar("T")
    # What an actor's calls have unless they say otherwise: max_task_retries, max_pending_calls.
    CallDefaults = tuple[int, int]
else:
    T = None

local: LocalActors | None = None  # in a session with local_mode=True


def current() -> tuple[bytes, type, int] | None:
    """(id of its handle, class, attempt) of the actor whose code runs here; None without one."""
    told = _core.current_actor()
    return told if told is not None or local is None else local.current()


def current_local_call() -> Call | None:
    """With local_mode=True, the task or call whose code runs; None without one."""
    return None if local is None else local.call()


class ActorMethod(_apart.CalledApart, _core.Callee):
    """A method of an actor: ``handle.method.remote(...)`` calls it there.

    It keeps the actor alive as its handle does, not the handle itself.
    """

    _is_method = True

    def __init__(
        self,
        ref: _core.ObjectRef[Any],
        description: _actor_class.ClassDescription,
        info: _actor_class.MethodInfo,
        options: _actor_options.MethodOptions,
        defaults: CallDefaults,
    ) -> None:
        """Use an attribute of a handle."""
        self._ref = ref
        self._description = description
        self._code = info
        self._options = options
        self._defaults = defaults
        self.__name__ = info.name
        self.__qualname__ = f"{description.name}.{info.name}"
        self.__doc__ = info.doc
        self._set_arity(*info.arity)
        self._set_actor(ref)
        if defaults[1] > 0:
            from sundog import _pending_calls

            self._pending = _pending_calls.pending_calls_of(ref, defaults[1])
            self.remote = self._limited  # type: ignore[method-assign]

    @public
    def _limited(self, *args: Any, **kwargs: Any) -> Any:
        """``remote`` of an actor with max_pending_calls."""
        self._pending.admit(self.__qualname__)
        return _core.Callee.remote(self, *args, **kwargs)

    def _prepare(self) -> None:
        """Makes the method known to the current session; called by ``remote``."""
        session = _core.current_session()
        assert session is not None
        options = self._options
        own = options.max_task_retries
        retries = self._defaults[0] if own is None else own
        title = options.name or self.__qualname__
        number = self._description.template(session, self._code, title, retries, options)
        self._set_prepared(number, _options.refs_of(options.num_returns))

    @public
    def options(self, **options: object) -> ActorMethod:
        """The same method with other options, for the calls made through what is returned.

        Args:
            options: num_returns, _generator_backpressure_num_objects, max_task_retries,
                retry_exceptions, name, concurrency_group; see ``sundog.method``. What is not given
                stays as it is.

        Raises:
            ValueError: an option that does not exist, or is not in this version.
            TypeError: an option of a wrong type.
        """
        checked = _actor_options.MethodOptions({**self._options.given, **options})
        return ActorMethod(self._ref, self._description, self._code, checked, self._defaults)

    @property
    def __signature__(self) -> inspect.Signature | None:
        """Of the method, without ``self``."""
        return self._code.signature()

    def _find_signature(self) -> inspect.Signature | None:
        return self._code.signature()

    def _place(self) -> str:
        return self._code.place

    def _wrong_call(self, call: str) -> str:
        """What to say to ``handle.method(...)``."""
        return (
            f"'{self.__name__}' is a method of the actor {self._description.name} and runs in its "
            f"process: call .{self.__name__}.remote({call})"
        )

    def __repr__(self) -> str:
        """``Actor(Counter, 3f2a…).increment``."""
        return f"{shown(self._ref, self._description)}.{self.__name__}"

    def __reduce__(self) -> tuple[object, ...]:
        """Travels as the handle does."""
        if local is not None:
            local.keep(self._ref)
        parts = (self._ref, self._description.packed, self._defaults)
        return rebuild_method, (*parts, self._code.name, self._options.given)


def shown(ref: _core.ObjectRef[Any], description: _actor_class.ClassDescription) -> str:
    """``Actor(Counter, 3f2a…)``. The first 8 digits of an id are the job's and tell nothing."""
    return f"Actor({description.name}, {ref.hex()[8:12]}…)"


class ActorHandle(Generic[T]):
    """Refers to an actor. ``handle.method.remote(...)`` calls it and returns an ObjectRef.

    Handles are arguments and results like any value. The actor ends when none is left, after the
    calls that were made. Methods of the class are found by completion, with their signatures.
    """

    # A class's own methods live in the instance's dictionary, once they were asked for.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_sundog_defaults",
        "_sundog_description",
        "_sundog_ref",
    )
    _sundog_ref: _core.ObjectRef[Any]
    _sundog_description: _actor_class.ClassDescription
    _sundog_defaults: CallDefaults

    def __init__(
        self,
        ref: _core.ObjectRef[Any],
        description: _actor_class.ClassDescription,
        defaults: CallDefaults,
    ) -> None:
        """Use ``Class.remote(...)`` or ``sundog.get_actor``."""
        self._sundog_ref = ref
        self._sundog_description = description
        self._sundog_defaults = defaults

    @public
    def __getattr__(self, name: str) -> ActorMethod:
        """A method of the actor's class.

        Raises:
            AttributeError: the class has no such method; close names are told.
        """
        info = self._sundog_description.method(name)
        if info is None:
            raise no_such_method(self._sundog_description, name)
        method = ActorMethod(
            self._sundog_ref, self._sundog_description, info, info.options, self._sundog_defaults
        )
        self.__dict__[name] = method
        return method

    @property
    def _actor_id(self) -> Any:
        """The actor's ActorID."""
        from sundog._ids import ActorID

        return ActorID(self._sundog_ref.binary())

    def __dir__(self) -> list[str]:
        """The methods of the class."""
        hidden = {*_actor_class.SPECIAL, _actor_class.ANY_METHOD}
        return [n for n in self._sundog_description.methods if n not in hidden]

    def __eq__(self, other: object) -> bool:
        """Handles of one actor are equal."""
        if not isinstance(other, ActorHandle):
            return NotImplemented
        return self._sundog_ref == other._sundog_ref

    def __hash__(self) -> int:
        """Of the actor."""
        return hash(self._sundog_ref)

    def __repr__(self) -> str:
        """``Actor(Counter, 3f2a…)``."""
        return shown(self._sundog_ref, self._sundog_description)

    def __copy__(self) -> ActorHandle[T]:
        """Itself: there is nothing to copy."""
        return self

    def __deepcopy__(self, memo: object) -> ActorHandle[T]:
        """Itself."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """A reference, and the description of the class beside it."""
        if local is not None:
            local.keep(self._sundog_ref)
        parts = (self._sundog_ref, self._sundog_description.packed, self._sundog_defaults)
        return rebuild_handle, parts


class HandleDoc:
    """The documentation of handles: of one that of its actor's class, of ActorHandle its own."""

    def __init__(self, own: str | None) -> None:
        """``own`` is ActorHandle's."""
        self.own = own

    def __get__(self, handle: ActorHandle[Any] | None, owner: object) -> str | None:
        """What ``help`` and notebooks show."""
        return self.own if handle is None else handle._sundog_description.doc or self.own


ActorHandle.__doc__ = HandleDoc(ActorHandle.__doc__)  # type: ignore[assignment]


def no_such_method(description: _actor_class.ClassDescription, name: str) -> AttributeError:
    """``handle.no_such_method``."""
    from sundog._errors import NoSuchMethodError

    text = f"actor class {description.name} has no method '{name}'"
    if name.startswith("_"):  # probed for by notebooks and picklers, hundreds of times
        return NoSuchMethodError(text)
    if name in description.properties:
        return NoSuchMethodError(
            f"'{name}' is a property of {description.name}: a handle reaches methods only. Write "
            "a method that returns it."
        )
    from sundog._options import did_you_mean

    hint = did_you_mean(name, description.methods)
    return NoSuchMethodError(
        text
        + (hint or "; a handle reaches methods only, attributes through a method that returns them")
    )


def rebuild_handle(
    ref: _core.ObjectRef[Any], packed: bytes, defaults: CallDefaults
) -> ActorHandle[Any]:
    """A handle that came out of a pickle."""
    here = local.handle_of(ref) if local is not None else None
    if here is not None:
        return here
    return ActorHandle(ref, _actor_class.known_as(packed), defaults)


def rebuild_method(
    ref: _core.ObjectRef[Any],
    packed: bytes,
    defaults: CallDefaults,
    name: str,
    options: Mapping[str, object],
) -> ActorMethod:
    """A method that came out of a pickle."""
    method: ActorMethod = getattr(rebuild_handle(ref, packed, defaults), name)
    return method.options(**options)


class Constructor(_core.Callee):
    """The call that makes an actor; its one result is what the handle holds."""

    def __init__(self, code: _function.FunctionCode, options: _actor_options.ActorOptions) -> None:
        """Part of an ActorClass."""
        cls = code.function
        assert isinstance(cls, type)
        self._code = code
        self._options = options
        init = _actor_class.find(cls, "__init__")
        self.__name__ = "__init__" if init is not None else cls.__name__
        self.__qualname__ = f"{cls.__name__}.__init__" if init is not None else cls.__name__
        self._is_method = init is not None
        self._init = init
        self._described: _actor_class.Described | None = ((), None)
        if code.cpp_name is not None:
            self._described = None
        elif callable(init):
            self._described = _actor_class.described_signature(init, bound=True)
        elif _actor_class.find(cls, "__new__") is not None:
            self._described = None
        self._set_arity(*_actor_class.arity_of(self._described))

    def _prepare(self) -> None:
        """Makes the class known to the current session; called by ``remote``."""
        session = _core.current_session()
        assert session is not None
        self._set_prepared(self._code.template(session, self._options), 1)

    def _find_signature(self) -> inspect.Signature | None:
        if self._described is None:
            return None
        return _actor_class.signature_of(self._described)

    def _place(self) -> str:
        if not callable(self._init):
            return ""
        return _signature.definition(_actor_class.unwrapped(self._init))


class ActorClass(_apart.CalledApart, Generic[T]):
    """A class whose objects live in processes of their own: ``Class.remote(...)`` makes one.

    ``Class.__wrapped__`` is the class itself.
    """

    def __init__(
        self, cls: type[T] | _function.FunctionCode, options: Mapping[str, object]
    ) -> None:
        """Use ``sundog.remote``."""
        code = cls if isinstance(cls, _function.FunctionCode) else _function.FunctionCode(cls)
        made_of = code.function
        assert isinstance(made_of, type)
        self._code = code
        self._options = _actor_options.ActorOptions(
            options, made_of.__name__, _actor_class.is_async(made_of)
        )
        if code.cpp_name is not None and self._options.runs_calls_at_once():
            raise ValueError(
                f"{made_of.__name__} is a C++ class, whose actors run one call after the other: "
                "max_concurrency and concurrency_groups are for Python classes"
            )
        self._constructor = Constructor(code, self._options)
        self.__wrapped__: type[T] = made_of
        self.__name__: str = made_of.__name__
        self.__qualname__: str = made_of.__qualname__
        self.__module__: str = made_of.__module__
        self.__doc__ = made_of.__doc__

    @public
    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Makes an actor and returns its handle at once; arguments are the constructor's.

        A constructor that raises ends the actor: what it raised is the cause of the
        ActorDiedError of every call.

        Raises:
            TypeError: the arguments do not fit the constructor's signature or cannot be sent.
            ActorAlreadyExistsError: an actor of this name exists, and get_if_exists is not set.
        """
        return make_actor(self, args, kwargs)

    @public
    def options(self, **options: object) -> ActorClass[T]:
        """The same class with other options, for the actors made through what is returned.

        Args:
            options: as for ``sundog.remote`` on a class; what is not given stays as it is.

        Raises:
            ValueError: an option that does not exist, or is not in this version.
            TypeError: an option of a wrong type.
        """
        return ActorClass(self._code, {**self._options.given, **options})

    @public
    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Refuses: an actor is made by ``remote``.

        Raises:
            TypeError: always; it says what to call.
        """
        from sundog import _errors

        raise _errors.constructed_directly(self.__name__, args, kwargs)

    @property
    def __signature__(self) -> inspect.Signature | None:
        """Of the constructor."""
        return self._constructor._find_signature()

    @public
    def __getattr__(self, name: str) -> Any:
        """What the class has besides its actors' methods: constants, static and class methods."""
        if not name.startswith("__"):
            cls = self.__wrapped__
            attribute = _actor_class.find(cls, name)
            if isinstance(attribute, (staticmethod, classmethod)):
                return getattr(cls, name)  # needs no actor: runs here
            if _actor_class.is_method(attribute):
                from sundog._errors import NoSuchMethodError

                raise NoSuchMethodError(
                    f"'{self.__name__}' is an actor class: make an actor with "
                    f"{self.__name__}.remote(...) and call its method {name}, or use "
                    f"{self.__name__}.__wrapped__.{name}"
                )
            if attribute is not None:
                return getattr(cls, name)
        text = f"actor class {self.__dict__.get('__name__')} has no '{name}'"
        raise AttributeError(text + _apart.why_absent(name))

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        """``class Child(Parent)`` inherits from the plain class; ``Child`` itself is plain."""
        return (self.__wrapped__,)

    def __repr__(self) -> str:
        """``<actor class Counter>``."""
        return f"<actor class {self.__name__}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Travels with its class, and with the id under which the job has it."""
        if self._code.cpp_name is not None:
            from sundog import _cpp

            return _cpp.actor_class, (self._code.cpp_name, self._options.given)
        return rebuild_class, (self.__wrapped__, self._options.given, self._code.id_here())


def rebuild_class(
    cls: type[T], options: Mapping[str, object], class_id: bytes | None
) -> ActorClass[T]:
    """An actor class that came out of a pickle."""
    return ActorClass(_function.FunctionCode(cls, class_id), options)


def actor_class(cls: type[T], options: Mapping[str, object]) -> ActorClass[T]:
    """Makes an actor class of what ``sundog.remote`` was given."""
    return ActorClass(cls, options)


def make_actor(
    cls: ActorClass[T], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> ActorHandle[T]:
    """Makes an actor, or finds the one that has its name already."""
    if local is not None:
        return local.make(cls, args, kwargs)
    options = cls._options
    if options.name is None:
        return handle_of(cls, cls._constructor.remote(*args, **kwargs))
    problem = _signature.problem_of_call(cls._constructor, args, kwargs)
    if problem is not None:
        raise problem
    space, name = options.namespace or "", options.name
    taken = _core.claim_name(space, name)
    if taken is not None:
        from sundog import _actor_names

        return _actor_names.use_taken(_actor_names.from_descriptor(*taken), cls.__name__, options)
    try:
        handle = handle_of(cls, cls._constructor.remote(*args, **kwargs))
        told = (handle._sundog_description.packed, handle._sundog_defaults)
        _core.bind_name(space, name, handle._sundog_ref, _core.put(told))
    except BaseException:
        _core.bind_name(space, name, None, None)
        raise
    return handle


def handle_of(cls: ActorClass[T], ref: _core.ObjectRef[Any]) -> ActorHandle[T]:
    """The handle of an actor that was just made."""
    description = _actor_class.describe_once(cls._code)
    options = cls._options
    return ActorHandle(ref, description, (options.max_task_retries, options.max_pending_calls))
