"""put and get of 400 MB of weights, a dictionary of fifty arrays."""

import time
from typing import Any

import numpy as np

from bench.programs.contestant import init, percentile, report, sundog, up_to
from bench.programs.weights_of import ARRAYS, make_weights

PUTS = 5
GETS = 30


def main() -> None:
    init(num_cpus=2)
    weights = make_weights()
    put_seconds, get_seconds = [], []
    for i in up_to(PUTS + 1, least=2):
        weights["layer0"][0] = float(i)
        ref: Any = None  # the last round's object goes before the next is put
        start = time.perf_counter()
        ref = sundog.put(weights)
        put_seconds.append(time.perf_counter() - start)
    for _ in up_to(GETS):
        start = time.perf_counter()
        value = sundog.get(ref)
        get_seconds.append(time.perf_counter() - start)
    assert len(value) == ARRAYS and value["layer0"][0] == i
    assert np.array_equal(value["layer49"], weights["layer49"])
    report("400 MB of weights, first put", put_seconds[0] * 1e3, "ms")
    report("400 MB of weights, put", percentile(put_seconds[1:], 0.5) * 1e3, "ms")
    report("400 MB of weights, get", percentile(get_seconds, 0.5) * 1e3, "ms")


if __name__ == "__main__":
    main()
