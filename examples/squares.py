"""Four slow calls at once: the smallest Sundog program.

    SUNDOG_NUM_CPUS=4 python examples/squares.py

There is no init: the first call starts a session, the end of the program ends it.
"""

import time

import sundog


@sundog.remote
def slow_square(i: int) -> int:
    """Stands for a second of work."""
    time.sleep(1)
    return i * i


def main() -> None:
    start = time.perf_counter()
    refs = [slow_square.remote(i) for i in range(4)]  # returns at once, with references
    print(sundog.get(refs), f"{time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
