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
