"""torch tensors and modules as values: each storage is one out-of-band buffer.

Used only in a process that has imported torch, or that reads a value with tensors in it; Sundog
itself never imports torch. A tensor is pickled as a description of itself and the bytes of its
storage, a second one on the same storage refers to the first: tied weights stay tied, views stay
views. Of a storage that is used only in part, the part that tensors of the value cover is sent. A
tensor of a class with a way of its own to be pickled keeps that way; the storages inside it travel
like the others. What arrives lies in a private mapping of its own for each ``get``: reading copies
nothing, and a write stays with the reader.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from typing import Any, NamedTuple

import torch
from torch.nn import Parameter

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Reducer = Callable[[Any], tuple[Callable[..., Any], tuple[Any, ...]]]

PROTOCOL = 5
# Where a trimmed storage begins is a multiple of this, so that elements stay aligned.
ALIGNMENT = 64
BYTES_OF_START = 8

# The public function looks first whether it was given a capsule, which costs as much again.
_from_dlpack = getattr(torch._C, "_from_dlpack", torch.utils.dlpack.from_dlpack)
_has_names = getattr(torch.Tensor, "has_names", None)  # newer versions have no named tensors
# Dtypes that every torch takes by DLPack: the protocol's code * 256 + bits of an element.
_KINDS = {
    torch.int8: 0x008,
    torch.int16: 0x010,
    torch.int32: 0x020,
    torch.int64: 0x040,
    torch.uint8: 0x108,
    torch.float16: 0x210,
    torch.float32: 0x220,
    torch.float64: 0x240,
    torch.bfloat16: 0x410,
    torch.complex64: 0x540,
    torch.complex128: 0x580,
}
# Cloudpickle's class has an attribute of this name, which an assignment would hide, not replace.
_set_dispatch_table = pickle.Pickler.__dict__["dispatch_table"].__set__


def _storage_of(tensor: Any) -> Any:
    """The bytes below a tensor, whatever its dtype."""
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage()
    return tensor.storage().untyped()  # before torch 2.0


# ---------------------------------------------------------------- sending


class _Part:
    """Of a storage that no tensor covers as a whole: from where to where tensors of this value do.

    The pickle stream is written before the last tensor is seen, so it refers to a small buffer in
    which the start is noted at the end.
    """

    def __init__(self, owner: Any, address: int) -> None:
        self.owner = owner
        self.address = address
        self.begin, self.end = 1 << 62, 0
        self.noted_start = bytearray(BYTES_OF_START)

    def cover(self, begin: int, end: int) -> None:
        self.begin = min(self.begin, begin // ALIGNMENT * ALIGNMENT)
        self.end = max(self.end, end)

    def memory(self) -> pickle.PickleBuffer:
        self.noted_start[:] = self.begin.to_bytes(BYTES_OF_START, "little")
        size = max(self.end - self.begin, 0)
        return pickle.PickleBuffer(
            _core.foreign_memory(self.owner, self.address + self.begin, size)
        )


class _Known(NamedTuple):
    """A storage that is in the stream already."""

    tensor: Any  # the first that was pickled on it; later ones refer to it
    part: _Part | None


class _Sender:
    """The reducers of one pickling; holds every storage that it has described."""

    def __init__(self, buffers: list[pickle.PickleBuffer]) -> None:
        self._buffers = buffers
        self._known: dict[tuple[int, int], _Known] = {}
        self._parts: dict[int, _Part] = {}  # by id() of the buffer that stands for it
        self._on_host: dict[tuple[str, int], Any] = {}

    def table(self, others: dict[Any, Any]) -> dict[Any, Any]:
        """A pickler's dispatch table: these types, and what the program registered itself."""
        return {
            **others,
            torch.Tensor: self._tensor,
            Parameter: self._tensor,
            torch.storage.TypedStorage: self._typed_storage,
            torch.storage.UntypedStorage: self._untyped_storage,
        }

    def settle_parts(self) -> None:
        """Puts the memory of partly used storages where their places were kept."""
        if self._parts:
            self._buffers[:] = [
                self._parts[id(b)].memory() if id(b) in self._parts else b for b in self._buffers
            ]

    def _tensor(self, tensor: Any) -> Any:
        reduced = self._described(tensor)
        attributes = tensor.__dict__
        if not attributes or reduced[0] not in _REBUILDERS:
            return reduced
        # Set when the tensor is known to the reader, so that they may refer to it.
        return (*reduced, attributes, None, None, set_attributes)

    def _described(self, tensor: Any) -> Any:
        if (
            tensor.layout is not torch.strided
            or getattr(tensor, "is_quantized", False)
            or tensor.device.type not in ("cpu", "cuda")
            or tensor.is_nested
            or (_has_names is not None and _has_names(tensor))
        ):
            return tensor.__reduce_ex__(PROTOCOL)
        torch.utils.hooks.warn_if_has_hooks(tensor)
        plain = tensor
        if tensor.is_conj() or tensor.is_neg():  # a flag of the tensor; its storage knows nothing
            plain = tensor.detach().resolve_conj().resolve_neg()
        storage = self._host_storage(_storage_of(plain))
        size, stride, offset = tuple(plain.shape), plain.stride(), plain.storage_offset()
        is_parameter = type(tensor) is Parameter
        shape = (tensor.dtype, offset, size, stride, tensor.requires_grad, is_parameter)
        num_bytes = storage.nbytes()
        if num_bytes == 0:
            return rebuild_tensor, (None, None, *shape)
        begin, end = _covered(size, stride, offset, tensor.element_size())
        key = (storage.data_ptr(), num_bytes)
        known = self._known.get(key)
        if known is not None:
            if known.part is not None:
                known.part.cover(begin, end)
            return rebuild_view, (known.tensor, _start_of(known.part), *shape)
        whole = begin == 0 and end == num_bytes
        buffer, part = self._describe(storage, key, tensor, whole)
        if part is not None:
            part.cover(begin, end)
        return rebuild_tensor, (buffer, _start_of(part), *shape)

    def _describe(
        self, storage: Any, key: tuple[int, int], tensor: Any, whole: bool
    ) -> tuple[pickle.PickleBuffer, _Part | None]:
        address, num_bytes = key
        if whole:
            self._known[key] = _Known(tensor, None)
            return pickle.PickleBuffer(_core.foreign_memory(storage, address, num_bytes)), None
        part = _Part(storage, address)
        self._known[key] = _Known(tensor, part)
        place = pickle.PickleBuffer(bytearray(1))
        self._parts[id(place)] = part
        return place, part

    def _host_storage(self, storage: Any) -> Any:
        """A storage of the CPU's memory: the given one, or a copy of one that lies on a device."""
        if storage.device.type == "cpu":
            return storage
        key = (str(storage.device), storage.data_ptr())
        if key not in self._on_host:
            there = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
            self._on_host[key] = (there.cpu(), there)  # `there` keeps the address taken
        return _storage_of(self._on_host[key][0])

    def _typed_storage(self, storage: Any) -> Any:
        untyped = getattr(storage, "_untyped_storage", None)
        if untyped is None:
            untyped = storage.untyped()  # before torch 2.0
        return rebuild_storage, (self._bytes_of(untyped), storage.dtype)

    def _untyped_storage(self, storage: Any) -> Any:
        return rebuild_storage, (self._bytes_of(storage), None)

    def _bytes_of(self, storage: Any) -> Any:
        """A tensor that stands for the whole storage in the stream."""
        storage = self._host_storage(storage)
        known = self._known.get((storage.data_ptr(), storage.nbytes()))
        if known is None:
            return torch.empty(0, dtype=torch.uint8).set_(storage)
        if known.part is not None:
            known.part.cover(0, storage.nbytes())
        return known.tensor


