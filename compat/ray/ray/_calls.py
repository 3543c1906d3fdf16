"""The calls whose arguments meant something else in 2018: ``init`` and ``wait``."""

from __future__ import annotations

import os

import sundog
from sundog import _log
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from sundog._context import Context

    T = TypeVar("T")

WAIT_IN_MILLISECONDS = "SUNDOG_RAY_WAIT_MS"
SUSPICIOUS_SECONDS = 100

_pointed_out = False


def renamed(options: dict[str, Any], old: str, new: str, value: object) -> None:
    """Puts the value of a name of 2018 under today's name."""
    if options.get(new) not in (None, value):
        raise ValueError(f"init(): '{old}' is the old name of '{new}', and they differ")
    options[new] = value


@public
def init(address: str | None = None, **options: Any) -> Context:
    """Starts a session: ``sundog.init``, which has the keywords, with those of 2018 as well.

    Args:
        address: as ``sundog.init`` has it; if it is not given, RAY_ADDRESS is read too, and else
            the session that ``ray start --head`` began is joined. An address of this machine,
            ``"ray://localhost:10001"`` or ``"127.0.0.1:6379"``, is ``"auto"``.
        options: as ``sundog.init`` has them; ``redis_address`` is ``address``, ``include_webui`` is
            ``include_dashboard``, and ``redirect_output=True`` is ``log_to_driver=False``.

    Returns:
        A mapping that describes the session; as a context manager it ends the session.

    Raises:
        RuntimeError: a session runs already.
        ValueError: a keyword that does not exist, is not in this version, or contradicts another.
    """
    if "redis_address" in options:
        old = options.pop("redis_address")
        if old is not None:
            if address not in (None, old):
                raise ValueError("init(): 'redis_address' is the old name of 'address'")
            address = old
    if address is None and not os.environ.get("SUNDOG_ADDRESS"):
        address = os.environ.get("RAY_ADDRESS") or None
        if address is None and not sundog.is_initialized():
            from sundog import _cli_start

            address = _cli_start.standing()
    address = here(address)
    if "include_webui" in options:
        renamed(options, "include_webui", "include_dashboard", options.pop("include_webui"))
    if options.pop("redirect_output", None):
        renamed(options, "redirect_output", "log_to_driver", False)
    return sundog.init(address, **options)


def here(address: str | None) -> str | None:
    """``"auto"`` for Ray's addresses of this machine: ``ray://localhost:10001``."""
    if isinstance(address, str) and "/" not in address.removeprefix("ray://"):
        host = address.removeprefix("ray://").rpartition(":")
        if host[2].isdigit() and host[0] in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0"):
            return "auto"
        if address in ("ray://localhost", "ray://127.0.0.1"):
            return "auto"
    return address


def seconds_of(timeout: float | None) -> float | None:
    """A timeout of ``wait`` in seconds; says once what looks like milliseconds."""
    global _pointed_out
    if timeout is None or isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        return timeout  # sundog.wait says what is wrong with it
    if os.environ.get(WAIT_IN_MILLISECONDS) == "1":
        return timeout / 1000
    if isinstance(timeout, int) and timeout >= SUSPICIOUS_SECONDS and not _pointed_out:
        _pointed_out = True
        _log.warning(
            f"ray.wait(timeout={timeout}) waits up to {timeout} seconds. For a program of 2018, "
            f"which means milliseconds, set {WAIT_IN_MILLISECONDS}=1 in the environment"
        )
    return timeout


@public
def wait(
    ray_waitables: list[sundog.ObjectRef[T]],
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[sundog.ObjectRef[T]], list[sundog.ObjectRef[T]]]:
    """Splits references into those that are ready and the rest: ``sundog.wait``.

    Args:
        ray_waitables: the references, each once.
        num_returns: how many to wait for.
        timeout: seconds, as in Ray since 2019; None waits without end. With SUNDOG_RAY_WAIT_MS=1
            in the environment it is milliseconds, as in 2018.
        fetch_local: as ``sundog.wait`` has it.
    """
    return sundog.wait(
        ray_waitables,
        num_returns=num_returns,
        timeout=seconds_of(timeout),
        fetch_local=fetch_local,
    )
