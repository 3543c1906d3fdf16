"""A whole program without init(): four one-second tasks, timed from before the import."""

import time

begin = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo.runtime import sundog  # noqa: E402


@sundog.remote
def slow_square(i: int) -> int:
    time.sleep(1)
    return i * i


if __name__ == "__main__":
    numbers = sundog.get([slow_square.remote(i) for i in range(4)])
    print(json.dumps({"numbers": numbers, "seconds": time.perf_counter() - begin}))
