"""``scheduling_strategy`` and ``label_selector``: checked, and what they ask of this node.

A session has one node. What it does not match travels as a resource that no node has, so that it
waits and is told like any other that is missing. What may run on another node only fails.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sundog import _core, _groups
    from sundog.util import scheduling_strategies

UNIT = 10_000  # of a resource
NODE_ID = "ray.io/node-id"
FILE = "labels.json"  # in the session's folder
ONLY_ON_NODE = "only on node "  # model/resources.h
NAMED = ("DEFAULT", "SPREAD")  # on one node they are the same

_labels: dict[str, dict[str, str]] = {}  # by the session's folder


class Placement:
    """Where the calls of a function, or the actors of a class, may run."""

    __slots__ = ("asked", "fallbacks", "labels", "node", "soft")

    def __init__(self, given: Mapping[str, object]) -> None:
        """Takes both options.

        Raises ValueError or TypeError that names the option.
        """
        self.node = ""
        self.soft = True
        self.labels: list[tuple[str, scheduling_strategies._LabelMatchOperator]] = []
        strategy, selector = given.get("scheduling_strategy"), given.get("label_selector")
        self.fallbacks = checked_fallbacks(given.get("fallback_strategy"))
        self.asked = self.groups_asked(given, strategy)
        if strategy is not None:
            self.take_strategy(strategy)
        if selector is not None:
            self.labels += sorted(checked_selector(selector).items(), key=lambda item: item[0])

    @staticmethod
    def groups_asked(given: Mapping[str, object], strategy: object) -> _groups.Asked:
        """Of placement groups, in either way."""
        from sundog import _groups
        from sundog.util import scheduling_strategies

        group = given.get("placement_group", "default")
        bundle = given.get("placement_group_bundle_index")
        captures = given.get("placement_group_capture_child_tasks")
        if isinstance(strategy, scheduling_strategies.PlacementGroupSchedulingStrategy):
            if group != "default" or bundle not in (None, -1) or captures is not None:
                raise ValueError(
                    "give the placement group once: scheduling_strategy="
                    "PlacementGroupSchedulingStrategy(...) or placement_group=..., not both"
                )
            group = strategy.placement_group
            bundle = strategy.placement_group_bundle_index
            captures = strategy.placement_group_capture_child_tasks
        elif strategy is not None:
            if group not in ("default", None):
                raise ValueError(
                    "placement_group= and scheduling_strategy= exclude each other: leave one out"
                )
            group = None  # another strategy: not where its parent runs
        return _groups.Asked(group, bundle, captures)

    def take_strategy(self, strategy: object) -> None:
        """One that is given."""
        if isinstance(strategy, str):
            if strategy not in NAMED:
                raise ValueError(f"scheduling_strategy is one of {NAMED}, got {strategy!r}")
            return
        from sundog.util import scheduling_strategies

        if isinstance(strategy, scheduling_strategies.NodeAffinitySchedulingStrategy):
            self.node, self.soft = strategy.node_id, strategy.soft
        elif isinstance(strategy, scheduling_strategies.NodeLabelSchedulingStrategy):
            self.labels += sorted(strategy.hard.items(), key=lambda item: item[0])
        elif not isinstance(strategy, scheduling_strategies.PlacementGroupSchedulingStrategy):
            raise TypeError(
                "scheduling_strategy is 'DEFAULT', 'SPREAD', a NodeAffinitySchedulingStrategy, a "
                "NodeLabelSchedulingStrategy or a PlacementGroupSchedulingStrategy, got "
                f"{strategy!r}"
            )

    def key(self) -> tuple[object, ...]:
        """What the daemon distinguishes."""
        labels = tuple((name, repr(wanted)) for name, wanted in self.labels)
        return self.node, self.soft, labels, repr(self.fallbacks), self.asked.key()

    def missing(self, session: _core.Session) -> dict[str, int]:
        """Resources that stand for what this session's node is not; none if it will do."""
        if not self.labels and (self.soft or not self.node):
            return {}
        own = str(session.info()["node"])
        asked = {}
        if self.node not in ("", own) and not self.soft:
            asked[f"{ONLY_ON_NODE}{self.node}"] = UNIT
        labels = labels_of(session)
        if any(
            all(wanted.matches(labels.get(name)) for name, wanted in fallback.items())
            for fallback in self.fallbacks
        ):
            return asked
        for name, wanted in self.labels:
            if not wanted.matches(labels.get(name)):
                asked[f"node with label {name} {wanted!r}"] = UNIT
        return asked


