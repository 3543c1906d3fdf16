"""Calls of one actor: one at a time; 1,000, then get; the same beside idle actors.

Argument: how many idle actors are made for the second half; for Ray a tenth of a tenth of that.
"""

import sys
import time

from bench.programs.contestant import (
    CANNOT,
    MODULE,
    cores,
    init,
    measured,
    measured_again,
    percentile,
    report,
    report_rate,
    sundog,
)

SECONDS = 2.0
WARM_UP = 200
CALLS = 1000
RAY_SHARE = 100  # it makes two actors a second


class Calls:
    """An actor that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self) -> int:
        """One more."""
        self.calls += 1
        return self.calls


Counter = sundog.remote(num_cpus=0)(Calls)


def main() -> None:
    init(num_cpus=cores())
    counter = Counter.remote()
    for _ in range(WARM_UP):
        sundog.get(counter.call.remote())
    samples: list[float] = []

    def call_again_and_again() -> None:
        samples.clear()
        end = time.perf_counter() + SECONDS
        begin = time.perf_counter()
        while begin < end:
            sundog.get(counter.call.remote())
            now = time.perf_counter()
            samples.append(now - begin)
            begin = now

    def batch() -> None:
        assert len(sundog.get([counter.call.remote() for _ in range(CALLS)])) == CALLS

    run = measured(call_again_and_again)
    alone = len(samples) / run.seconds
    p50, p99 = percentile(samples, 0.5), percentile(samples, 0.99)
    cpu = run.cpu_seconds / len(samples) * 1e6
    report("actor call, one at a time", alone, "/s", p50=p50, p99=p99, cpu_us=cpu)
    batch()
    report_rate("1,000 actor calls, then get", CALLS, measured_again(batch, 10))

    if "processes of actors" in CANNOT:
        return
    count = int(sys.argv[1]) // (RAY_SHARE if MODULE == "ray" else 1)
    idle = [Counter.remote() for _ in range(count)]
    sundog.get([actor.call.remote() for actor in idle])
    run = measured(call_again_and_again)
    report("... slower beside 1,000 idle actors", alone / (len(samples) / run.seconds), "x")


if __name__ == "__main__":
    main()
