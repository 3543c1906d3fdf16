"""The options of remote functions: checked once, when they are given."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sundog import _core, _retries, _strategy

UNIT = 10_000  # resources travel in 1/10000
RETRIES_DEFAULT = 3

# Functions and actor classes have these alike: what the process needs, and where it runs.
COMMON_OPTIONS = (
    "num_cpus",
    "num_gpus",
    "resources",
    "memory",
    "name",
    "scheduling_strategy",
    "label_selector",
    "runtime_env",
    "placement_group",
    "placement_group_bundle_index",
    "placement_group_capture_child_tasks",
    "enable_task_events",
    "fallback_strategy",
    "accelerator_type",
)
FUNCTION_OPTIONS = (
    *COMMON_OPTIONS,
    "num_returns",
    "max_retries",
    "retry_exceptions",
    "_generator_backpressure_num_objects",
    "priority",
    "timeout_s",
    "max_calls",
)
# Ray's other options with the values that ask for nothing; any other value is refused.
LATER: dict[str, object] = {
    "_labels": None,
    "_num_objects_per_yield": None,
    "object_store_memory": None,
}
RESERVED_RESOURCES = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
RESULTS_MAX = 100_000
AMOUNT_MAX = 2**40
MEMORY_BYTES_MAX = 2**48
# num_returns of calls whose number of results nobody knows before they end.
STREAMING, DYNAMIC = -1, -2
FUNCTION = 1  # model::CallKind


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'num_cpus'?`` or nothing."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def is_known(name: str) -> bool:
    """Whether functions have this option, now or later."""
    return name in FUNCTION_OPTIONS or name in LATER


def asks_for_nothing(value: object, default: object) -> bool:
    """Whether an option of Ray's that is not here has the value that it has there unsaid."""
    return value is None or (type(value) is type(default) and value == default)


def check_names(
    options: Mapping[str, object],
    known: tuple[str, ...] = FUNCTION_OPTIONS,
    later: Mapping[str, object] = LATER,
) -> None:
    """Raises ValueError for an option that does not exist or is not in this version."""
    for name, value in options.items():
        if name in known or (name in later and asks_for_nothing(value, later[name])):
            continue
        if name in later:
            raise ValueError(f"option '{name}' is not in this version: leave it out")
        raise ValueError(f"unknown option '{name}'{did_you_mean(name, known)}")


def amount(name: str, value: object) -> int:
    """A resource amount in 1/10000."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number, got {type(value).__name__}: {value!r}")
    if name in ("memory", "_memory", "object_store_memory"):
        if not 0 <= value <= MEMORY_BYTES_MAX or value != int(value):
            raise ValueError(
                f"{name} is a whole number of bytes, at most {MEMORY_BYTES_MAX:,}, got {value!r}"
            )
    elif not 0 <= value < AMOUNT_MAX:
        raise ValueError(f"{name} is a number from 0 on, got {value!r}")
    if isinstance(value, float) and value != 0 and round(value * UNIT) == 0:
        raise ValueError(f"{name} is counted in 1/{UNIT}, got {value!r}")
    if name == "num_gpus" and value > 1 and value != int(value):
        raise ValueError(f"num_gpus above 1 is a whole number of GPUs, got {value!r}")
    return round(value * UNIT)


class FunctionOptions:
    """Checked options of one remote function; equal options share one template."""

    __slots__ = (
        "function_name",
        "given",
        "max_calls",
        "max_retries",
        "num_returns",
        "placement",
        "priority",
        "recorded",
        "resources",
        "retried_on",
        "retry_exceptions",
        "runtime_env",
        "stream_items",
        "timeout_ns",
        "title",
    )

    def __init__(
        self, given: Mapping[str, object], function_name: str, generator: bool | None = None
    ) -> None:
        """Checks what was given; ``generator``: whether the function yields, None: not known yet.

        Raises ValueError or TypeError that names the option.
        """
        check_names(given)
        self.given = dict(given)
        self.resources = resource_amounts(given)
        self.num_returns = count_of_results(given.get("num_returns"), bool(generator))
        self.stream_items = window_items(given, self.num_returns, generator is None)
        self.max_retries = retries(given.get("max_retries"))
        self.retry_exceptions, self.retried_on = retry_exceptions(given.get("retry_exceptions"))
        self.priority = whole_number("priority", given.get("priority"), -(2**31) + 1)
        self.max_calls = whole_number("max_calls", given.get("max_calls"), 0)
        self.placement = placement(given, self.resources)
        self.runtime_env = runtime_env(self.given)
        self.recorded = recorded(given.get("enable_task_events"))
        self.function_name = function_name
        self.timeout_ns = timeout(given.get("timeout_s"))
        name = given.get("name")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is a string, got {type(name).__name__}: {name!r}")
        self.title = name or function_name

    def key(self) -> tuple[object, ...]:
        """What the daemon distinguishes."""
        resources = tuple(sorted(self.resources.items()))
        returns = returns_of(self.num_returns), self.stream_items
        limits = self.priority, self.timeout_ns, self.max_calls, self.retried_on
        placed = () if self.placement is None else self.placement.key()
        retries = self.max_retries, self.retry_exceptions, self.recorded
        asked = runtime_env_key(self.runtime_env)
        return resources, retries, self.title, returns, limits, placed, asked

    def define(
        self, session: _core.Session, function_id: bytes | None, source: str, registered: str
    ) -> int:
        """Announces a function with these options; ``registered``: its name in C++."""
        resources = self.resources
        if self.placement is not None:
            resources = {**resources, **self.placement.missing(session)}
        return session.define(
            function_id, self.title, source, resources, self.max_retries, self.retry_exceptions,
            FUNCTION, registered or self.named_function(), {}, 0, False, 1, {}, False, "",
            returns_of(self.num_returns), self.stream_items,
            self.priority, self.timeout_ns, self.max_calls,
            runtime_env_number(session, self.runtime_env, function_id is None),
            *in_group(self.placement), not self.recorded,
        )  # fmt: skip

    def named_function(self) -> str:
        """The function's own name, where calls of it have another; else empty."""
        return self.function_name if self.function_name != self.title else ""


