"""``log_once`` and its switches, and the address of this machine: small things of Ray's."""

from __future__ import annotations

import time

from sundog._core import public

PERIOD_SECONDS = 60.0

_seen: set[str] = set()
_disabled = False
_periodic = False
_last_period = 0.0


def log_once(key: str) -> bool:
    """Whether this process asks for the first time: ``if log_once("slow"): logger.warning(…)``.

    After ``enable_periodic_logging`` every key begins anew each 60 seconds.
    """
    global _last_period
    if _disabled:
        return False
    if key not in _seen:
        _seen.add(key)
        _last_period = _last_period or time.monotonic()
        return True
    if _periodic and time.monotonic() - _last_period > PERIOD_SECONDS:
        _seen.clear()
        _seen.add(key)
        _last_period = time.monotonic()
        return True
    return False


def disable_log_once_globally() -> None:
    """From now on ``log_once`` is False in this process."""
    global _disabled
    _disabled = True


def enable_periodic_logging() -> None:
    """From now on ``log_once`` is True again for a key when 60 seconds have passed."""
    global _disabled, _periodic
    _disabled = False
    _periodic = True


@public
def get_node_ip_address(address: str | None = None) -> str:
    """The address of this machine for other processes.

    Args:
        address: ``host:port`` of whom it is for; None: for processes of this machine, on which a
            session lives: 127.0.0.1.

    Raises:
        ValueError: an address without a port.
        OSError: there is no route to it.
    """
    if address is None:
        return "127.0.0.1"
    import socket

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"address is 'host:port', got {address!r}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))  # sends nothing: it only chooses the way
        found: str = probe.getsockname()[0]
        return found
