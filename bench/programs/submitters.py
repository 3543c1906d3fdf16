"""Four tasks that each submit 500 tasks and get their results."""

from bench.programs.contestant import init, measured_again, report_rate, sundog

SUBMITTERS = 4
TASKS = 500


@sundog.remote
def number(i: int) -> int:
    return i


@sundog.remote
def submit(count: int) -> int:
    return sum(sundog.get([number.remote(i) for i in range(count)]))


def round_of_all() -> None:
    sums = sundog.get([submit.remote(TASKS) for _ in range(SUBMITTERS)])
    assert sums == [sum(range(TASKS))] * SUBMITTERS, sums


def main() -> None:
    init(num_cpus=SUBMITTERS)
    round_of_all()
    runs = measured_again(round_of_all, 5)
    report_rate("4 submitters x 500", SUBMITTERS * (TASKS + 1), runs)


if __name__ == "__main__":
    main()
