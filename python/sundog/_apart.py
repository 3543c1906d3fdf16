"""What remote functions, actor classes and methods have in common: ``_remote``, arguments and
options given apart, as programs of 2018 make their calls; and what is said of ``bind``.
"""

from __future__ import annotations

from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Protocol

    class Remote(Protocol):
        """A remote function, an actor class, a method of an actor."""

        def options(self, **options: object) -> Any: ...
        def remote(self, *args: Any, **kwargs: Any) -> Any: ...


GRAPHS = (
    "; task graphs (bind, ray.dag) are not part of Sundog: call .remote(...) and pass on the "
    "references"
)


def why_absent(name: str) -> str:
    """What to add to the AttributeError of a name that Ray has."""
    return GRAPHS if name == "bind" else ""


class CalledApart:
    """Gives ``_remote`` to what has ``remote`` and ``options``."""

    __slots__ = ()

    @public
    def _remote(
        self: Remote,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: object,
    ) -> Any:
        """``remote`` with arguments and options apart.

        Args:
            args: what is given by position; None is nothing.
            kwargs: what is given by name; None is nothing.
            options: as for ``options``.

        Returns:
            What ``remote`` returns.

        Raises:
            TypeError, ValueError: as ``options`` and ``remote`` do.
        """
        callee = self.options(**options) if options else self
        return callee.remote(*(args or ()), **(kwargs or {}))

    @public
    def __getattr__(self, name: str) -> Any:
        """Says why there is no ``bind``; knows of nothing else.

        Raises:
            AttributeError: always.
        """
        text = f"'{type(self).__name__}' object has no attribute '{name}'"
        raise AttributeError(text + why_absent(name))
