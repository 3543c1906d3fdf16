"""What a handle knows of its class: methods, signatures, documentation, as plain data.

A description is made once where the class is, and travels with handles as bytes: whoever gets a
handle calls and completes methods without the class.
"""

from __future__ import annotations

from sundog import _actor_options, _generator, _options, _signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable
    from typing import Any

    from sundog import _core
    from sundog._function import FunctionCode

    # (name, kind, text of the default or None, text of the annotation or None)
    Parameter = tuple[str, int, str | None, str | None]
    # Parameters, and the text of what is returned or None
    Described = tuple[tuple[Parameter, ...], str | None]
    # (name, signature or None, documentation, "file.py:12", options)
    Method = tuple[str, Described | None, str, str, dict[str, object]]

# Methods that every actor has: __ray_ready__ answers True once the constructor returned,
# __ray_call__ calls a function with the object, __ray_terminate__ ends the actor.
SPECIAL: dict[str, Described] = {
    "__ray_ready__": ((), "bool"),
    "__sundog_ready__": ((), "bool"),
    "__ray_call__": (
        (("function", 0, None, None), ("args", 2, None, None), ("kwargs", 4, None, None)),
        None,
    ),
    "__ray_terminate__": ((), None),
}
# Stands for all methods of a class of which only the name is known: it is in C++.
ANY_METHOD = "*"
# Not called through handles.
CLASS_MACHINERY = ("__class_getitem__", "__init__", "__init_subclass__", "__new__")
DEFAULT_MAX = 60


class Shown:
    """Stands for a default value that is only shown."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Takes the value's repr."""
        self.text = text

    def __repr__(self) -> str:
        """The value's own."""
        return self.text


class MethodInfo:
    """One method of a described class."""

    __slots__ = ("_signature", "arity", "doc", "hinted", "last_large", "name", "options", "place")

    def __init__(self, method: Method) -> None:
        """Takes a part of the description."""
        self.name, described, self.doc, self.place, given = method
        self.options = _actor_options.MethodOptions(given)
        self._signature: Described | inspect.Signature | None = described
        self.arity = arity_of(described)
        # See _hints.note_large_argument.
        self.last_large: tuple[object, int] = (None, 0)
        self.hinted = False

    def signature(self) -> inspect.Signature | None:
        """As ``inspect`` has it, without ``self``; None for what has none."""
        if isinstance(self._signature, tuple):
            self._signature = signature_of(self._signature)
        return self._signature


def arity_of(described: Described | None) -> tuple[int, int]:
    """(fewest, most) positional arguments of a call without keywords; see _signature.arity."""
    if described is None:
        return -1, -1
    fewest = most = 0
    endless = False
    for _, kind, default, _ in described[0]:
        if kind == 3 and default is None:
            return -1, -1
        if kind <= 1:
            most += 1
            fewest += default is None
        endless = endless or kind == 2
    return fewest, -1 if endless else most


def signature_of(described: Described) -> inspect.Signature:
    """The signature that was described."""
    import inspect

    kinds = list(inspect._ParameterKind)
    empty = inspect.Parameter.empty
    parameters, returned = described
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                kinds[kind],
                default=empty if default is None else Shown(default),
                annotation=empty if annotation is None else Shown(annotation),
            )
            for name, kind, default, annotation in parameters
        ],
        return_annotation=empty if returned is None else Shown(returned),
    )


class ClassDescription:
    """A described class, and what the session knows of its methods; shared by all its handles."""

    __slots__ = ("doc", "methods", "name", "packed", "properties", "session", "templates")

    def __init__(self, packed: bytes) -> None:
        """Use ``known_as``."""
        import pickle

        self.packed = packed
        self.name: str
        self.name, self.doc, methods, self.properties = pickle.loads(packed)
        self.methods = {method[0]: MethodInfo(method) for method in methods}
        for special, described in SPECIAL.items():
            self.methods.setdefault(special, MethodInfo((special, described, "", "", {})))
        self.session = 0  # its number: a description does not keep a session alive
        self.templates: dict[tuple[object, ...], int] = {}

    def method(self, name: str) -> MethodInfo | None:
        """The method of this name; None if the class has none."""
        if name not in self.methods and ANY_METHOD in self.methods and not name.startswith("_"):
            self.methods[name] = MethodInfo((name, None, "", "", {}))
        return self.methods.get(name)

    def template(
        self,
        session: _core.Session,
        info: MethodInfo,
        title: str,
        retries: int,
        options: _actor_options.MethodOptions,
    ) -> int:
        """The number under which this session knows a method with these options."""
        if self.session != session.number:
            self.session = session.number
            self.templates = {}
        exceptions, returns = options.retry_exceptions, _options.returns_of(options.num_returns)
        group = options.concurrency_group or ""
        key = (
            info.name, title, retries, exceptions, group, returns, options.stream_items,
            options.recorded,
        )  # fmt: skip
        if key not in self.templates:
            types = None
            if not isinstance(exceptions, bool):
                if ANY_METHOD in self.methods:
                    raise _options.no_types_in_cpp("method", info.name)
                types = session.put_function(exceptions.pickled, [])
            self.templates[key] = session.define(
                types, title, info.place, {}, retries, bool(exceptions), _actor_options.METHOD,
                info.name,
                {}, 0, False, 1, {}, False, group, returns, options.stream_items,
                0, 0, 0, 0, None, -1, 0, False, not options.recorded,
            )  # fmt: skip
        return self.templates[key]