def labels_of(session: _core.Session) -> dict[str, str]:
    """The labels of the session's node."""
    info = session.info()
    return read(str(info["session_dir"])) | {NODE_ID: str(info["node"])}


def read(folder: str) -> dict[str, str]:
    """The labels that ``init`` gave the session of this folder."""
    if folder not in _labels:
        import json

        try:
            with open(os.path.join(folder, FILE), encoding="utf-8") as file:
                _labels[folder] = json.load(file)
        except FileNotFoundError:
            _labels[folder] = {}
    return _labels[folder]


def write(folder: str, labels: Mapping[str, str]) -> None:
    """Keeps the labels with the session, where each of its processes finds them."""
    import json

    with open(os.path.join(folder, FILE), "w", encoding="utf-8") as file:
        json.dump(dict(labels), file)


def checked_labels(given: object) -> dict[str, str]:
    """``init``'s ``labels``.

    Raises TypeError or ValueError that names the label.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TypeError(f"init(): labels is a dictionary of texts, {{'zone': 'a'}}, got {given!r}")
    for label, value in given.items():
        if not isinstance(label, str) or not isinstance(value, str):
            raise TypeError(f"init(): labels are texts with texts, got {label!r}: {value!r}")
        if not label or label == NODE_ID:
            raise ValueError(f"init(): the label {label!r} is not yours to give: choose another")
        if value.startswith("!") or any(sign in value for sign in "(),"):
            raise ValueError(
                f"init(): the label {label!r} has the value {value!r}, which no label_selector "
                "could name: leave out '!', commas and brackets"
            )
    return dict(given)


def checked_fallbacks(
    given: object,
) -> list[dict[str, scheduling_strategies._LabelMatchOperator]]:
    """``fallback_strategy``: a list of ``{"label_selector": {...}}``."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise TypeError(
            "fallback_strategy is a list like [{'label_selector': {'zone': 'a'}}], got "
            f"{given!r}"
        )
    for entry in given:
        if not isinstance(entry, dict) or set(entry) != {"label_selector"}:
            raise ValueError(
                "an entry of fallback_strategy is {'label_selector': {...}} and nothing else, got "
                f"{entry!r}"
            )
    return [checked_selector(entry["label_selector"]) for entry in given]


def checked_selector(given: object) -> dict[str, scheduling_strategies._LabelMatchOperator]:
    """``label_selector``: labels to ``"a"``, ``"!a"``, ``"in(a, b)"`` or ``"!in(a, b)"``."""
    from sundog.util import scheduling_strategies as s

    if not isinstance(given, dict):
        raise TypeError(f"label_selector is a dictionary of labels to values, got {given!r}")
    selector: dict[str, s._LabelMatchOperator] = {}
    for label, value in given.items():
        if not isinstance(label, str) or not isinstance(value, str):
            raise TypeError(
                f"label_selector: labels and values are strings, got {label!r}: {value!r}"
            )
        negated = value.startswith("!")
        text = value.removeprefix("!")
        if any(sign in text for sign in "!(),") and not (
            text.startswith("in(") and text.endswith(")") and text.count("(") == 1
        ):
            raise ValueError(
                f"label_selector: the value of {label!r} is 'a', '!a', 'in(a, b)' or '!in(a, b)', "
                f"got {value!r}"
            )
        if text.startswith("in(") and text.endswith(")"):
            values = [part.strip() for part in text[3:-1].split(",")]
        else:
            values = [text]
        selector[label] = s.NotIn(*values) if negated else s.In(*values)
    return selector
