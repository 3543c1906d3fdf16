"""Hints for the person at the driver: things that work, but slowly."""

from __future__ import annotations

import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sundog._signature import Callee

LARGE_BYTES = 1 << 20
SENT_BEFORE_HINT = 3
# References to an argument that nobody keeps: the call's, ours and getrefcount's.
REFERENCES_TO_A_TEMPORARY = 3


def mark_of(value: object) -> object:
    """Something to recognize the value by without keeping it alive; None if it cannot be."""
    try:
        return weakref.ref(value)
    except TypeError:
        # A temporary's address would be the next temporary's.
        kept = sys.getrefcount(value) - 1 > REFERENCES_TO_A_TEMPORARY
        return id(value) if kept else None


def missing_gpu(task: str) -> str:
    """What to add to an error that speaks of CUDA where torch finds no GPU; "" if it finds one."""
    from sundog import _core

    torch = sys.modules.get("torch")
    session = _core.current_session()
    if torch is None or session is None or torch.cuda.is_available():
        return ""
    return (
        f"\n  (torch finds no GPU in this worker; {task}.options(num_gpus=1) asks for one, and "
        f"this session has {session.info()['num_gpus']})"
    )


def note_large_argument(function: Callee, value: object, size: int) -> None:
    """Counts large arguments; says once a function that sundog.put would send one copy."""
    code = function._code
    if size < LARGE_BYTES or code.hinted:
        return
    mark = mark_of(value)
    last, count = code.last_large
    count = count + 1 if is_same(last, mark, value) else 1
    code.last_large = (mark, count)
    if count < SENT_BEFORE_HINT:
        return
    code.hinted = True
    from sundog import _log, _signature

    name = _signature.title(function)
    _log.warning(
        f"the same {size / 1e6:.0f} MB {type(value).__name__} was copied into the object store for "
        f"{count} calls of {name}() in a row. Put it once and pass the reference: "
        f"ref = sundog.put(...); {name}.remote(ref)"
    )


def is_same(last: object, mark: object, value: object) -> bool:
    """Whether the last mark is of this very value."""
    if isinstance(last, weakref.ref):
        return last() is value
    return last is not None and last == mark
