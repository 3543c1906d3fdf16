"""The options of actor classes and of their methods: checked once, when they are given."""

from __future__ import annotations

from sundog import _options
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from sundog import _core

    F = TypeVar("F", bound=Callable[..., Any])

ACTOR_OPTIONS = (
    *_options.COMMON_OPTIONS,
    "namespace",
    "lifetime",
    "get_if_exists",
    "max_restarts",
    "max_task_retries",
    "max_concurrency",
    "concurrency_groups",
    "allow_out_of_order_execution",
    "execute_out_of_order",
    "max_pending_calls",
)
METHOD_OPTIONS = (
    "num_returns",
    "name",
    "max_task_retries",
    "retry_exceptions",
    "concurrency_group",
    "_generator_backpressure_num_objects",
    "enable_task_events",
)
# Ray's other options with the values that ask for nothing; any other value is refused.
ACTOR_LATER: dict[str, object] = {
    "_actor_generator_backpressure_num_objects": None,
    "_generator_backpressure_num_objects": None,
    "_labels": None,
    "enable_tensor_transport": None,
    "object_store_memory": None,
    "tensor_transport": None,
}
# src/model/limits.h
NAME_BYTES_MAX = 255
NAMESPACE_BYTES_MAX = 127
CONCURRENCY_MAX = 10_000  # model::kConcurrencyMax
GROUPS_MAX = 64
ASYNC_CONCURRENCY = 1_000  # of asynchronous actors, unless they say otherwise
OPTIONS_ATTRIBUTE = "__sundog_method__"  # of a function that `method` marked
# model::CallKind
CREATE_ACTOR, METHOD = 2, 3


def count_from_minus_one(name: str, value: object, default: int = 0) -> int:
    """max_restarts, max_task_retries; -1 is without end."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an integer, got {type(value).__name__}: {value!r}")
    if not -1 <= value < 2**31:
        raise ValueError(f"{name} is from -1 (without end) on, got {value}")
    return value


def text_or_none(name: str, value: object) -> str | None:
    """A name; the empty string is none."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is a string, got {type(value).__name__}: {value!r}")
    if value == "":
        raise ValueError(f"{name} is a string that is not empty")
    return value


def checked_namespace(value: object) -> str | None:
    """A namespace."""
    return within("namespace", text_or_none("namespace", value), NAMESPACE_BYTES_MAX)


def checked_name(value: object) -> str | None:
    """The name of an actor."""
    return within("name", text_or_none("name", value), NAME_BYTES_MAX)


def within(option: str, text: str | None, bytes_max: int) -> str | None:
    """The text, which the session can keep."""
    size = 0 if text is None else len(text.encode("utf-8", "replace"))
    if size > bytes_max:
        shown = f"{text:.40}…"
        raise ValueError(
            f"{option} has at most {bytes_max} bytes, got {size}: {shown!r}; shorten it"
        )
    return text


def calls_at_once(name: str, value: object, default: int) -> int:
    """max_concurrency and the limits of concurrency groups."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an integer, got {type(value).__name__}: {value!r}")
    if not 1 <= value <= CONCURRENCY_MAX:
        raise ValueError(
            f"{name} is from 1 to {CONCURRENCY_MAX:,} calls at once, got {value}; more calls than "
            "that may wait"
        )
    return value


def checked_groups(value: object) -> dict[str, int]:
    """concurrency_groups."""
    if value is None:
        return {}
    if isinstance(value, (list, tuple)):  # as Ray's C++ and Java programs write them
        raise TypeError(
            "concurrency_groups is a dictionary of names and limits, {'io': 2}, got "
            f"{type(value).__name__}"
        )
    if not isinstance(value, dict):
        raise TypeError(
            f"concurrency_groups is a dictionary like {{'io': 2}}, got {type(value).__name__}: "
            f"{value!r}"
        )
    if len(value) > GROUPS_MAX:
        raise ValueError(f"concurrency_groups has at most {GROUPS_MAX} groups, got {len(value)}")
    for name in value:
        if text_or_none("the name of a concurrency group", name) is None:
            raise TypeError(f"the name of a concurrency group is a string, got {name!r}")
    return {
        name: calls_at_once(f"concurrency_groups['{name}']", limit, 1)
        for name, limit in value.items()
    }


def flag(name: str, value: object) -> bool:
    """An option that is True or False; None is False."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, got {value!r}")
    return bool(value)


def out_of_order(given: Mapping[str, object], default: bool) -> bool:
    """allow_out_of_order_execution, by its name of today or of before."""
    names = ("allow_out_of_order_execution", "execute_out_of_order")
    if all(given.get(name) is None for name in names):
        return default
    wanted = [flag(name, given.get(name)) for name in names]
    return any(wanted)


