"""Seed 000: fifty arrays, 400 MB in all, for twenty tasks: put once, or sent again each time."""

from __future__ import annotations

import functools
import pickle
import time
from typing import Any

from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog

ARRAYS = 50
ELEMENTS = 1_000_000
TASKS = 20
BYTES = ARRAYS * ELEMENTS * 8
ROUNDS = 3


@sundog.remote
def first_number(weights: dict[str, Any], number: int) -> tuple[int, float]:
    return number, float(weights["layer0"][0])


@functools.cache
def make_weights() -> dict[str, Any]:
    """The dictionary, made once for all items of this file."""
    import numpy as np

    source = np.random.default_rng(0)
    return {f"layer{i}": source.standard_normal(ELEMENTS) for i in range(ARRAYS)}


def put_once() -> Outcome:
    """The exercise solved: one put, twenty tasks that name it."""
    weights = make_weights()
    weights["layer0"][0] = 0.25
    with session(num_cpus=4):
        start = time.perf_counter()
        shared = sundog.put(weights)
        answers = sundog.get([first_number.remote(shared, number) for number in range(TASKS)])
        took = time.perf_counter() - start
    require(answers == [(number, 0.25) for number in range(TASKS)], f"wrong answers: {answers}")
    window = require_window(took, 0.0, 1.0, "put and 20 tasks")
    return Outcome(seconds(took), window, "", f"{BYTES / 1e6:.0f} MB put once")


def by_value() -> Outcome:
    """The exercise unsolved: 8 GB through the store, each copy as it was when it was sent."""
    weights = make_weights()
    with session(num_cpus=4):
        refs = []
        start = time.perf_counter()
        for number in range(TASKS):
            weights["layer0"][0] = float(number)
            refs.append(first_number.remote(weights, number))
        answers = sundog.get(refs)
        took = time.perf_counter() - start
    require(
        answers == [(number, float(number)) for number in range(TASKS)],
        f"a task saw a copy that was changed after the call: {answers}",
    )
    sent = BYTES * TASKS / 1e9
    return Outcome(seconds(took), "", "", f"{sent:.0f} GB by value, {sent / took:.1f} GB/s")


def _best(call: Any) -> tuple[float, Any]:
    """The shortest of a few runs, with the last result."""
    durations = []
    for _ in range(ROUNDS):
        result = None  # the last round's result goes before the next is made
        start = time.perf_counter()
        result = call()
        durations.append(time.perf_counter() - start)
    return min(durations), result


def against_pickle() -> Outcome:
    """put and get against pickle's dumps and loads of the same dictionary."""
    import numpy as np

    weights = make_weights()
    with session(num_cpus=4):
        put_seconds, ref = _best(functools.partial(sundog.put, weights))
        get_seconds, value = _best(functools.partial(sundog.get, ref))
        same = all(np.array_equal(value[name], weights[name]) for name in weights)
        del value, ref
    require(same and len(weights) == ARRAYS, "get returned other numbers than put was given")
    dumps_seconds, data = _best(functools.partial(pickle.dumps, weights))
    loads_seconds, _ = _best(functools.partial(pickle.loads, data))
    require(put_seconds < dumps_seconds, "put was slower than pickle.dumps")
    require(get_seconds < loads_seconds, "get was slower than pickle.loads")
    return Outcome(
        f"{put_seconds * 1e3:.0f} / {get_seconds * 1e3:.2f} ms",
        "quicker than pickle",
        "62 / 1.04 ms",
        f"pickle: {dumps_seconds * 1e3:.0f} / {loads_seconds * 1e3:.0f} ms; seed's: 8 MB",
    )
