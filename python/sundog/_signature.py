"""Checks a call of a remote function against its signature, in Python's own words."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType
    from typing import Any, TypeAlias, TypeGuard

    from sundog._actor import ActorMethod, Constructor
    from sundog._function import RemoteFunction

    Callee: TypeAlias = RemoteFunction[Any] | ActorMethod | Constructor

CO_VARARGS = 0x04


def arity(function: Callable[..., object]) -> tuple[int, int]:
    """(fewest, most) positional arguments of a call without keywords; -1: no limit.

    (-1, -1) if each call has to be bound: keyword-only parameters without default, or no code.
    """
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__signature__") or hasattr(function, "__wrapped__"):
        return -1, -1
    most = code.co_argcount
    fewest = most - len(getattr(function, "__defaults__", None) or ())
    if getattr(function, "__self__", None) is not None:
        most, fewest = most - 1, max(0, fewest - 1)
    if code.co_kwonlyargcount > len(getattr(function, "__kwdefaults__", None) or {}):
        return -1, -1
    return fewest, -1 if code.co_flags & CO_VARARGS else most


def problem_of_call(
    callee: Callee, args: Sequence[object], kwargs: Mapping[str, object]
) -> TypeError | None:
    """What Python would say to this call; None if it fits."""
    signature = callee._find_signature()
    if signature is None:
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        text = complaint(title(callee), signature, args, kwargs) or str(error)
        return TypeError(f"{text}  ({heading(callee, signature)})")
    return None


def title(callee: Callee) -> str:
    """``slow``, ``Counter.increment``: what messages call it, without parentheses."""
    return callee.__qualname__ if is_of_class(callee) else callee.__name__


def is_of_class(callee: Callee) -> TypeGuard[ActorMethod | Constructor]:
    """Whether it is a method or a constructor."""
    return hasattr(callee, "_is_method")


def heading(callee: Callee, signature: inspect.Signature) -> str:
    """``def increment(self, n), counter.py:4``: as the program has it."""
    source = callee._place()
    place = f", {source}" if source else ""
    shown = plain(signature)
    if is_of_class(callee):
        if not callee._is_method:
            return f"class {callee.__name__}{place}"
        shown = "(self" + (", " if len(signature.parameters) else "") + shown[1:]
    return f"def {callee.__name__}{shown}{place}"


def plain(signature: inspect.Signature) -> str:
    """``(i, j=2)``: without annotations, which tell nothing about a wrong call."""
    import inspect

    parameters = [
        p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def complaint(
    name: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]
) -> str:
    """Python's own words, from calling an empty function with the same parameters."""
    import inspect

    parameters = [
        p.replace(
            annotation=inspect.Parameter.empty,
            default=p.default if p.default is inspect.Parameter.empty else None,
        )
        for p in signature.parameters.values()
    ]
    scope: dict[str, Callable[..., object]] = {}
    try:
        exec(f"def function{inspect.Signature(parameters)}: pass", scope)
        # Python's sentence begins with the qualified name.
        scope["function"].__qualname__ = name
        scope["function"](*args, **kwargs)
    except TypeError as error:
        return str(error)
    except SyntaxError:
        pass
    return ""


def definition(function: Callable[..., object]) -> str:
    """``hello.py:4``, the line of the ``def`` itself and not of its decorators; or nothing."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:
        return ""
    import linecache

    line = code.co_firstlineno
    for candidate in range(line, line + 20):
        text = linecache.getline(code.co_filename, candidate).lstrip()
        if text.startswith(("def ", "async def ")):
            line = candidate
            break
    return f"{os.path.basename(code.co_filename)}:{line}"


def parameter_name(callee: Callee, where: int | str) -> str:
    """The name of an argument that was given by position or by keyword."""
    if isinstance(where, str):
        return where
    signature = callee._find_signature()
    names = list(signature.parameters.values()) if signature is not None else []
    for index, parameter in enumerate(names):
        if parameter.kind == parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{where - index}]"
        if index == where:
            return parameter.name
    return str(where)
