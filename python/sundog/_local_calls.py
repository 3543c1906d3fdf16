"""What runs with ``init(local_mode=True)``, of which the runtime context tells.

Any thread may call; each has the call that it runs, and so has what an event loop runs for it.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

from sundog import _core, _function, _options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextvars import Token
    from typing import Any

    from sundog._local_actors import LocalActor

ID_BYTES = 16

_innermost: ContextVar[Call | None] = ContextVar("sundog local call", default=None)


class Call:
    """A task, a call of a method or of a constructor; what is done within ``with`` is its own."""

    def __init__(
        self,
        title: str,
        function_name: str,
        amounts: Mapping[str, int],
        actor: LocalActor | None = None,
    ) -> None:
        """``title``: what messages call it; ``amounts``: what it asks for, in 1/10000."""
        self.title = title
        self.function_name = function_name
        self.amounts = amounts
        self.actor = actor
        session = _core.current_session()
        assert session is not None
        prefix = _function.job_prefix(session)
        self._outer: Token[Call | None] | None = None
        self.id = (prefix + os.urandom(ID_BYTES - len(prefix))).hex()

    def __enter__(self) -> None:
        """It runs."""
        self._outer = _innermost.set(self)

    def __exit__(self, *error: object) -> None:
        """It does not run any more."""
        assert self._outer is not None
        _innermost.reset(self._outer)

    def steps(self, items: Any) -> Generator[Any, None, None]:
        """The items of a generator, each step of which runs within the call."""
        try:
            while True:
                with self:
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item
        finally:
            with self:
                if hasattr(items, "close"):
                    items.close()

    def resources(self) -> dict[str, float]:
        """Names to amounts, as ``get_assigned_resources`` tells them."""
        amounts = {}
        for name, amount in self.amounts.items():
            whole, rest = divmod(amount, _options.UNIT)
            amounts[name] = amount / _options.UNIT if rest else whole
        return amounts


def innermost() -> Call | None:
    """The call whose code runs; None in the driver's own."""
    return _innermost.get()
