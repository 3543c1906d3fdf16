"""One task at a time: call, wait for its result, call again."""

import time

from bench.programs.contestant import cores, init, measured, percentile, report, sundog

SECONDS = 2.0
WARM_UP = 200


@sundog.remote
def nothing() -> None:
    return None


def main() -> None:
    init(num_cpus=cores())
    for _ in range(WARM_UP):
        sundog.get(nothing.remote())
    samples: list[float] = []

    def call_again_and_again() -> None:
        end = time.perf_counter() + SECONDS
        begin = time.perf_counter()
        while begin < end:
            sundog.get(nothing.remote())
            now = time.perf_counter()
            samples.append(now - begin)
            begin = now

    run = measured(call_again_and_again)
    p50, p99 = percentile(samples, 0.5), percentile(samples, 0.99)
    cpu = run.cpu_seconds / len(samples) * 1e6
    report("task, one at a time", len(samples) / run.seconds, "/s", p50=p50, p99=p99, cpu_us=cpu)
    report("... p99 to p50", p99 / p50, "x")


if __name__ == "__main__":
    main()
