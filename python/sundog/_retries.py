"""``retry_exceptions=[...]``: which exceptions of a task another attempt may follow."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Types = tuple[type[BaseException], ...]


class Retried:
    """A function on its way to a worker, with the types of exceptions that it is tried again for.

    The worker looks at ``retried_on`` when a call raised.
    """

    __slots__ = ("function", "retried_on")

    def __init__(self, function: Callable[..., Any], retried_on: Types) -> None:
        """Pairs them."""
        self.function = function
        self.retried_on = retried_on

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One attempt."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[object, ...]:
        """Travels with both."""
        return Retried, (self.function, self.retried_on)


class Packed:
    """The types that a method is tried again for, as bytes: a description travels without them."""

    __slots__ = ("pickled",)

    def __init__(self, pickled: bytes) -> None:
        """Use ``packed``."""
        self.pickled = pickled

    def __eq__(self, other: object) -> bool:
        """The same types."""
        return isinstance(other, Packed) and self.pickled == other.pickled

    def __hash__(self) -> int:
        """Of the bytes."""
        return hash(self.pickled)

    def __reduce__(self) -> tuple[object, ...]:
        """Travels as bytes."""
        return Packed, (self.pickled,)


def nothing() -> None:
    """In the place of a function: a method is found by its name."""


def packed(types: Types) -> Packed:
    """What a worker unpickles when a call raised."""
    from sundog import _pickling

    return Packed(_pickling.dumps(Retried(nothing, types)))


def checked(value: Sequence[object]) -> tuple[bool, Types]:
    """retry_exceptions as a list: whether it names any type, and which.

    Raises TypeError for what is no type of exceptions.
    """
    types: list[type[BaseException]] = []
    for item in value:
        if not isinstance(item, type) or not issubclass(item, BaseException):
            raise TypeError(
                "retry_exceptions is True, False or a list of exception types, got one with "
                f"{item!r}"
            )
        types.append(item)
    return bool(types), tuple(types)


def allows(function: object, raised: type[BaseException]) -> bool:
    """Whether another attempt may follow; ``function`` as a worker has it."""
    return not isinstance(function, Retried) or issubclass(raised, function.retried_on)