def resource_amounts(given: Mapping[str, object]) -> dict[str, int]:
    """CPU, GPU, memory and custom resources in 1/10000; what is zero is left out."""
    amounts = {}
    for name, option, default in (("CPU", "num_cpus", 1), ("GPU", "num_gpus", 0)):
        value = given.get(option)
        amounts[name] = amount(option, default if value is None else value)
    if given.get("memory") is not None:
        amounts["memory"] = amount("memory", given["memory"])
    custom = given.get("resources") or {}
    if not isinstance(custom, dict):
        raise TypeError(f"resources is a dict of names to amounts, got {custom!r}")
    for name, value in custom.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"resources: a name is a string, got {name!r}")
        if name in RESERVED_RESOURCES:
            raise ValueError(f"resources: use {RESERVED_RESOURCES[name]} for '{name}'")
        amounts[name] = amount(f"resources['{name}']", value)
    if given.get("accelerator_type") is not None:
        from sundog import _accelerators

        amounts |= _accelerators.asked(given["accelerator_type"])
    return {name: value for name, value in amounts.items() if value}


def count_of_results(value: object, generator: bool = False) -> int:
    """num_returns; STREAMING and DYNAMIC are no numbers of results. A generator streams."""
    if value is None:
        return STREAMING if generator else 1
    if value == "streaming":
        return STREAMING
    if value == "dynamic":
        return DYNAMIC
    if isinstance(value, str):
        raise ValueError(
            f"num_returns is an integer, 'streaming' or 'dynamic', got {value!r}"
            + did_you_mean(value, ("streaming", "dynamic"))
        )
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"num_returns is an integer, got {type(value).__name__}: {value!r}")
    if not 0 <= value <= RESULTS_MAX:
        raise ValueError(f"num_returns is from 0 to {RESULTS_MAX}, got {value}")
    return value


def returns_of(num_returns: int) -> int:
    """model::Returns."""
    return {STREAMING: 2, DYNAMIC: 3}.get(num_returns, 1)


def refs_of(num_returns: int) -> int:
    """What ``_set_prepared`` is told: how many references a call returns."""
    from sundog import _core

    return {STREAMING: _core.STREAMING, DYNAMIC: 1}.get(num_returns, num_returns)


def window_items(given: Mapping[str, object], num_returns: int, early: bool = False) -> int:
    """_generator_backpressure_num_objects; 0 is no limit. ``early``: what yields is not known."""
    name = "_generator_backpressure_num_objects"
    value = given.get(name)
    if value is None or (isinstance(value, int) and value == -1):
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an integer, got {type(value).__name__}: {value!r}")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name} is from 1 on, or -1 for no limit, got {value}")
    if num_returns != STREAMING and not early:
        raise ValueError(f"{name} is for generators: without one nothing is held back")
    return value


