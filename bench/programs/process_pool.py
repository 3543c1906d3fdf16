"""The floor that Python users know for many tasks: multiprocessing's pool, call by call."""

import json
import multiprocessing
import os
import sys
import time


def number(i: int) -> int:
    return i


def main() -> None:
    count = int(sys.argv[1])
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        pool.map(number, range(100))
        start = time.perf_counter()
        results = [pool.apply_async(number, (i,)) for i in range(count)]
        assert [result.get() for result in results] == list(range(count))
        took = time.perf_counter() - start
    print(json.dumps({"metric": "process pool", "unit": "/s", "value": count / took}))


if __name__ == "__main__":
    main()
