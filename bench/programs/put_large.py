"""put of an array of 800 MB, made by numpy: the first one of a session, and later ones into
recycled room.

Every put has other content than the one before; another process sums each copy, and the sums are
compared with the driver's own.

*First* is the median over new sessions of one program, without the program's first: a guest fetches
memory that nobody has used lately from its host, at a fifth of the speed, and the floor, which
repeats as well, does not pay for that either. What the program's first session saw is a figure of
its own. Who cannot end a session has that one only.
"""

import time

import numpy as np

from bench.programs.contestant import cores, init, percentile, report, sundog

BYTES = 800_000_000
SESSIONS = 4
ROUNDS = 6


@sundog.remote
def total(array: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> int:
    return int(array.sum())


class Puts:
    """The array, and how fast it is put."""

    def __init__(self) -> None:
        self.array = np.arange(BYTES // 8, dtype=np.uint64)
        self.number = 0

    def rate(self) -> float:
        """GB/s of one put of new content, which another process then checks."""
        self.array *= np.uint64(2 * self.number + 3)
        self.array += np.uint64(self.number + 1)
        self.number += 1
        expected = int(self.array.sum())
        start = time.perf_counter()
        ref = sundog.put(self.array)
        took = time.perf_counter() - start
        answer = sundog.get(total.remote(ref))
        assert answer == expected, f"put {self.number}: another process read other bytes"
        return BYTES / took / 1e9


def begin() -> None:
    """A session whose workers have started."""
    init(num_cpus=cores())
    assert sundog.get(total.remote(np.arange(10, dtype=np.uint64))) == 45


def main() -> None:
    puts = Puts()
    begin()
    firsts = [puts.rate()]
    while hasattr(sundog, "shutdown") and len(firsts) < SESSIONS:
        sundog.shutdown()
        begin()
        firsts.append(puts.rate())
    again = [puts.rate() for _ in range(ROUNDS - 1)]
    later = firsts[1:] or firsts
    report("put 800 MB, first of the program", firsts[0], "GB/s")
    report("put 800 MB, first", percentile(later, 0.5), "GB/s", low=min(later), high=max(later))
    report("put 800 MB, again", percentile(again, 0.5), "GB/s", low=min(again), high=max(again))


if __name__ == "__main__":
    main()
