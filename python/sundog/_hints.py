"""Hints for the person at the driver: things that work, but slowly."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sundog._function import RemoteFunction

LARGE_BYTES = 1 << 20
SENT_BEFORE_HINT = 3

# For each function: the large argument it was last called with (by identity) and how often.
_last_sent: dict[int, tuple[int, int, int]] = {}
_hinted: set[int] = set()


def note_large_argument(function: RemoteFunction, value: object, size: int) -> None:
    """Counts large arguments; says once a function that sundog.put would send one copy."""
    key = id(function._code)
    if size < LARGE_BYTES or key in _hinted:
        return
    identity, count, _ = _last_sent.get(key, (0, 0, 0))
    count = count + 1 if identity == id(value) else 1
    _last_sent[key] = (id(value), count, size)
    if count < SENT_BEFORE_HINT:
        return
    _hinted.add(key)
    from sundog import _log

    _log.warning(
        f"the same {size / 1e6:.0f} MB {type(value).__name__} was copied into the object store for "
        f"{count} calls of {function.__name__}(). Put it once and pass the reference: "
        f"ref = sundog.put(...); {function.__name__}.remote(ref)"
    )
