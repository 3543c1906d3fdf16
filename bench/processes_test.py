"""What a program is told of its session's CPU time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import processes

# Uses CPU until it has used so much, says so, and stays until its input ends.
BURNER = """
import sys, time
while time.process_time() < 0.2: pass
print(flush=True)
sys.stdin.read()
"""


def test_cpu_time_of_a_child_counts_while_it_lives() -> None:
    before = processes.cpu_seconds_each()
    child = subprocess.Popen(
        [sys.executable, "-c", BURNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        after = processes.cpu_seconds_each(before)
        assert child.pid not in before
        assert 0.2 <= after[child.pid] < 0.3
        assert processes.cpu_seconds_between(before, after) >= after[child.pid]


def test_searching_for_processes_is_not_part_of_what_is_measured() -> None:
    begin = time.process_time()
    processes.session_pids()
    search = time.process_time() - begin
    used = []
    for _ in range(5):
        before = processes.cpu_seconds_each()
        used.append(processes.cpu_seconds_between(before, processes.cpu_seconds_each(before)))
    assert min(used) < search / 4


def test_a_process_that_ended_has_no_cpu_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert child.pid not in processes.cpu_seconds_each([child.pid])