def _start_of(part: _Part | None) -> pickle.PickleBuffer | None:
    return None if part is None else pickle.PickleBuffer(part.noted_start)


def _covered(
    size: tuple[int, ...], stride: tuple[int, ...], offset: int, item_bytes: int
) -> tuple[int, int]:
    """First and behind the last byte of its storage that a tensor reaches."""
    if 0 in size:
        return 0, 0
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    return offset * item_bytes, (last + 1) * item_bytes


def by_reference(value: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    """A stream that names classes and functions; out-of-band buffers are appended.

    Raises what the pickler raises for a value that cannot be pickled.
    """
    sender = _Sender(buffers)
    out = io.BytesIO()
    pickler = pickle.Pickler(out, PROTOCOL, buffer_callback=buffers.append)
    pickler.dispatch_table = sender.table(copyreg.dispatch_table)
    pickler.dump(value)
    sender.settle_parts()
    return out.getvalue()


def by_value(value: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    """The same with the code of what another process cannot import."""
    from sundog import _cloudpickle

    sender = _Sender(buffers)
    out = io.BytesIO()
    pickler = _cloudpickle.Pickler(out, PROTOCOL, buffer_callback=buffers.append)
    _set_dispatch_table(pickler, sender.table(dict(pickler.dispatch_table)))
    pickler.dump(value)
    sender.settle_parts()
    return out.getvalue()


# ---------------------------------------------------------------- receiving


def rebuild_tensor(
    buffer: Any,
    start: Any,
    dtype: Any,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    is_parameter: bool,
) -> Any:
    """The first tensor on a storage.

    buffer: the storage's bytes, None if it has none.
    start: where in the sender's storage they begin, 8 bytes; None if at its start.
    offset, size, stride: in elements, of the sender's storage.
    """
    if buffer is None:
        tensor = torch.empty_strided(size, stride, dtype=dtype)
    else:
        kind = _KINDS.get(dtype) if offset == 0 and start is None else None
        memory = None if kind is None else _core.tensor_memory(buffer, kind, size, stride)
        if memory is not None:
            tensor = _from_dlpack(memory)
        else:
            tensor = _over_part(buffer, start, dtype, offset, size, stride)
    return _as_sent(tensor, requires_grad, is_parameter)


def _over_part(
    buffer: Any,
    start: Any,
    dtype: Any,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
) -> Any:
    """The long way to a tensor: one of any dtype and any part of the storage."""
    memory = _core.own_memory(buffer)
    try:
        tensor = torch.frombuffer(memory, dtype=dtype)
    except ValueError:  # the storage is no whole number of elements
        tensor = torch.empty(0, dtype=dtype)
        tensor.set_(_storage_of(torch.frombuffer(memory, dtype=torch.uint8)), 0, (0,), (1,))
    return tensor.set_(tensor, offset - _elements_before(start, tensor), size, stride)


def rebuild_view(
    first: Any,
    start: Any,
    dtype: Any,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    is_parameter: bool,
) -> Any:
    """Another tensor on the storage of `first`; the others as in rebuild_tensor."""
    tensor = torch.empty(0, dtype=dtype)
    tensor.set_(_storage_of(first), offset - _elements_before(start, tensor), size, stride)
    return _as_sent(tensor, requires_grad, is_parameter)


def set_attributes(tensor: Any, attributes: dict[str, Any]) -> None:
    """What the sender's program had set on its tensor: today's transformers mark each Parameter."""
    tensor.__dict__.update(attributes)


def _elements_before(start: Any, tensor: Any) -> int:
    """Elements of the sender's storage that were not sent."""
    return 0 if start is None else int.from_bytes(start, "little") // tensor.element_size()


def _as_sent(tensor: Any, requires_grad: bool, is_parameter: bool) -> Any:
    """A Parameter if it was one, with gradients asked for if they were."""
    if is_parameter:
        # As torch's own uninitialized parameters become some: no second tensor is made.
        tensor.__class__ = Parameter
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def rebuild_storage(first: Any, dtype: Any) -> Any:
    """The storage below `first`; typed if it was."""
    untyped = _storage_of(first)
    if dtype is None:
        return untyped
    try:
        return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)
    except TypeError:  # before torch 2.0
        return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype)


_REBUILDERS = (rebuild_tensor, rebuild_view)
