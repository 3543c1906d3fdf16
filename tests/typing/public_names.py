"""What checkers of types make of a program that uses Sundog. It is checked, never run.

mypy --strict: tests/house/test_typing.py; pyright: the same test, where pyright is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type

import sundog
from sundog import ObjectRef, ObjectRefGenerator
from sundog.actor import ActorClass, ActorHandle, ActorMethod


@sundog.remote
def square(x: int) -> int:
    return x * x


@sundog.remote(num_cpus=2)
def shout(text: str) -> str:
    return text.upper()


@sundog.remote(num_returns=2)
def halves(text: str) -> tuple[str, str]:
    return text[:1], text[1:]


@sundog.remote
def letters(text: str) -> Iterator[str]:
    yield from text


def plain(x: float) -> list[float]:
    return [x]


class Counter:
    """A class for actors."""

    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @sundog.method(num_returns=2)
    def both(self) -> tuple[int, int]:
        return self.value, self.value


# Tasks.
assert_type(square.remote(1), ObjectRef[int])
assert_type(sundog.get(square.remote(1)), int)
assert_type(sundog.get(square.remote(square.remote(1)), timeout=1.5), int)
assert_type(sundog.get([square.remote(i) for i in range(3)]), list[int])
assert_type(sundog.get(shout.remote("a")), str)
assert_type(sundog.get(square.options(num_cpus=0.5, name="tiny").remote(2)), int)
assert_type(sundog.get(sundog.remote(plain).remote(1.0)), list[float])
first, second = halves.remote("ab")
assert_type(first, ObjectRef[Any])
assert_type(halves.remote("ab"), list[ObjectRef[Any]])
assert_type(square.options(num_returns=2).remote(1), list[ObjectRef[Any]])
assert_type(halves.options(num_returns=1).remote("ab"), ObjectRef[Any])
assert_type(sundog.cpp_function("add").remote(1, 2), ObjectRef[Any])

# Generators.
assert_type(letters.remote("ab"), ObjectRefGenerator[str])
assert_type(next(letters.remote("ab")), ObjectRef[str])
assert_type([sundog.get(ref) for ref in letters.remote("ab")], list[str])

# Objects.
assert_type(sundog.put("text"), ObjectRef[str])
assert_type(sundog.get(sundog.put({"a": 1})), dict[str, int])
ready, rest = sundog.wait([square.remote(1)], num_returns=1, timeout=0.5)
assert_type(ready, list[ObjectRef[int]])
assert_type(rest, list[ObjectRef[int]])
assert_type(sundog.put(1).future(), Future[int])
assert_type(sundog.explain(sundog.put(1)), str)


async def awaited() -> int:
    """References can be awaited."""
    assert_type(await shout.remote("a"), str)
    return await square.remote(3)


# Actors: what methods return is not known.
Counters = sundog.remote(Counter)
assert_type(Counters, ActorClass[Counter])
assert_type(Counters.options(name="counter", max_restarts=1), ActorClass[Counter])
counter = Counters.remote(1)
assert_type(counter, ActorHandle[Counter])
assert_type(counter.add, ActorMethod)
assert_type(sundog.get_actor("counter"), ActorHandle[Any])
assert_type(sundog.remote(num_gpus=1)(Counter).remote(1), ActorHandle[Counter])
assert_type(Counter(1).both(), tuple[int, int])
sundog.kill(counter, no_restart=False)

# The session.
with sundog.init(num_cpus=2, resources={"disk": 1.0}):
    assert_type(sundog.is_initialized(), bool)
    assert_type(sundog.cluster_resources(), dict[str, float])
    assert_type(sundog.get_gpu_ids(), list[int | str])
    assert_type(sundog.get_runtime_context().get_task_id(), str | None)

# Mistakes that are found: each of these lines is an error, and an ignore without one would be, too.
sundog.get(5)  # type: ignore[call-overload]
square(1)  # type: ignore[operator]
sundog.init(num_cpus="two")  # type: ignore[arg-type]
sundog.wait(sundog.put(1))  # type: ignore[arg-type]