_known: dict[bytes, ClassDescription] = {}


def known_as(packed: bytes) -> ClassDescription:
    """The one description of these bytes in this process."""
    description = _known.get(packed)
    if description is None:
        description = _known[packed] = ClassDescription(packed)
    return description


def describe(cls: type) -> ClassDescription:
    """Describes a class."""
    import pickle

    methods, properties = [], []
    for name in dir(cls):
        function = find(cls, name)
        if isinstance(function, property):
            properties.append(name)
        elif is_method(function) and name not in CLASS_MACHINERY:
            methods.append(describe_method(cls, name, function))
    return known_as(
        pickle.dumps((cls.__name__, cls.__doc__ or "", tuple(methods), tuple(properties)))
    )


def describe_once(code: FunctionCode) -> ClassDescription:
    """The description of a class, kept with it."""
    if code.description is None:
        assert isinstance(code.function, type)
        code.description = describe(code.function)
    return code.description


def find(cls: type, name: str) -> object:
    """The attribute as the class has it, without binding; what ``object`` has is none of ours."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return None if base is object else base.__dict__[name]
    return None


def is_method(attribute: object) -> bool:
    """Whether calls of it make sense: functions and what wraps them, but no classes."""
    if isinstance(attribute, (staticmethod, classmethod)):
        return True
    if isinstance(attribute, type) or not hasattr(attribute, "__get__"):
        return False
    return callable(attribute) or hasattr(attribute, "func")  # a partialmethod


def describe_method(cls: type, name: str, attribute: Any) -> Method:
    """A method as plain data."""
    function: Callable[..., Any] = getattr(attribute, "__func__", attribute)
    inner = unwrapped(function)
    options: dict[str, object] = dict(getattr(function, _actor_options.OPTIONS_ATTRIBUTE, {}))
    if _generator.is_generator(inner):
        options.setdefault("num_returns", "streaming")
    elif "_generator_backpressure_num_objects" in options:
        options.setdefault("num_returns", 1)  # which is refused
    bound = not isinstance(attribute, staticmethod)
    doc = getattr(function, "__doc__", None) or ""
    return name, described_signature(function, bound), doc, _signature.definition(inner), options


def unwrapped(function: Any) -> Any:
    """What decorators wrapped."""
    for _ in range(100):
        if not hasattr(function, "__wrapped__"):
            break
        function = function.__wrapped__
    return function


def described_signature(function: Callable[..., Any], bound: bool) -> Described | None:
    """The signature of a call, without ``self``; None if it is not known."""
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())
    if bound and parameters and parameters[0].kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD:
        del parameters[0]
    empty = inspect.Parameter.empty

    def annotation(value: object) -> str | None:
        return None if value is empty else inspect.formatannotation(value)

    return tuple(
        (
            p.name,
            int(p.kind),
            None if p.default is empty else shown_default(p.default),
            annotation(p.annotation),
        )
        for p in parameters
    ), annotation(signature.return_annotation)


def shown_default(value: object) -> str:
    """A default's repr, if it is short."""
    try:
        text = repr(value)
    except Exception:
        return "..."
    return text if len(text) <= DEFAULT_MAX else "..."


CO_COROUTINE, CO_ASYNC_GENERATOR = 0x80, 0x200


def code_flags(attribute: object) -> int:
    """Of the function behind a method; 0 if there is none."""
    code = getattr(unwrapped(getattr(attribute, "__func__", attribute)), "__code__", None)
    flags: int = 0 if code is None else code.co_flags
    return flags


def is_async(cls: type) -> bool:
    """Whether one of its methods is ``async def``: its calls run on an event loop then."""
    return any(
        code_flags(attribute) & (CO_COROUTINE | CO_ASYNC_GENERATOR)
        for base in cls.__mro__
        if base is not object
        for attribute in base.__dict__.values()
        if hasattr(attribute, "__get__")
    )
