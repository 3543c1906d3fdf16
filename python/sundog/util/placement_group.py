"""Placement groups: resources that are reserved together, in bundles, for the tasks and actors that
name the group. Ray's names; what each does is in docs/guide/resources-and-gpus.md."""

from __future__ import annotations

from sundog import _core, _groups, _ids
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = [
    "PlacementGroup",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]

BUNDLES_IN_VALUE_MAX = 64  # with more, what ready() shows asks the session for them


class PlacementGroup:
    """A handle of a placement group; a value like any other, it can be passed on."""

    __slots__ = ("_bundles", "_ready", "id")

    def __init__(self, id: _ids.PlacementGroupID, bundle_cache: object = None) -> None:
        """Use ``placement_group``."""
        self.id = id
        self._bundles: list[dict[str, float]] | None = bundle_cache  # type: ignore[assignment]
        self._ready: _core.ObjectRef[PlacementGroup] | None = None

    @staticmethod
    def empty() -> PlacementGroup:
        """A handle of no group."""
        return PlacementGroup(_ids.PlacementGroupID(bytes(16)), [])

    @property
    def is_empty(self) -> bool:
        """Whether it is a handle of no group."""
        return self.id.is_nil()

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle has; memory in bytes. None of it for a group that is gone."""
        if self._bundles is None:
            told = _groups.ask(f"id {self.id.hex()}")
            self._bundles = told[0]["bundles"] if told else []
        return [dict(bundle) for bundle in self._bundles]

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def ready(self) -> _core.ObjectRef[PlacementGroup]:
        """A reference whose value, this group, is there when all bundles are reserved.

        ``get`` raises GetTimeoutError, with the reason, while they are not, and
        TaskPlacementGroupRemoved if the group was removed before.
        """
        if self._ready is None:
            self._ready = _core.ObjectRef.from_hex(self.id.hex() + "00000000")
        return self._ready

    @public
    def wait(self, timeout_seconds: float = 30) -> bool:
        """Waits until the group is ready.

        Args:
            timeout_seconds: at most so long.

        Returns:
            Whether it is ready. If not, a warning says what it waits for.

        Raises:
            RuntimeError: there is no session.
        """
        return _groups.wait(self, timeout_seconds)

    def __eq__(self, other: object) -> bool:
        """The same group."""
        return isinstance(other, PlacementGroup) and other.id == self.id

    def __hash__(self) -> int:
        """Of the id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """With the id."""
        return f"PlacementGroup({self.id.hex()})"

    def __reduce__(self) -> tuple[object, ...]:
        """By id and bundles."""
        bundles = self._bundles
        if bundles is not None and len(bundles) > BUNDLES_IN_VALUE_MAX:
            bundles = None
        return PlacementGroup, (self.id, bundles)


@public
def placement_group(
    bundles: Sequence[Mapping[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: Sequence[Mapping[str, str]] | None = None,
) -> PlacementGroup:
    """Reserves resources, all bundles together or none yet; returns at once.

    Args:
        bundles: one dictionary of resources each, ``{"CPU": 2, "GPU": 1}``; memory in bytes.
        strategy: "PACK" (the default), "SPREAD", "STRICT_PACK" or "STRICT_SPREAD". On one machine
            the first three are the same, and the last is possible for one bundle only.
        name: to find it with ``get_placement_group``; unique in the namespace.
        lifetime: None: until its job ends; "detached": until it is removed.
        _soft_target_node_id: has no meaning here: there is one node, and another would do.
        bundle_label_selector: for each bundle, as ``label_selector`` of a task, which labels its
            node has. A group of which this node does not match one waits.

    Returns:
        A handle. ``ready()`` and ``wait()`` tell when the resources are there.

    Raises:
        ValueError: an argument that makes no sense, or a name that is taken.
        TypeError: an argument of a wrong type.
        RuntimeError: there is no session and none can be started.
    """
    if _soft_target_node_id is not None and not isinstance(_soft_target_node_id, str):
        raise TypeError(f"_soft_target_node_id is a node's id, got {_soft_target_node_id!r}")
    amounts = _groups.checked_bundles(bundles)
    selectors = _groups.checked_selectors(bundle_label_selector, len(amounts))
    number = _groups.checked_strategy(strategy)
    if lifetime not in (None, "detached"):
        raise ValueError(f"lifetime is None or 'detached', got {lifetime!r}")
    if not isinstance(name, str):
        raise TypeError(f"name is a string, got {type(name).__name__}: {name!r}")
    _groups.check_name(name)
    id = _core.new_group_id()
    _groups.add_what_no_node_has(amounts, selectors)
    specs = [{resource: float(n) for resource, n in bundle.items() if n} for bundle in bundles]
    group = PlacementGroup(_ids.PlacementGroupID(id), specs)
    group._ready = _core.create_group(id, amounts, number, "", name, lifetime == "detached", group)
    if name and not _groups.ask(f"id {id.hex()}"):
        raise ValueError(
            f"placement group '{name}' exists: get_placement_group('{name}') gives its handle, or "
            "choose another name"
        )
    return group


@public
def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives the group's resources back. Tasks and actors that run in it are killed, those that wait
    for it fail: with TaskPlacementGroupRemoved and ActorPlacementGroupRemoved.

    Args:
        placement_group: the group; nothing happens for one that is gone.

    Raises:
        TypeError: something else is given.
    """
    _groups.checked_handle("remove_placement_group() takes a PlacementGroup", placement_group)
    _core.remove_group(placement_group.id.binary())


@public
def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of this name in the namespace of this job.

    Args:
        placement_group_name: as ``placement_group(name=...)`` was told.

    Returns:
        A handle.

    Raises:
        ValueError: there is no such group.
    """
    if not isinstance(placement_group_name, str) or not placement_group_name:
        raise ValueError(f"the name of a placement group is a string, got {placement_group_name!r}")
    told = _groups.named(placement_group_name)
    if told is None:
        raise ValueError(f"there is no placement group '{placement_group_name}' in this namespace")
    return handle_of(told)


@public
def get_current_placement_group() -> PlacementGroup | None:
    """The group that this task or actor runs in; None if it runs in none, and in a driver."""
    told = _groups.current()
    return handle_of(told[0]) if told[0] is not None else None


@public
def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What the session knows of placement groups.

    Args:
        placement_group: the one to tell of; None: all.

    Returns:
        For one a dictionary with placement_group_id, name, bundles, bundles_to_node_id, strategy,
        state ("PENDING" or "CREATED"; "REMOVED" for one that is gone) and stats; for all a
        dictionary from ids to such.
    """
    if placement_group is None:
        return {told["id"]: _groups.row(told) for told in _groups.ask("")}
    _groups.checked_handle("placement_group_table() takes a PlacementGroup", placement_group)
    told = _groups.ask(f"id {placement_group.id.hex()}")
    return _groups.row(told[0]) if told else _groups.removed_row(placement_group.id.hex())


def handle_of(told: Mapping[str, Any]) -> PlacementGroup:
    """A handle of a group as the daemon describes it."""
    return PlacementGroup(_ids.PlacementGroupID(bytes.fromhex(told["id"])), told["bundles"])
