"""Steps with actors: restarted, mortal, named, detached, made by one another.

An actor that is restarted forgets: its answers begin at one again. What must hold whatever was
killed: with restarts and retries every call is answered, in order; without, calls are answered
until one fails with ActorDiedError, and none after that.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from tests.soak.board import enter
from tests.soak.module import sundog


class Counting:
    """Counts its calls."""

    def __init__(self) -> None:
        enter("actor: constructor")
        self.calls = 0
        self.inner: list[Any] = []

    def call(self, number: int) -> tuple[int, int]:
        """What was given, and the number of the call."""
        enter("actor: a call")
        self.calls += 1
        return number, self.calls

    def make(self, count: int) -> int:
        """Makes actors that end with this one; the sum of what their first calls count."""
        enter("actor: making actors")
        self.inner = [Mortal.remote() for _ in range(count)]
        enter("actor: blocked in get")
        answers = sundog.get([actor.call.remote(0) for actor in self.inner])
        return sum(calls for _, calls in answers)


Mortal = sundog.remote(Counting)
Restarted = sundog.remote(max_restarts=-1, max_task_retries=-1)(Counting)


@sundog.remote(max_retries=-1)
def call_from_a_task(actor: Any, number: int) -> Any:
    """Calls an actor that is an argument."""
    enter("worker: calling an actor")
    return sundog.get(actor.call.remote(number))


def check_in_order(answers: list[tuple[int, int]]) -> None:
    """Each call was answered, and counts rise but for restarts."""
    assert [number for number, _ in answers] == list(range(len(answers)))
    for (_, before), (_, after) in itertools.pairwise(answers):
        assert after == before + 1 or after <= before, answers


def check_cause(error: Exception) -> None:
    """It says that the process was killed."""
    assert "signal 9" in str(error), error


def restarted_actor(source: random.Random) -> None:
    """All calls are answered."""
    enter("driver: making a restarted actor")
    actor = Restarted.remote()
    refs = [actor.call.remote(i) for i in range(source.randrange(1, 300))]
    enter("driver: calls of a restarted actor")
    check_in_order(sundog.get(refs))
    assert sundog.get(call_from_a_task.remote(actor, 7))[0] == 7


def mortal_actors(source: random.Random) -> None:
    """Calls are answered until the actor dies."""
    enter("driver: making mortal actors")
    actors = [Mortal.remote() for _ in range(source.randrange(1, 6))]
    calls = [[actor.call.remote(i) for i in range(30)] for actor in actors]
    enter("driver: calls of mortal actors")
    for refs in calls:
        answers: list[tuple[int, int]] = []
        died = False
        for ref in refs:
            try:
                answer = sundog.get(ref)
            except sundog.exceptions.ActorDiedError as error:
                died = True
                check_cause(error)
            else:
                assert not died, "a call was answered after the actor had died"
                answers.append(answer)
        assert answers == [(i, i + 1) for i in range(len(answers))]


def named_actor(source: random.Random) -> None:
    """A detached actor is found by name, and its name is free when it was killed."""
    name = f"soak-{source.randrange(1 << 60)}"
    enter("driver: naming an actor")
    made = Restarted.options(name=name, lifetime="detached").remote()
    found = sundog.get_actor(name)
    assert found == made
    del made
    enter("driver: calls of a named actor")
    check_in_order(sundog.get([found.call.remote(i) for i in range(20)]))
    enter("driver: killing a named actor")
    sundog.kill(found)
    try:
        sundog.get(found.call.remote(0))
    except sundog.exceptions.ActorDiedError:
        pass
    else:
        raise AssertionError("a killed actor answered")
    again = Mortal.options(name=name).remote()
    assert again != found


def actors_of_an_actor(source: random.Random) -> None:
    """An actor's own actors end with it, or it says that they died."""
    count = source.randrange(1, 5)
    enter("driver: an actor that makes actors")
    boss = Restarted.remote()
    try:
        assert sundog.get(boss.make.remote(count)) == count
    except sundog.exceptions.ActorDiedError as error:
        check_cause(error)


STEPS = (restarted_actor, mortal_actors, named_actor, actors_of_an_actor)
