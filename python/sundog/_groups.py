"""Placement groups: what is checked of them, asked of the daemon, and said in options."""

from __future__ import annotations

from sundog import _core, _options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sundog.util import scheduling_strategies
    from sundog.util.placement_group import PlacementGroup

    Selector = dict[str, scheduling_strategies._LabelMatchOperator]

# model::GroupStrategy
STRATEGIES = {"PACK": 1, "SPREAD": 2, "STRICT_PACK": 3, "STRICT_SPREAD": 4}
QUESTION = 11  # model::Question
NAME_BYTES_MAX = 255
BUNDLES_MAX = 10_000
UNIT = _options.UNIT


def checked_bundles(bundles: object) -> list[dict[str, int]]:
    """Amounts in 1/10000 of each bundle."""
    if not isinstance(bundles, (list, tuple)) or not bundles:
        raise ValueError(
            f"bundles is a list of dictionaries of resources, [{{'CPU': 1}}], got {bundles!r}"
        )
    if len(bundles) > BUNDLES_MAX:
        raise ValueError(f"a placement group has at most {BUNDLES_MAX:,} bundles: {len(bundles):,}")
    return [checked_bundle(number, bundle) for number, bundle in enumerate(bundles)]


def checked_bundle(number: int, bundle: object) -> dict[str, int]:
    """One of them."""
    if not isinstance(bundle, dict):
        raise ValueError(f"bundle {number} is a dictionary of resources, got {bundle!r}")
    amounts = {}
    for name, value in bundle.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"bundle {number}: a resource's name is a string, got {name!r}")
        option = "memory" if name == "memory" else f"bundle {number}: '{name}'"
        amounts[name] = _options.amount("num_gpus" if name == "GPU" else option, value)
    amounts = {name: value for name, value in amounts.items() if value}
    if not amounts:
        raise ValueError(f"bundle {number} asks for nothing: leave it out, got {bundle!r}")
    return amounts


def checked_selectors(given: object, bundles: int) -> list[Selector]:
    """``bundle_label_selector``: one for each bundle, or none at all."""
    if given is None or given == []:
        return []
    if not isinstance(given, (list, tuple)):
        raise TypeError(
            f"bundle_label_selector is a list of dictionaries, [{{'zone': 'a'}}], got {given!r}"
        )
    if len(given) != bundles:
        raise ValueError(
            f"bundle_label_selector has one dictionary for each of the {bundles} bundles, got "
            f"{len(given)}"
        )
    from sundog import _strategy

    return [_strategy.checked_selector(selector) for selector in given]


def add_what_no_node_has(amounts: list[dict[str, int]], selectors: list[Selector]) -> None:
    """Adds to a bundle the resource that stands for a label which this node does not have."""
    if not any(selectors):
        return
    from sundog import _state, _strategy

    labels = _strategy.labels_of(_state.need_session("placement_group"))
    for bundle, selector in zip(amounts, selectors, strict=True):
        for name, wanted in sorted(selector.items()):
            if not wanted.matches(labels.get(name)):
                bundle[f"node with label {name} {wanted!r}"] = UNIT


def checked_strategy(strategy: object) -> int:
    """model::GroupStrategy."""
    if strategy is None:
        return STRATEGIES["PACK"]
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        near = _options.did_you_mean(str(strategy), STRATEGIES)
        raise ValueError(f"strategy is one of {tuple(STRATEGIES)}, got {strategy!r}{near}")
    return STRATEGIES[strategy]


def check_name(name: str) -> None:
    """A name that the session can keep."""
    size = len(name.encode("utf-8", "replace"))
    if size > NAME_BYTES_MAX or "\n" in name:
        raise ValueError(
            f"name has at most {NAME_BYTES_MAX} bytes in one line, got {size}: '{name:.40}…'"
        )


def checked_handle(wanted: str, given: object) -> PlacementGroup:
    """A handle; ``wanted`` begins what is said of anything else.

    Raises:
        TypeError: it is none.
    """
    from sundog.util.placement_group import PlacementGroup

    if not isinstance(given, PlacementGroup):
        raise TypeError(f"{wanted}, got {type(given).__name__}: {given!r:.60}")
    return given


# ---------------------------------------------------------------- asking the daemon


def query_text(argument: str) -> str:
    """What the daemon tells of groups, as JSON."""
    from sundog import _state

    return _state.need_session("placement_group").query(QUESTION, argument)


def query(argument: str) -> dict[str, Any]:
    """The same, read."""
    import json

    told: dict[str, Any] = json.loads(query_text(argument))
    return told


def ask(argument: str) -> list[dict[str, Any]]:
    """The groups that the argument names."""
    groups: list[dict[str, Any]] = query(argument)["groups"]
    return groups


def named(name: str) -> dict[str, Any] | None:
    """The group of this name in the job's namespace."""
    from sundog import _state

    space = _state.need_session("placement_group").info()["namespace"]
    told = ask(f"name {space}\n{name}")
    return told[0] if told else None


