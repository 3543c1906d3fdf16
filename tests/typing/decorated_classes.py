"""Actor classes made by the decorator, for checkers that know what decorators make of classes.

pyright does; mypy takes a decorated class for the class itself and wants ``sundog.remote(Class)``.
"""

from __future__ import annotations

from typing import Any, assert_type

import sundog
from sundog.actor import ActorClass, ActorHandle, ActorMethod


@sundog.remote
class Counter:
    """An actor."""

    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, by: int) -> int:
        self.value += by
        return self.value


@sundog.remote(num_gpus=1, max_restarts=1)
class Trainer:
    """An actor with options."""

    def step(self) -> float:
        return 0.5


counter = Counter.options(name="counter").remote(1)
assert_type(counter.add, ActorMethod)
assert_type(sundog.get(counter.add.remote(1)), Any)


def owner(kind: ActorClass[Any], handle: ActorHandle[Any]) -> None:
    """Takes what both are."""


owner(Counter, counter)
owner(Trainer, Trainer.remote())
