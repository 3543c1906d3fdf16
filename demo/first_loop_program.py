"""Seed 002's program as a person writes it: one script, four one-second tasks.

Without an argument there is no init(), and the clock starts before the import. With `init` the
session is begun first, and the clock starts the moment init() returned.
"""

import time

begin = time.perf_counter()

import os  # noqa: E402
import sys  # noqa: E402

TYPE_CHECKING = False  # the module typing is nothing that such a script imports
if TYPE_CHECKING:
    import sundog
else:
    sundog = __import__(os.environ.get("SUNDOG_DEMO_MODULE", "sundog"))


@sundog.remote
def nap(i: int) -> int:
    time.sleep(1)
    return i


if __name__ == "__main__":
    if "init" in sys.argv:
        sundog.init(num_cpus=4)
        begin = time.perf_counter()
    numbers = sundog.get([nap.remote(i) for i in range(4)])
    seconds = time.perf_counter() - begin

    import json

    print(json.dumps({"numbers": numbers, "seconds": seconds}))
