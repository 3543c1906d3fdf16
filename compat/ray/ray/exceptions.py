"""Ray's names of what Sundog raises, and those that nothing here raises yet.

A name with "Ray" in it is Sundog's name without. The classes below exist so that an ``except`` of a
program that names them is valid; each says why it is never raised.
"""

from ray import _absent
from sundog.exceptions import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorError,
    ActorPlacementGroupRemoved,
    ActorUnavailableError,
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfMemoryError,
    PendingCallsLimitExceeded,
    RuntimeEnvSetupError,
    SundogError,
    SystemError,
    TaskCancelledError,
    TaskError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    WorkerCrashedError,
)

RayError = SundogError
RayTaskError = TaskError
RayActorError = ActorError
RaySystemError = SystemError
LocalRayletDiedError = NodeDiedError


class ActorHandleNotFoundError(ValueError):
    """An actor's handle is unknown: Sundog raises ActorDiedError with the reason."""


class ActorUnschedulableError(RayError):
    """An actor can never be placed: Sundog raises TaskUnschedulableError."""


class AsyncioActorExit(RayError):
    """What ``exit_actor`` raises in Ray's asynchronous actors: here nothing that can be caught."""


class AuthenticationError(RayError):
    """Nothing listens on a network in this version."""


class ObjectFetchTimedOutError(ObjectLostError):
    """Objects are not fetched from other machines in this version."""


class ObjectFreedError(ObjectLostError):
    """Objects are not freed by hand: they live as long as something refers to them."""


class ObjectReconstructionFailedError(ObjectLostError):
    """On one machine an object is not lost while its session lives."""


class ObjectRefStreamEndOfStreamError(RayError):
    """A generator of references ends by StopIteration."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference may be pickled by hand: the session keeps its object to the job's end."""


class OutOfDiskError(RayError):
    """Nothing is spilled to disk in this version."""


class OwnerDiedError(ObjectLostError):
    """The node's daemon owns every object, so that none is lost with a worker."""


class PlasmaObjectNotAvailable(RayError):
    """There is no Plasma: ObjectLostError is raised."""


class ReferenceCountingAssertionError(ObjectLostError):
    """A wrong count ends the daemon, and NodeDiedError says so."""


class RpcError(RayError):
    """There are no remote procedure calls between processes of one machine."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator that is tried again adds to the items that are there; those stay as they are."""


class UnserializableException(RayError):
    """An exception that cannot be pickled arrives as a TaskError with its text."""


class UserCodeException(RayError):
    """What a program's own code raises arrives as a TaskError."""


__getattr__ = _absent.attribute_of("ray.exceptions")

__all__ = [
    "ActorAlreadyExistsError",
    "ActorDiedError",
    "ActorHandleNotFoundError",
    "ActorPlacementGroupRemoved",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AsyncioActorExit",
    "AuthenticationError",
    "GetTimeoutError",
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectFetchTimedOutError",
    "ObjectFreedError",
    "ObjectLostError",
    "ObjectReconstructionFailedError",
    "ObjectRefStreamEndOfStreamError",
    "ObjectStoreFullError",
    "OufOfBandObjectRefSerializationException",
    "OutOfDiskError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PendingCallsLimitExceeded",
    "PlasmaObjectNotAvailable",
    "RayActorError",
    "RayError",
    "RaySystemError",
    "RayTaskError",
    "ReferenceCountingAssertionError",
    "RpcError",
    "RuntimeEnvSetupError",
    "StreamingGeneratorReplayInconsistentError",
    "TaskCancelledError",
    "TaskPlacementGroupRemoved",
    "TaskUnschedulableError",
    "UnserializableException",
    "UserCodeException",
    "WorkerCrashedError",
]
