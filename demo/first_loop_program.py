"""A whole program without init(): four one-second tasks, timed from before the import."""

import time

begin = time.perf_counter()

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

sundog = importlib.import_module(os.environ.get("SUNDOG_DEMO_MODULE", "sundog"))


@sundog.remote
def slow_square(i: int) -> int:
    time.sleep(1)
    return i * i


if __name__ == "__main__":
    numbers = sundog.get([slow_square.remote(i) for i in range(4)])
    print(json.dumps({"numbers": numbers, "seconds": time.perf_counter() - begin}))
