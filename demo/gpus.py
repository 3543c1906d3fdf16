"""Exercise 9: tasks and actors that need a GPU get ids, and no two of them the same one."""

from __future__ import annotations

import time

from demo.outcome import Outcome, require, seconds
from demo.runtime import session, sundog

GPUS = 2


@sundog.remote(num_gpus=1)
def which() -> list[int | str]:
    time.sleep(0.5)
    return sundog.get_gpu_ids()


class Holder:
    """Keeps a GPU for as long as it lives."""

    def which(self) -> list[int | str]:
        return sundog.get_gpu_ids()


HolderActor = sundog.remote(num_gpus=1)(Holder)


def run() -> Outcome:
    """Three half-second tasks on two GPUs, which this machine need not have; then an actor."""
    with session(num_cpus=4, num_gpus=GPUS):
        start = time.perf_counter()
        ids = sundog.get([which.remote() for _ in range(3)])
        took = time.perf_counter() - start
        holder = HolderActor.remote()
        held = sundog.get(holder.which.remote())
        others = sundog.get([which.remote() for _ in range(2)])
    require(all(len(given) == 1 for given in [*ids, held]), f"the ids are {ids} and {held}")
    require({given[0] for given in [*ids, held]} <= set(range(GPUS)), f"ids: {ids}, {held}")
    require(held not in others, f"the actor holds {held}, and a task got one of {others}")
    require(took > 1, f"three tasks on two GPUs took {took:.3f} s: they ran at once")
    return Outcome(seconds(took), "> 1 s", "", f"ids {ids}, actor {held}")
