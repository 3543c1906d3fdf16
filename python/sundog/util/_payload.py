"""What pools and executors send: a call as bytes, with its large arrays as objects beside it.

The receiver owns what it gets, as with `multiprocessing`: arrays may be written. Small ones are
copied, large ones are copy-on-write views. Functions travel as bytes of their own, so that a worker
unpickles each once. Nothing here knows of pools; any thread may call.
"""

from __future__ import annotations

import io
import pickle
import sys
import threading
from collections import OrderedDict

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Refs: TypeAlias = list[_core.ObjectRef[Any]]
    Stored: TypeAlias = dict[int, tuple[Any, _core.ObjectRef[Any]]]

PROTOCOL = 5
MAIN = b"__main__"
ARRAY_BYTES_MIN = 64 << 10  # an array of this size is an object of its own
FUNCTIONS_MAX = 64  # remembered by a process

SIMPLE = frozenset({int, float, str, bytes, bool, type(None)})
SIMPLE_MAX = 16

CALL, CHUNK, STAR_CHUNK = 0, 1, 2

_loading = threading.local()
_functions: OrderedDict[bytes, Any] = OrderedDict()
_functions_lock = threading.Lock()


def load_array(number: int) -> Any:
    """A large array, out of the references that came along."""
    return _core.get(_loading.refs[number], writable=True)


class Arrays:
    """The large arrays of one pickle."""

    def __init__(self, stored: Stored | None) -> None:
        """``stored``: what was put already, kept with the array that its identity stands for."""
        self.stored = stored
        self.refs: Refs = []

    def reduce(self, value: Any) -> Any:
        """How a large array is pickled; None for anything else."""
        numpy = sys.modules.get("numpy")
        if numpy is None or type(value) is not numpy.ndarray:
            return None
        if value.nbytes < ARRAY_BYTES_MIN or value.dtype.hasobject:
            return None
        if self.stored is None:
            ref = _core.put(value)
        else:
            known = self.stored.get(id(value))
            ref = known[1] if known is not None else _core.put(value)
            self.stored[id(value)] = value, ref
        self.refs.append(ref)
        return load_array, (len(self.refs) - 1,)


class Pickler(pickle.Pickler):
    """By reference, for what a worker can import."""

    def __init__(self, file: io.BytesIO, arrays: Arrays) -> None:
        """Writes to the file."""
        super().__init__(file, PROTOCOL)
        self.arrays = arrays

    def reducer_override(self, value: Any) -> Any:
        """Large arrays are our own."""
        reduced = self.arrays.reduce(value)
        return NotImplemented if reduced is None else reduced


def by_value(value: object, arrays: Arrays) -> bytes:
    """Functions and classes of the main program travel with their code."""
    from sundog import _cloudpickle

    class ByValue(_cloudpickle.Pickler):
        """With our own way for large arrays."""

        def reducer_override(self, part: Any) -> Any:
            """Large arrays first."""
            reduced = arrays.reduce(part)
            return super().reducer_override(part) if reduced is None else reduced

    file = io.BytesIO()
    ByValue(file, PROTOCOL).dump(value)
    return file.getvalue()


def is_simple(value: object, depth: int = 3) -> bool:
    """Whether the value is a few numbers and strings, which need no pickler of ours."""
    if type(value) in SIMPLE:
        return True
    if depth and type(value) in (tuple, list):
        assert isinstance(value, (tuple, list))
        return len(value) <= SIMPLE_MAX and all(is_simple(part, depth - 1) for part in value)
    return type(value) is dict and not value


def encode(value: object, stored: Stored | None = None) -> tuple[bytes, Refs]:
    """The value as bytes, and the references that have to live until it is decoded: those of its
    large arrays first, then those that were in it."""
    if is_simple(value):
        return pickle.dumps(value, PROTOCOL), []
    arrays = Arrays(stored)

    def by_reference(value: object) -> bytes:
        file = io.BytesIO()
        Pickler(file, arrays).dump(value)
        return file.getvalue()

    try:
        pickled, inside = _core.pickle_noting_refs(by_reference, value)
    except Exception:
        pickled = MAIN
    if MAIN in pickled:
        arrays = Arrays(stored)
        pickled, inside = _core.pickle_noting_refs(lambda value: by_value(value, arrays), value)
    return pickled, arrays.refs + [_core.ref_from_binary(id) for id in inside]


def decode(pickled: bytes, refs: Refs) -> Any:
    """What was encoded."""
    before = getattr(_loading, "refs", None)
    _loading.refs = refs
    try:
        return pickle.loads(pickled)
    finally:
        _loading.refs = before


def is_plain(function: object) -> bool:
    """Whether the function is the same at every call: it may be pickled once."""
    if getattr(function, "__closure__", None):
        return False
    return type(function).__name__ in ("function", "builtin_function_or_method", "type")


class Codes:
    """Plain functions of one pool, pickled once each."""

    def __init__(self) -> None:
        """Knows none."""
        self.known: OrderedDict[int, tuple[object, bytes]] = OrderedDict()

    def code_of(self, function: Callable[..., Any]) -> bytes:
        """The function's bytes; empty if it has to travel with each call."""
        if not is_plain(function):
            return b""
        known = self.known.get(id(function))
        if known is not None:
            return known[1]
        code, refs = encode(function)
        if refs:
            return b""
        self.known[id(function)] = function, code
        if len(self.known) > FUNCTIONS_MAX:
            self.known.popitem(last=False)
        return code


def function_of(code: bytes) -> Callable[..., Any]:
    """The function that these bytes are, in a worker."""
    with _functions_lock:
        if code in _functions:
            _functions.move_to_end(code)
        else:
            _functions[code] = pickle.loads(code)
            if len(_functions) > FUNCTIONS_MAX:
                _functions.popitem(last=False)
        function: Callable[..., Any] = _functions[code]
        return function


def run(code: bytes, mode: int, payload: bytes, refs: Refs) -> Any:
    """One call or one chunk, in a worker."""
    sent = decode(payload, refs)
    if code:
        function = function_of(code)
    else:
        function, sent = sent
    if mode == CALL:
        args, kwargs = sent
        return function(*args, **kwargs)
    if mode == CHUNK:
        return [function(item) for item in sent]
    return [function(*item) for item in sent]
