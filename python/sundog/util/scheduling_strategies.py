"""Where a task or actor may run: ``options(scheduling_strategy=...)``, with Ray's names."""

from __future__ import annotations

import abc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sundog.util.placement_group import PlacementGroup

__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
]


class PlacementGroupSchedulingStrategy:
    """In a placement group."""

    def __init__(
        self,
        placement_group: PlacementGroup | None,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        """Names a group.

        Args:
            placement_group: its handle; None runs outside of all, also where the submitter's group
                captures its children.
            placement_group_bundle_index: which bundle; -1: any.
            placement_group_capture_child_tasks: whether what it submits runs in the group too;
                None: as the submitter does.
        """
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """On the node with this id."""

    def __init__(
        self,
        node_id: str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        """Names a node.

        Args:
            node_id: as ``get_runtime_context().get_node_id()`` says.
            soft: True lets it run elsewhere if there is no such node.
            _spill_on_unavailable: False; True is not in this version.
            _fail_on_unavailable: False; True is not in this version.

        Raises:
            TypeError: an argument of a wrong type.
            ValueError: one that is not in this version.
        """
        if not isinstance(node_id, str):
            raise TypeError(f"node_id is a string of hex digits, got {node_id!r}")
        if not isinstance(soft, bool):
            raise TypeError(f"soft is True or False, got {soft!r}")
        if _spill_on_unavailable or _fail_on_unavailable:
            raise ValueError(
                "_spill_on_unavailable and _fail_on_unavailable are not in this version: a task "
                "waits until its node has room"
            )
        self.node_id = node_id
        self.soft = soft


class _LabelMatchOperator(abc.ABC):
    """What a node's label has to be."""

    def __init__(self, *values: str) -> None:
        for value in values:
            if not isinstance(value, str):
                raise TypeError(f"a label's value is a string, got {value!r}")
        self.values = values

    @abc.abstractmethod
    def matches(self, value: str | None) -> bool:
        """Whether a node with this value of the label, None if it has none, will do."""

    def __repr__(self) -> str:
        """``In('a', 'b')``."""
        return f"{type(self).__name__}({', '.join(repr(v) for v in self.values)})"


class In(_LabelMatchOperator):
    """One of these."""

    def matches(self, value: str | None) -> bool:
        """Whether it is."""
        return value in self.values


class NotIn(_LabelMatchOperator):
    """None of these."""

    def matches(self, value: str | None) -> bool:
        """Whether it is not."""
        return value not in self.values


class Exists(_LabelMatchOperator):
    """Any."""

    def __init__(self) -> None:
        """Has no values."""
        super().__init__()

    def matches(self, value: str | None) -> bool:
        """Whether there is one."""
        return value is not None


class DoesNotExist(_LabelMatchOperator):
    """None at all."""

    def __init__(self) -> None:
        """Has no values."""
        super().__init__()

    def matches(self, value: str | None) -> bool:
        """Whether there is none."""
        return value is None


class _LabelMatchExpression:
    """A label and what it has to be; a program seldom writes one itself."""

    def __init__(self, key: str, operator: _LabelMatchOperator) -> None:
        """Pairs them.

        Raises:
            TypeError: an argument of a wrong type.
        """
        if not isinstance(key, str) or not isinstance(operator, _LabelMatchOperator):
            raise TypeError(
                "_LabelMatchExpression takes a label and In, NotIn, Exists or DoesNotExist, got "
                f"{key!r}: {operator!r}"
            )
        self.key = key
        self.operator = operator


class NodeLabelSchedulingStrategy:
    """On a node whose labels are so."""

    def __init__(
        self, hard: Mapping[str, Any] | None = None, *, soft: Mapping[str, Any] | None = None
    ) -> None:
        """Names labels.

        Args:
            hard: labels to In, NotIn, Exists or DoesNotExist; the node has to match them all.
            soft: the same, but another node will do: on one node it has no effect.

        Raises:
            TypeError: an argument of a wrong type.
            ValueError: neither is given.
        """
        if not hard and not soft:
            raise ValueError("NodeLabelSchedulingStrategy: give hard or soft labels")
        for name, given in (("hard", hard), ("soft", soft)):
            for label, expression in (given or {}).items():
                if not isinstance(label, str) or not isinstance(expression, _LabelMatchOperator):
                    raise TypeError(
                        f"{name} is a dictionary of labels to In, NotIn, Exists or DoesNotExist, "
                        f"got {label!r}: {expression!r}"
                    )
        self.hard = dict(hard or {})
        self.soft = dict(soft or {})
