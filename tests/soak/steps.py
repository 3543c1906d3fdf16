"""The work under which processes are killed: each step checks its own results.

A step says on the board what the driver and the workers are doing, so that a kill can tell which
state it hit. Results must be right whatever was killed, the daemon and the driver excepted.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from tests.soak import actors
from tests.soak.board import enter
from tests.soak.module import sundog

LARGE_BYTES = 48 << 20
MIDDLE_BYTES = 256 << 10


@sundog.remote
def leaf(number: int) -> int:
    enter("worker: leaf")
    return number * number


@sundog.remote
def branch(depth: int, number: int) -> int:
    enter("worker: branch, submitting")
    task, arguments = (leaf, ()) if depth == 0 else (branch, (depth - 1,))
    refs = [task.remote(*arguments, number + i) for i in range(3)]
    enter("worker: branch, blocked in get")
    total = sum(sundog.get(refs))
    enter("worker: branch, returning")
    return total


def branch_here(depth: int, number: int) -> int:
    """What `branch` must return."""
    if depth == 0:
        return sum((number + i) ** 2 for i in range(3))
    return sum(branch_here(depth - 1, number + i) for i in range(3))


@sundog.remote
def add_one(array: Any) -> Any:
    enter("worker: reading a large array")
    total = array + np.uint8(1)
    enter("worker: writing a large result")
    return total


@sundog.remote
def total_of(array: Any) -> int:
    enter("worker: summing an array")
    return int(array.sum())


@sundog.remote
def put_inside(number: int) -> list[Any]:
    enter("worker: putting")
    refs = [sundog.put(np.full(MIDDLE_BYTES, (number + i) % 251, np.uint8)) for i in range(4)]
    enter("worker: returning refs")
    return refs


@sundog.remote(num_returns=50)
def fifty(number: int) -> list[int]:
    enter("worker: fifty results")
    return [number + i for i in range(50)]


@sundog.remote
def plus(left: int, right: int) -> int:
    enter("worker: adding")
    return left + right


def nested(source: random.Random) -> None:
    number = source.randrange(100)
    enter("driver: nested, submitting")
    ref = branch.remote(2, number)
    enter("driver: nested, in get")
    assert sundog.get(ref) == branch_here(2, number)


def small_puts(source: random.Random) -> None:
    enter("driver: small puts")
    values = [source.randrange(1000) for _ in range(300)]
    refs = [sundog.put(value) for value in values]
    enter("driver: small gets")
    assert sundog.get(refs) == values


def middle_gets(source: random.Random) -> None:
    enter("driver: middle puts")
    refs = [sundog.put(np.full(MIDDLE_BYTES, i, np.uint8)) for i in range(40)]
    enter("driver: middle gets")
    for i, array in enumerate(sundog.get(refs)):
        assert array[0] == array[-1] == i


def large_copies(source: random.Random) -> None:
    enter("driver: making a large array")
    array = np.full(LARGE_BYTES, source.randrange(200), np.uint8)
    enter("driver: large put")
    ref = sundog.put(array)
    enter("driver: waiting for a large result")
    other = sundog.get(add_one.remote(ref))
    enter("driver: reading a large result")
    assert int(other.sum()) == int(array.sum()) + LARGE_BYTES


def by_value(source: random.Random) -> None:
    enter("driver: arguments by value")
    arrays = [np.full(1 << 20, i, np.uint8) for i in range(6)]
    refs = [total_of.remote(array) for array in arrays]
    enter("driver: getting by-value sums")
    assert sundog.get(refs) == [i << 20 for i in range(6)]


def refs_inside(source: random.Random) -> None:
    number = source.randrange(100)
    enter("driver: getting refs from a task")
    inner = sundog.get(put_inside.remote(number))
    enter("driver: getting what a task put")
    for i, array in enumerate(sundog.get(inner)):
        assert array[5] == (number + i) % 251


def chain(source: random.Random) -> None:
    enter("driver: chain, submitting")
    ref = plus.remote(0, 0)
    for i in range(30):
        ref = plus.remote(ref, i)
    enter("driver: chain, in get")
    assert sundog.get(ref) == sum(range(30))


def one_by_one(source: random.Random) -> None:
    enter("driver: wait, submitting")
    pending = [leaf.remote(i) for i in range(60)]
    squares = []
    enter("driver: wait, one by one")
    while pending:
        ready, pending = sundog.wait(pending)
        squares += sundog.get(ready)
    assert sorted(squares) == [i * i for i in range(60)]


def many_tasks(source: random.Random) -> None:
    enter("driver: many tasks, submitting")
    refs = [leaf.remote(i) for i in range(1000)]
    enter("driver: many tasks, in get")
    assert sundog.get(refs) == [i * i for i in range(1000)]


def many_results(source: random.Random) -> None:
    enter("driver: many results")
    number = source.randrange(1000)
    assert sundog.get(fifty.remote(number)) == [number + i for i in range(50)]


def new_function(source: random.Random) -> None:
    enter("driver: a new function")
    captured = source.randrange(1000)
    ref = sundog.put(captured)

    @sundog.remote
    def closure(number: int) -> int:
        enter("worker: closure")
        return number + captured + int(sundog.get(ref))

    enter("driver: results of a new function")
    assert sundog.get([closure.remote(i) for i in range(5)]) == [i + 2 * captured for i in range(5)]


STEPS: tuple[Callable[[random.Random], None], ...] = (
    nested,
    small_puts,
    middle_gets,
    large_copies,
    by_value,
    refs_inside,
    chain,
    one_by_one,
    many_tasks,
    many_results,
    new_function,
    *actors.STEPS,
)
