"""Checks a call of a remote function against its signature, in Python's own words."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from sundog._function import RemoteFunction

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


def signature_of(function: RemoteFunction) -> inspect.Signature | None:
    """The function's signature, made once; None for what has none."""
    if not hasattr(function, "_signature"):
        import inspect

        try:
            function._signature = inspect.signature(function.__wrapped__)
        except (TypeError, ValueError):
            function._signature = None
    return function._signature


def problem_of_call(
    function: RemoteFunction, args: Sequence[object], kwargs: Mapping[str, object]
) -> TypeError | None:
    """What Python would say to this call; None if it fits."""
    signature = signature_of(function)
    if signature is None:
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        text = complaint(function.__name__, signature, args, kwargs) or str(error)
        return TypeError(f"{text}  (def {function.__name__}{plain(signature)}{place(function)})")
    return None


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
    name = name if name.isidentifier() else "function"
    try:
        exec(f"def {name}{inspect.Signature(parameters)}: pass", scope)
        scope[name](*args, **kwargs)
    except TypeError as error:
        return str(error)
    except SyntaxError:
        pass
    return ""


def place(function: RemoteFunction) -> str:
    """``, hello.py:4``: where the function's ``def`` is."""
    source = definition(function.__wrapped__)
    return f", {source}" if source else ""


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


def parameter_name(function: RemoteFunction, where: int | str) -> str:
    """The name of an argument that was given by position or by keyword."""
    if isinstance(where, str):
        return where
    signature = signature_of(function)
    names = list(signature.parameters.values()) if signature is not None else []
    for index, parameter in enumerate(names):
        if parameter.kind == parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{where - index}]"
        if index == where:
            return parameter.name
    return str(where)
