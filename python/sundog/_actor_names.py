"""Named actors, and what ends an actor."""

from __future__ import annotations

from sundog import _actor, _actor_class, _actor_options, _core
from sundog._core import public
from sundog.exceptions import ActorAlreadyExistsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from sundog._actor import ActorHandle


def from_descriptor(
    ref: _core.ObjectRef[Any], descriptor: _core.ObjectRef[Any]
) -> ActorHandle[Any]:
    """The handle of an actor that was found by name."""
    packed, defaults = _core.get(descriptor)
    return _actor.ActorHandle(ref, _actor_class.known_as(packed), defaults)


def use_taken(
    handle: ActorHandle[Any],
    class_name: str,
    options: _actor_options.ActorOptions,
) -> ActorHandle[Any]:
    """The actor that has the name, if that is what was asked for."""
    if options.get_if_exists:
        return handle
    raise ActorAlreadyExistsError(
        f"the name '{options.name}' is taken by {handle!r}: use sundog.get_actor('{options.name}'),"
        f" {class_name}.options(name='{options.name}', get_if_exists=True), or another name"
    )


@public
def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """The actor of this name.

    Args:
        name: as given by ``options(name=...)``.
        namespace: where the name is; None is that of ``init(namespace=...)``.

    Returns:
        A handle, as ``Class.remote`` returned it.

    Raises:
        ValueError: there is no such actor; it says which names there are.
        TypeError: the name is not a string.
    """
    if _actor_options.checked_name(name) is None:
        raise TypeError(f"get_actor() takes the name of an actor, got {name!r}")
    space = _actor_options.checked_namespace(namespace)
    if _actor.local is not None:
        here = _actor.local.find(space, name)
        if here is None:
            raise ValueError(no_such_name(name, space))
        return _actor.local.handle(here)
    found = _core.find_name(space or "", name)
    if found is None:
        raise ValueError(no_such_name(name, space))
    return from_descriptor(*found)


def no_such_name(name: str, space: str | None) -> str:
    """Says which names there are instead."""
    from sundog import _state
    from sundog._options import did_you_mean

    session = _state.need_session("get_actor")
    here = space if space is not None else session.info()["namespace"]
    names = named_actors(session)
    near = [n["name"] for n in names if n["namespace"] == here]
    far = [n["namespace"] for n in names if n["name"] == name]
    text = f"no actor is named '{name}' in namespace '{here}'"
    if far:
        return f"{text}; there is one in namespace '{far[0]}': get_actor('{name}', '{far[0]}')"
    hint = did_you_mean(name, near)
    if hint or not near:
        return text + (hint or "; nor is any other")
    return f"{text}; there are {', '.join(repr(n) for n in sorted(near)[:5])}"


def named_actors(session: _core.Session) -> list[dict[str, str]]:
    """``[{"namespace": ..., "name": ...}]``."""
    if _actor.local is not None:
        return _actor.local.names()
    import json

    from sundog import _explain

    told: list[dict[str, str]] = json.loads(session.query(_explain.NAMES))
    return told


@public
def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of actors that live.

    Args:
        all_namespaces: False lists names of this namespace, as strings; True those of all, as
            dictionaries with "name" and "namespace".

    Raises:
        RuntimeError: there is no session.
    """
    from sundog import _state

    session = _state.need_session("list_named_actors")
    names = named_actors(session)
    if all_namespaces:
        return [{"name": n["name"], "namespace": n["namespace"]} for n in names]
    here = session.info()["namespace"]
    return [n["name"] for n in names if n["namespace"] == here]


@public
def kill(actor: ActorHandle[Any], *, no_restart: bool = True) -> None:
    """Ends an actor at once: its process is killed, its calls fail with ActorDiedError.

    Args:
        actor: its handle.
        no_restart: False lets it come back if it has restarts left.

    Raises:
        TypeError: not a handle of an actor.
        ObjectLostError: the handle belongs to another session.
    """
    given: object = actor
    if not isinstance(given, _actor.ActorHandle):
        from sundog import _errors

        what = f"{_errors.type_name(given)}: {_errors.short_repr(given)}"
        raise TypeError(f"kill() takes the handle of an actor, got {what}")
    if _actor.local is not None and _actor.local.kill(actor, no_restart):
        return
    _core.kill_actor(actor._sundog_ref, actor, no_restart)


@public
def exit_actor() -> NoReturn:
    """Ends the actor that calls it, for good: the call that runs results in None.

    Calls behind it fail with ActorDiedError.

    Raises:
        TypeError: this process is no actor.
    """
    if _actor.current() is None:
        raise TypeError("exit_actor() is for methods of actors: this process is none")
    raise _core.ActorExit


def current_handle() -> ActorHandle[Any] | None:
    """A handle of the actor that this process is; None if it is none."""
    told = _actor.current()
    if told is None:
        return None
    ref, packed = _core.ref_from_binary(told[0]), _actor_class.describe(told[1]).packed
    return _actor.rebuild_handle(ref, packed, (0, -1))
