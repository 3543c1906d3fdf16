"""put of an array of 800 MB, made by numpy: the first one, and later ones into recycled room.

Every put has other content than the one before; another process sums each copy, and the sums are
compared with the driver's own.
"""

import time

import numpy as np

from bench.programs.contestant import cores, init, percentile, report, sundog

BYTES = 800_000_000
ROUNDS = 6


@sundog.remote
def total(array: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> int:
    return int(array.sum())


def main() -> None:
    init(num_cpus=cores())
    array = np.arange(BYTES // 8, dtype=np.uint64)
    assert sundog.get(total.remote(np.arange(10, dtype=np.uint64))) == 45
    rates = []
    for round_number in range(ROUNDS):
        array *= np.uint64(2 * round_number + 3)
        array += np.uint64(round_number + 1)
        expected = int(array.sum())
        start = time.perf_counter()
        ref = sundog.put(array)
        rates.append(BYTES / (time.perf_counter() - start) / 1e9)
        answer = sundog.get(total.remote(ref))
        assert answer == expected, f"round {round_number}: another process read other bytes"
        del ref
    again = rates[1:]
    report("put 800 MB, first", rates[0], "GB/s")
    report("put 800 MB, again", percentile(again, 0.5), "GB/s", low=min(again), high=max(again))


if __name__ == "__main__":
    main()