def retries(value: object) -> int:
    """max_retries; -1 is without end."""
    if value is None:
        return RETRIES_DEFAULT
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_retries is an integer, got {type(value).__name__}: {value!r}")
    if not -1 <= value < 2**31:
        raise ValueError(f"max_retries is from -1 (without end) on, got {value}")
    return value


def placement(
    given: Mapping[str, object], resources: Mapping[str, int]
) -> _strategy.Placement | None:
    """scheduling_strategy, label_selector and placement_group; None if nothing is asked."""
    if (
        given.get("scheduling_strategy") is None
        and given.get("label_selector") is None
        and given.get("fallback_strategy") is None
        and given.get("placement_group", "default") == "default"
        and given.get("placement_group_bundle_index") in (None, -1)
        and given.get("placement_group_capture_child_tasks") is None
    ):
        return None
    from sundog import _strategy

    asked = _strategy.Placement(given)
    asked.asked.check(resources)
    return asked


def in_group(asked: _strategy.Placement | None) -> tuple[bytes | None, int, int, bool]:
    """The last arguments of ``Session.define``."""
    if asked is None:
        return None, -1, 0, False
    return asked.asked.id(), asked.asked.bundle, asked.asked.captures, asked.asked.outside


def runtime_env(given: dict[str, object]) -> dict[str, object] | None:
    """runtime_env, checked; in ``given`` too, where it is independent of this process's folder."""
    if given.get("runtime_env") is None:
        return None
    from sundog._environment_checks import checked

    asked = given["runtime_env"] = checked(given["runtime_env"])
    return asked


def runtime_env_key(asked: dict[str, object] | None) -> tuple[object, ...]:
    """What distinguishes it."""
    if asked is None:
        return ()
    from sundog import _environment

    return _environment.key_of(asked)


def runtime_env_number(
    session: _core.Session, asked: dict[str, object] | None, is_cpp: bool
) -> int:
    """What a definition names; 0 is the job's workers without any."""
    if not asked and "sundog._environment" not in sys.modules:
        return 0
    from sundog import _environment

    number = _environment.number_for_cpp if is_cpp else _environment.number
    return number(session, asked)


def recorded(value: object) -> bool:
    """enable_task_events: whether timeline and lists show it."""
    if value is None:
        return True
    if not isinstance(value, bool):
        raise TypeError(f"enable_task_events is True or False, got {value!r}")
    return value


def whole_number(name: str, value: object, least: int) -> int:
    """priority, max_calls; 0 if it is not given."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an integer, got {type(value).__name__}: {value!r}")
    if not least <= value < 2**31:
        raise ValueError(f"{name} is from {least} to {2**31 - 1}, got {value}")
    return value


def timeout(value: object) -> int:
    """timeout_s in nanoseconds; 0 for none."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout_s is a number of seconds, got {value!r}")
    if not 0.001 <= value <= 1e9:
        raise ValueError(f"timeout_s is a number of seconds from 0.001 on, got {value!r}")
    return round(value * 1e9)


def retry_exceptions(value: object) -> tuple[bool, _retries.Types]:
    """retry_exceptions of a function: whether, and for which types; none named: for any."""
    if isinstance(value, (list, tuple)):
        from sundog import _retries

        return _retries.checked(value)
    return flag_of_retries(value), ()


def check_for_cpp(options: FunctionOptions, name: str) -> None:
    """Refuses what a C++ function cannot have.

    Raises:
        ValueError: exceptions to retry on by their types.
    """
    if options.retried_on:
        raise no_types_in_cpp("function", name)


def no_types_in_cpp(kind: str, name: str) -> ValueError:
    """retry_exceptions of C++ names types of Python."""
    return ValueError(
        f"retry_exceptions of the C++ {kind} '{name}' is True or False: the exceptions of C++ are "
        "no types of Python"
    )


def retry_exceptions_of_method(value: object) -> bool | _retries.Packed:
    """retry_exceptions of a method: whether, or for which types."""
    if isinstance(value, (list, tuple)):
        from sundog import _retries

        any_type, types = _retries.checked(value)
        return _retries.packed(types) if any_type else False
    if value is not None and not isinstance(value, bool):
        from sundog import _retries

        if isinstance(value, _retries.Packed):
            return value
    return flag_of_retries(value)


def flag_of_retries(value: object) -> bool:
    """True or False."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise TypeError(
            f"retry_exceptions is True, False or a list of exception types, got {value!r}"
        )
    return value
