"""`make test`: C++ tests plain and under sanitizers, simulated clusters, Python tests, a summary.

Everything is built before this runs. Each stage writes its whole output to build/tests/<stage>.log;
what failed is printed. The last line counts single tests and seeds over all stages:
`N passed, N failed`. Exit status 1 if anything failed or a stage ran no test at all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from house import ROOT, Timer

LOGS = ROOT / "build/tests"
STAGE_SECONDS_MAX = 1800
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, outcome: str) -> None:
        if outcome == "failed":
            self.failed += 1
            self.failures.append(name)
        elif outcome == "skipped":
            self.skipped += 1
        else:
            self.passed += 1


def run(stage: str, command: list[str], environment: dict[str, str] | None = None) -> int:
    """The command's exit status, -1 after STAGE_SECONDS_MAX; its output goes to the stage's log."""
    with (LOGS / f"{stage}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            return process.wait(STAGE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.write(f"\nstopped after {STAGE_SECONDS_MAX} s\n".encode())
            return -1


def count_googletest(folder: Path, count: Count) -> set[str]:
    """Adds the tests of every report in `folder`; returns the programs that wrote one."""
    programs = set()
    for report in sorted(folder.glob("*.json")):
        programs.add(re.sub(r"_\d+$", "", report.stem))
        for suite in json.loads(report.read_text())["testsuites"]:
            for test in suite["testsuite"]:
                failed = "failures" in test
                skipped = test.get("result") in ("SKIPPED", "SUPPRESSED")
                outcome = "failed" if failed else "skipped" if skipped else "passed"
                count.add(f"{suite['name']}.{test['name']}", outcome)
    return programs


def cpp(
    preset: str,
    wrapper: list[str],
    leave_out: str = "",
    environment: dict[str, str] | None = None,
) -> Count:
    """All test programs of build/<preset>. A program that ended before its report was written (a
    crash, a sanitizer's finding, a timeout) counts as one failure with its own name."""
    count = Count()
    reports = LOGS / f"{preset}-reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    build = ROOT / "build" / preset
    junit = reports / "ctest.xml"
    ctest = ["ctest", "--test-dir", str(build), "--output-on-failure", "--timeout", "1200"]
    ctest += ["--no-tests=error", "-j2", "--output-junit", str(junit)]
    ctest += ["--exclude-regex", leave_out] if leave_out else []
    settings = {**SANITIZER_OPTIONS, "GTEST_OUTPUT": f"json:{reports}/", **(environment or {})}
    status = run(preset, wrapper + ctest, settings)
    reported = count_googletest(reports, count)
    had_failures = count.failed > 0
    for case in ET.parse(junit).getroot().iter("testcase") if junit.exists() else ():
        name = case.get("name", "?")
        failed = case.get("status") != "run"  # a program that is not there is "notrun"
        if f"{name}_test" not in reported:
            count.add(name, "failed" if failed else "passed")
        elif failed and not had_failures:
            count.add(f"{name} (after its last test)", "failed")
    if status != 0 and count.failed == 0:
        count.add(f"{preset}: ctest ended with {status}", "failed")
    return count


def plain(seeds: int) -> Count:
    return cpp("debug", [])


def address(seeds: int) -> Count:
    # Fifty simulated clusters suffice here, and those for rare branches of actors are left out: all
    # take seven minutes, and run without sanitizers.
    left_out = "Simulation.seeds_1?1_*:Simulation.seeds_51_*:Simulation.rare_branches_of_actors_*"
    few = {"GTEST_FILTER": f"-{left_out}"}
    return cpp("asan", [], environment=few)


def threads(seeds: int) -> Count:
    # GCC 12's thread sanitizer does not start where the kernel randomizes addresses widely.
    fixed = ["setarch", "-R"]
    works = subprocess.run([*fixed, "true"], stderr=subprocess.DEVNULL).returncode == 0
    # The simulator is one thread by construction; four minutes would find nothing.
    return cpp("tsan", fixed if works else [], leave_out="^sim$")


def simulator(seeds: int) -> Count:
    count = Count()
    status = run("sim", ["scripts/sim.sh", str(seeds)])
    log = (LOGS / "sim.log").read_text(errors="replace")
    match = re.search(r"(\d+) seeds passed, (\d+) failed", log)
    count.passed, count.failed = (int(match[1]), int(match[2])) if match else (0, 0)
    count.failures = re.findall(r"^FAILED (.*)$", log, re.MULTILINE)
    if status != 0 and count.failed == 0:
        count.add(f"the simulator ended with {status}", "failed")
    return count


def python(seeds: int) -> Count:
    """Several at a time; then those with time windows, one by one."""
    count = Count()
    together = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal", "-m", "not alone"]
    for stage, choice in (("python", together), ("python-alone", ["-m", "alone"])):
        add_pytest(count, stage, choice)
    return count


def add_pytest(count: Count, stage: str, choice: list[str]) -> None:
    """Adds the tests that are chosen by these words."""
    junit = LOGS / f"{stage}.xml"
    junit.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "--durations=5", f"--junitxml={junit}"]
    status = run(stage, [*command, *choice, "tests/e2e", "tests/house", "scripts", "bench"])
    had_failures = count.failed
    for case in ET.parse(junit).getroot().iter("testcase") if junit.exists() else ():
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        name = f"{case.get('classname')}.{case.get('name')}"
        if problem is not None:
            count.add(f"{name}: {' '.join(problem.get('message', '').split())[:500]}", "failed")
        else:
            skipped = any(child.tag == "skipped" for child in case)
            count.add(name, "skipped" if skipped else "passed")
    if status != 0 and count.failed == had_failures:
        count.add(f"pytest ended with {status}: build/tests/{stage}.log", "failed")


STAGES: dict[str, tuple[str, Callable[[int], Count]]] = {
    "debug": ("C++", plain),
    "sim": ("simulated clusters", simulator),
    "asan": ("C++, address and undefined-behaviour sanitizers", address),
    "tsan": ("C++, thread sanitizer", threads),
    "python": ("Python, end to end", python),
}


def run_stage(name: str, seeds: int) -> tuple[Count, float]:
    title, stage = STAGES[name]
    timer = Timer()
    count = stage(seeds)
    if count.passed + count.failed + count.skipped == 0:
        count.add(f"{name}: no test ran", "failed")
    mark = "ok  " if count.failed == 0 else "FAIL"
    skipped = f", {count.skipped} skipped" if count.skipped else ""
    print(
        f"{mark}  {title}: {count.passed} passed, {count.failed} failed{skipped}  "
        f"{timer.seconds:.0f} s",
        flush=True,
    )
    if count.failed:
        print("\n".join(f"    failed: {failure}" for failure in count.failures), flush=True)
        for log in sorted(LOGS.glob(f"{name}*.log")):
            lines = log.read_text(errors="replace").splitlines()
            print("\n".join(f"    | {line}" for line in lines[-60:]))
            print(f"    whole output: {log.relative_to(ROOT)}", flush=True)
    return count, timer.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", choices=STAGES)
    args = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    results = [run_stage(n, args.seeds) for n in STAGES if args.only in (None, n)]
    passed, failed, skipped = (
        sum(getattr(count, what) for count, _ in results)
        for what in ("passed", "failed", "skipped")
    )
    seconds = sum(took for _, took in results)
    rest = f", {skipped} skipped" if skipped else ""
    print(f"==== {passed} passed, {failed} failed{rest} in {seconds:.0f} s ====")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
