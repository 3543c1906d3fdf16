"""Results in the order in which they are ready, with failures handled where they happen.

    python examples/as_they_come.py

Estimates pi by throwing darts in tasks of uneven size. One of them fails on purpose: its error
arrives at `get`, as its own type, and names the line that raised it.
"""

import random

import sundog

DARTS = (200_000, 50_000, 400_000, 0, 100_000, 300_000)


@sundog.remote
def hits(darts: int) -> tuple[int, int]:
    """How many of `darts` random points lie within a quarter of the unit circle."""
    if darts == 0:
        raise ValueError("no darts to throw")
    inside = sum(random.random() ** 2 + random.random() ** 2 <= 1.0 for _ in range(darts))
    return inside, darts


def main() -> None:
    sundog.init()
    pending = [hits.remote(darts) for darts in DARTS]
    inside = thrown = 0
    while pending:
        (ready,), pending = sundog.wait(pending)
        try:
            part, darts = sundog.get(ready)
        except ValueError as error:
            print("one task failed:", str(error).splitlines()[0])
            continue
        inside, thrown = inside + part, thrown + darts
        print(f"after {thrown:>9,} darts, pi is about {4 * inside / thrown:.4f}")


if __name__ == "__main__":
    main()
