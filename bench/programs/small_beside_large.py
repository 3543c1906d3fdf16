"""put and get of 8 MB beside 400 MB: what depends on size, and what does not."""

import time
from typing import Any

import numpy as np

from bench.programs.contestant import init, percentile, report, sundog, up_to

SIZES = {"8 MB": 8_000_000, "400 MB": 400_000_000}
ROUNDS = 6
GETS = 20


def main() -> None:
    init(num_cpus=2)
    arrays = {name: np.ones(size // 8) for name, size in SIZES.items()}
    puts: dict[str, list[float]] = {name: [] for name in SIZES}
    gets: dict[str, list[float]] = {name: [] for name in SIZES}
    for turn in up_to(ROUNDS, least=2):
        for name, array in arrays.items():
            array[0] = turn
            ref: Any = None
            start = time.perf_counter()
            ref = sundog.put(array)
            puts[name].append((time.perf_counter() - start) * 1e3)
            for _ in up_to(GETS):
                start = time.perf_counter()
                value = sundog.get(ref)
                gets[name].append((time.perf_counter() - start) * 1e3)
                assert value[0] == turn
                del value
    for name in SIZES:
        report(f"put of {name}", percentile(puts[name][1:], 0.5), "ms")
        report(f"get of {name}", percentile(gets[name], 0.5), "ms")


if __name__ == "__main__":
    main()
