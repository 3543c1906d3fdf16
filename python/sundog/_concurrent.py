"""Which actors run several of their calls at once, and by what: asked once in an actor's process,
before its constructor runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Driver(Protocol):
        """Runs an actor's calls."""

        def run(self) -> None:
            """Until the process is to end."""


def driver_for(cls: type, calls_at_once: int, num_groups: int) -> Driver | None:
    """What is to run the calls of an actor of this class.

    Args:
        cls: the class.
        calls_at_once: max_concurrency.
        num_groups: how many named concurrency groups there are.

    Returns:
        None if one call runs after the other, as in most actors.
    """
    from sundog import _actor_class

    if _actor_class.is_async(cls):
        from sundog._async_actor import AsyncDriver

        return AsyncDriver(cls)
    if calls_at_once > 1 or num_groups > 0:
        from sundog._threaded_actor import ThreadDriver

        return ThreadDriver()
    return None
