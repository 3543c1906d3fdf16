"""The daemon's own CPU for one task, with stub clients of C++: 1, 64 and 1,000 of them, 16 tasks in
flight for each worker; and one client that keeps 1,000 in flight.

The stub program, build/release/stub_worker, starts a daemon of its own; SUNDOG_STUB_WORKER names
another build of it.
"""

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("SUNDOG_STUB_WORKER", str(ROOT / "build/release/stub_worker"))
CLIENTS = (1, 64, 1000)
TASKS = 200_000


def measure(clients: tuple[int, ...], in_flight: int) -> list[dict[str, Any]]:
    """What the stub program tells of each count of clients, with so many tasks a worker."""
    from sundog import _paths

    command = [PROGRAM, "--daemon", _paths.daemon(), "--tasks", str(TASKS)]
    command += ["--clients", ",".join(str(count) for count in clients)]
    command += ["--in-flight", str(in_flight)]
    # Exit code 1 says that a count is over its budget: the table shows by how much.
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert result.returncode in (0, 1), f"{PROGRAM} ended with {result.returncode}"
    told = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [one["clients"] for one in told] == list(clients), told
    return told


def main() -> None:
    told = measure(CLIENTS, 16)
    streaming = measure((1,), 1000)[0]
    for one in (*told, streaming):
        count = f"{one['clients']:,} client" + ("s" if one["clients"] != 1 else "")
        if one is streaming:
            count += ", 1,000 tasks in flight"
        line = {
            "metric": f"daemon's CPU a task, {count}",
            "unit": "us",
            "value": one["daemon_cpu_us_per_task"],
            "tasks_per_s": one["tasks_per_s"],
        }
        print(json.dumps(line))
    # What one sleep and one wake cost here at that moment: the daemon with one client sleeps at
    # least once for each window of 16 tasks, and wakes somebody each time.
    for metric, key in (("one sleep of a thread", "sleep_us"), ("one wake-up by it", "wake_us")):
        value = statistics.median(one[key] for one in told)
        print(json.dumps({"metric": f"... {metric}, CPU", "unit": "us", "value": value}))
    alone = told[0]
    print(
        json.dumps(
            {
                "metric": "... sleeps a task, 1 client",
                "unit": "",
                "value": alone["daemon_sleeps_per_task"],
            }
        )
    )


if __name__ == "__main__":
    main()