class ActorOptions:
    """Checked options of one actor class; equal ones share one template."""

    __slots__ = (
        "detached",
        "get_if_exists",
        "given",
        "groups",
        "held",
        "max_concurrency",
        "max_pending_calls",
        "max_restarts",
        "max_task_retries",
        "name",
        "namespace",
        "out_of_order",
        "placed",
        "placement",
        "recorded",
        "runtime_env",
        "title",
    )

    def __init__(self, given: Mapping[str, object], class_name: str, is_async: bool) -> None:
        """Checks what was given to a class, asynchronous or not.

        Raises ValueError or TypeError that names the option.
        """
        _options.check_names(given, ACTOR_OPTIONS, ACTOR_LATER)
        self.given = dict(given)
        self.title = class_name
        # 1 CPU to be placed and none to run, unless num_cpus says how many for both.
        self.placed = _options.resource_amounts(given)
        self.held = dict(self.placed)
        if given.get("num_cpus") is None:
            self.held.pop("CPU", None)
        self.name = checked_name(given.get("name"))
        self.namespace = checked_namespace(given.get("namespace"))
        self.placement = _options.placement(given, self.placed)
        self.runtime_env = _options.runtime_env(self.given)
        self.recorded = _options.recorded(given.get("enable_task_events"))
        self.max_restarts = count_from_minus_one("max_restarts", given.get("max_restarts"))
        self.max_task_retries = count_from_minus_one(
            "max_task_retries", given.get("max_task_retries")
        )
        self.max_concurrency = calls_at_once(
            "max_concurrency", given.get("max_concurrency"), ASYNC_CONCURRENCY if is_async else 1
        )
        self.groups = checked_groups(given.get("concurrency_groups"))
        self.out_of_order = out_of_order(given, is_async or self.max_concurrency > 1)
        self.max_pending_calls = count_from_minus_one(
            "max_pending_calls", given.get("max_pending_calls"), -1
        )
        if self.max_pending_calls == 0:
            raise ValueError("max_pending_calls is -1 (any number) or from 1 on, got 0")
        lifetime = given.get("lifetime")
        if lifetime not in (None, "detached", "non_detached"):
            raise ValueError(f"lifetime is 'detached' or 'non_detached', got {lifetime!r}")
        self.detached = lifetime == "detached"
        self.get_if_exists = flag("get_if_exists", given.get("get_if_exists"))
        if self.get_if_exists and self.name is None:
            raise ValueError("get_if_exists=True needs a name: options(name='...')")

    def runs_calls_at_once(self) -> bool:
        """Whether more than one call may run."""
        return self.max_concurrency > 1 or bool(self.groups)

    def key(self) -> tuple[object, ...]:
        """What the daemon distinguishes."""
        amounts = (tuple(sorted(self.placed.items())), tuple(sorted(self.held.items())))
        calls = (self.max_concurrency, tuple(self.groups.items()), self.out_of_order)
        where = () if self.placement is None else self.placement.key()
        asked = _options.runtime_env_key(self.runtime_env)
        return amounts, self.max_restarts, self.detached, calls, where, asked, self.recorded

    def define(
        self, session: _core.Session, class_id: bytes | None, source: str, registered: str
    ) -> int:
        """Announces a class with these options; ``registered``: its name in C++."""
        placed = self.placed
        if self.placement is not None:
            placed = {**placed, **self.placement.missing(session)}
        return session.define(
            class_id, self.title, source, placed, 0, False,
            CREATE_ACTOR, registered, self.held, self.max_restarts, self.detached,
            self.max_concurrency, self.groups, self.out_of_order, "", 1, 0, 0, 0, 0,
            _options.runtime_env_number(session, self.runtime_env, class_id is None),
            *_options.in_group(self.placement), not self.recorded,
        )  # fmt: skip


class MethodOptions:
    """Checked options of a method, as ``sundog.method`` or ``.options`` were given them."""

    __slots__ = (
        "concurrency_group",
        "given",
        "max_task_retries",
        "name",
        "num_returns",
        "recorded",
        "retry_exceptions",
        "stream_items",
    )

    def __init__(self, given: Mapping[str, object]) -> None:
        """Checks what was given.

        Raises ValueError or TypeError that names the option.
        """
        _options.check_names(given, METHOD_OPTIONS, ACTOR_LATER)
        self.given = dict(given)
        self.num_returns = _options.count_of_results(given.get("num_returns"))
        self.stream_items = _options.window_items(
            given, self.num_returns, "num_returns" not in given
        )
        self.name = text_or_none("name", given.get("name"))
        self.concurrency_group = text_or_none("concurrency_group", given.get("concurrency_group"))
        self.recorded = _options.recorded(given.get("enable_task_events"))
        retries = given.get("max_task_retries")
        self.max_task_retries = (
            None if retries is None else count_from_minus_one("max_task_retries", retries)
        )
        self.retry_exceptions = _options.retry_exceptions_of_method(given.get("retry_exceptions"))
        if "retry_exceptions" in self.given:  # travels with handles, to where no type of it is
            self.given["retry_exceptions"] = self.retry_exceptions


@public
def method(*args: object, **options: object) -> Callable[[F], F]:
    """Gives a method of an actor class options of its own.

    Args:
        args: none; options are given by name.
        options: num_returns, how many ObjectRefs a call returns (default 1), or "streaming" (the
            default of what yields), or "dynamic"; _generator_backpressure_num_objects, how many
            items that nobody took hold a generator back; max_task_retries, how often a call is
            tried again after the actor's process died (default: the actor's); retry_exceptions,
            True to try again after an exception as well, or a list of the types after which; name,
            what a call is called in messages;
            concurrency_group, the one of the class's ``concurrency_groups`` in whose limit its
            calls are counted; enable_task_events, False to leave no record of its calls.

    Returns:
        A decorator, which returns the method itself.

    Raises:
        ValueError: an option that does not exist, or is not in this version.
        TypeError: an option of a wrong type.
    """
    if args or not options:
        raise TypeError("method() takes options by name: @sundog.method(num_returns=2)")
    given: Mapping[str, object] = MethodOptions(options).given

    def mark(function: F) -> F:
        setattr(function, OPTIONS_ATTRIBUTE, given)
        return function

    return mark
