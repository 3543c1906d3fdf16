"""How instances of a class are pickled, as a program says; and why something cannot be."""

from __future__ import annotations

import copyreg
import sys

from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TextIO, TypeVar

    T = TypeVar("T")

NAMES_SHOWN = 60


@public
def register_serializer(
    cls: type[T], *, serializer: Callable[[T], Any], deserializer: Callable[[Any], T]
) -> None:
    """Pickles instances of this very class, not of its subclasses, as told.

    It counts in this process, for every pickle that it makes; who reads one needs no registration,
    for the deserializer travels with the value.

    Args:
        cls: the class.
        serializer: makes of an instance something that can be pickled.
        deserializer: makes of that an instance.

    Raises:
        TypeError: not a class, or not functions.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_serializer() takes a class, got {cls!r}")
    for name, function in (("serializer", serializer), ("deserializer", deserializer)):
        if not callable(function):
            raise TypeError(f"{name} is a function of one argument, got {function!r}")

    def reduce(value: T) -> tuple[Callable[[Any], T], tuple[Any]]:
        return deserializer, (serializer(value),)

    copyreg.pickle(cls, reduce)


@public
def deregister_serializer(cls: type) -> None:
    """Undoes ``register_serializer``; does nothing for a class that has none."""
    copyreg.dispatch_table.pop(cls, None)


class FailureTuple:
    """A part of a value that cannot be pickled: what it is, its name, and what it belongs to."""

    __slots__ = ("name", "obj", "parent")

    def __init__(self, obj: Any, name: str, parent: Any) -> None:
        """Keeps the three."""
        self.obj = obj
        self.name = name
        self.parent = parent

    def __repr__(self) -> str:
        """``FailTuple(lock [obj=…, parent=…])``."""
        return f"FailTuple({self.name} [obj={self.obj!r}, parent={self.parent!r}])"


def pickles(value: object) -> str | None:
    """What pickling raises; None if it works."""
    from sundog import _pickling

    try:
        _pickling.dumps(value)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value consists of, with the names that a person knows."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]"[:NAMES_SHOWN], part) for key, part in value.items())
        return
    if isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{number}]", part) for number, part in enumerate(value))
        return
    function = getattr(value, "__wrapped__", None) or getattr(value, "__func__", value)
    if callable(function) and hasattr(function, "__code__"):
        import inspect

        owner = getattr(value, "__self__", None)
        if owner is not None:
            yield "self", owner
        closure = inspect.getclosurevars(function)
        yield from closure.nonlocals.items()
        yield from closure.globals.items()
        yield from zip(("default",) * 99, function.__defaults__ or (), strict=False)
        return
    if isinstance(value, type):
        yield from ((n, p) for n, p in vars(value).items() if not n.startswith("__"))
        return
    yield from getattr(value, "__dict__", {}).items()


class Inspection:
    """One look into a value."""

    def __init__(self, out: TextIO, depth: int) -> None:
        """``out``: where the findings are told."""
        self.out = out
        self.depth = depth
        self.seen: set[int] = set()
        self.failures: dict[int, FailureTuple] = {}

    def look(self, value: Any, name: str, parent: Any, level: int) -> bool:
        """Whether the value can be pickled; else finds the parts that cannot."""
        problem = pickles(value)
        indent = "  " * level
        if problem is None:
            return True
        print(f"{indent}{name}: {type(value).__name__} cannot be pickled: {problem}", file=self.out)
        if id(value) in self.seen:
            return False
        self.seen.add(id(value))
        found = False
        if level < self.depth:
            for part_name, part in parts(value):
                found |= not self.look(part, part_name, value, level + 1)
        if not found:
            self.failures[id(value)] = FailureTuple(value, name, parent)
        return False


@public
def inspect_serializability(
    base_obj: Any,
    name: str | None = None,
    depth: int = 3,
    print_file: TextIO | None = None,
) -> tuple[bool, set[FailureTuple]]:
    """Finds what in a value, function or class keeps it from being sent to a task.

    Args:
        base_obj: what to look into.
        name: what it is called in the report; None takes its own name.
        depth: how many levels of parts to look at.
        print_file: where to print the report; None is stdout.

    Returns:
        Whether it can be pickled, and a set of the innermost parts that cannot, with ``obj``,
        ``name`` and ``parent``.
    """
    shown = name or getattr(base_obj, "__name__", None) or str(base_obj)[:NAMES_SHOWN]
    inspection = Inspection(print_file or sys.stdout, depth)
    good = inspection.look(base_obj, shown, None, 0)
    told = "can be pickled" if good else "cannot be pickled; at fault: "
    told += ", ".join(f"{f.name} ({type(f.obj).__name__})" for f in inspection.failures.values())
    print(f"{shown} {told}", file=inspection.out)
    return good, set(inspection.failures.values())
