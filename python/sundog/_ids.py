"""Ids that tell apart, and nothing else."""

from __future__ import annotations


class BaseID:
    """Some bytes that name something."""

    __slots__ = ("_bytes",)

    def __init__(self, id: bytes) -> None:
        """Takes the id's bytes."""
        self._bytes = bytes(id)

    def binary(self) -> bytes:
        """The id as bytes."""
        return self._bytes

    def hex(self) -> str:
        """The id as hex digits."""
        return self._bytes.hex()

    def is_nil(self) -> bool:
        """Whether it names nothing."""
        return not any(self._bytes)

    def __eq__(self, other: object) -> bool:
        """Equal bytes of the same kind."""
        return type(other) is type(self) and other._bytes == self._bytes

    def __hash__(self) -> int:
        """Of the bytes."""
        return hash(self._bytes)

    def __repr__(self) -> str:
        """``TaskID(40 hex digits)``."""
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[object, ...]:
        """By its bytes."""
        return type(self), (self._bytes,)


class TaskID(BaseID):
    """A task; 16 bytes."""

    __slots__ = ()


class ActorID(BaseID):
    """An actor; 20 bytes, those of the ObjectRef that its handles hold."""

    __slots__ = ()


class PlacementGroupID(BaseID):
    """A placement group; 16 bytes."""

    __slots__ = ()


class JobID(BaseID):
    """A driver's run; 4 bytes."""

    __slots__ = ()


class NodeID(BaseID):
    """A machine of the session; 16 bytes."""

    __slots__ = ()


class WorkerID(BaseID):
    """A process of the session."""

    __slots__ = ()