def current() -> tuple[dict[str, Any] | None, bool]:
    """The group that this code runs in, and whether what it submits runs there too."""
    if _core.current_session() is None:
        return None, False
    task = _core.current_task()
    told = query(f"task {task[0] if task else '0' * 32}")
    return (told["groups"][0] if told["groups"] else None), bool(told["captures"])


def wait(group: PlacementGroup, timeout: float) -> bool:
    """Waits for ``ready()``; a warning says why it is not."""
    ready, _ = _core.wait([group.ready()], num_returns=1, timeout=timeout)
    if not ready:
        from sundog import _log

        told = ask(f"id {group.id.hex()}")
        why = told[0]["reason"] if told else "it was removed"
        _log.warning(f"{group!r} is not ready after {timeout:g} s: {why}.")
        return False
    # What ready() shows stays when the group is removed, and anybody may have done that.
    known = _core.group_is_ready(group.id.binary())
    if known is not None:
        return known
    return query_text(f"ready {group.id.hex()}") == "true"


def row(told: Mapping[str, Any]) -> dict[str, Any]:
    """One line of ``placement_group_table``."""
    state = "CREATED" if told["ready"] else "PENDING"
    waiting = "INFEASIBLE" if not told["feasible"] else "QUEUED"
    session = _core.current_session()
    node = str(session.info()["node"]) if session is not None else ""
    return {
        "placement_group_id": told["id"],
        "name": told["name"],
        "bundles": dict(enumerate(told["bundles"])),
        "bundles_to_node_id": dict.fromkeys(
            range(len(told["bundles"])), node if told["ready"] else ""
        ),
        "strategy": told["strategy"],
        "state": state,
        "stats": {
            "end_to_end_creation_latency_ms": told["waited_ms"] if told["ready"] else 0.0,
            "scheduling_latency_ms": told["waited_ms"] if told["ready"] else 0.0,
            "scheduling_attempt": 1,
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": "FINISHED" if told["ready"] else waiting,
        },
        "reason": told["reason"],
    }


def removed_row(id: str) -> dict[str, Any]:
    """That of a group that is gone."""
    return {
        "placement_group_id": id,
        "name": "",
        "bundles": {},
        "bundles_to_node_id": {},
        "strategy": "",
        "state": "REMOVED",
        "stats": {},
        "reason": "it was removed",
    }


# ---------------------------------------------------------------- options


class Asked:
    """What the options of a function or class say of placement groups."""

    __slots__ = ("bundle", "captures", "group", "outside")

    def __init__(self, group: object, bundle: object, captures: object) -> None:
        """Checks the three options.

        Raises ValueError or TypeError that names the option.
        """
        self.group: PlacementGroup | None = None
        self.outside = group is None
        if group is not None and group != "default":
            self.group = checked_handle(
                "placement_group is a PlacementGroup, None or 'default'", group
            )
            self.outside = self.group.is_empty
        if bundle is None:
            bundle = -1
        if isinstance(bundle, bool) or not isinstance(bundle, int):
            raise TypeError(f"placement_group_bundle_index is an integer, got {bundle!r}")
        if bundle < -1:
            raise ValueError(
                f"placement_group_bundle_index is from -1 (any bundle) on, got {bundle}"
            )
        if captures is not None and not isinstance(captures, bool):
            raise TypeError(
                f"placement_group_capture_child_tasks is True, False or None, got {captures!r}"
            )
        if bundle >= 0 and (self.group is None or self.outside):
            raise ValueError(
                f"placement_group_bundle_index={bundle} needs placement_group= or a "
                "PlacementGroupSchedulingStrategy, which has the bundle"
            )
        self.bundle = bundle
        self.captures = {None: 0, False: 1, True: 2}[captures]  # model::CaptureChildren

    def check(self, amounts: Mapping[str, int]) -> None:
        """Raises ValueError if no bundle of the group could hold that much."""
        if self.group is None or self.outside:
            return
        bundles = self.group.bundle_specs
        if not bundles:
            return  # it is gone: the call says so
        if self.bundle >= len(bundles):
            raise ValueError(
                f"placement_group_bundle_index={self.bundle}, but the group has {len(bundles)} "
                f"bundles: from 0 to {len(bundles) - 1}, or -1 for any"
            )
        for bundle in bundles if self.bundle < 0 else [bundles[self.bundle]]:
            if all(n <= round(bundle.get(name, 0) * UNIT) for name, n in amounts.items()):
                return
        needs = {name: n / UNIT for name, n in amounts.items()}
        where = "no bundle" if self.bundle < 0 else f"not bundle {self.bundle}"
        raise ValueError(
            f"it needs {needs}, and {where} of its placement group has that: its bundles are "
            f"{bundles}; num_cpus=0 asks for no CPU"
        )

    def key(self) -> tuple[object, ...]:
        """What the daemon distinguishes."""
        return self.id(), self.bundle, self.captures, self.outside

    def id(self) -> bytes | None:
        """The group's; None for no explicit one."""
        return None if self.group is None or self.outside else self.group.id.binary()
