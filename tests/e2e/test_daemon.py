"""The daemon as a process: flags, signals, its zygote's death, warm and cold workers."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import until

import sundog
from sundog import _core, _paths


def daemon(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs the daemon with flags that end it at once."""
    return subprocess.run(
        [_paths.daemon(), *flags], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--num-cpu", "2"], "unknown flag '--num-cpu'; did you mean '--num-cpus'?"),
        (["--num-cpus", "many"], "--num-cpus: 'many' is not an amount"),
        (["--resource", "disk"], "'disk' is not NAME=AMOUNT"),
        (["--session"], "--session needs a value: --session NAME"),
        ([], "--session must name the session"),
        (["--session", "a", "--session-dir", "b"], "--session-dir must be an absolute path"),
        (["--session", "a", "--session-dir", "/b"], "give --control-fd or --socket"),
    ],
)
def test_wrong_flags_are_told(flags: list[str], text: str) -> None:
    done = daemon(*flags)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_and_version_answer() -> None:
    assert "--zygote-config FILE" in daemon("--help").stdout
    assert daemon("--version").stdout.startswith("sundogd ")


def info(name: str) -> object:
    """One item of what the session tells about itself."""
    session = _core.current_session()
    assert session is not None
    return session.info()[name]


def log_text() -> str:
    """The daemon's log."""
    return Path(str(info("session_dir")), "logs", "daemon.log").read_text()


def zygote_pid() -> int:
    """The process that forks this session's workers: the first that the daemon started."""
    children = Path(f"/proc/{info('daemon_pid')}/task/{info('daemon_pid')}/children")
    pids = [int(pid) for pid in children.read_text().split()]
    return min(p for p in pids if b"_zygote_start.py" in Path(f"/proc/{p}/cmdline").read_bytes())


@sundog.remote(max_retries=5)
def die_once(path: str) -> int:
    """Ends its first worker, so that another one must be forked."""
    if not os.path.exists(path):
        Path(path).write_text("")
        os._exit(1)
    return os.getpid()


@sundog.remote
def has_numpy() -> bool:
    """Whether this worker has numpy without having asked for it."""
    import sys

    return "numpy" in sys.modules


def test_killed_zygote_is_replaced_and_nobody_notices(one_cpu: None, tmp_path: Path) -> None:
    assert sundog.get(has_numpy.remote()) in (True, False)
    before = zygote_pid()
    os.kill(before, signal.SIGKILL)
    assert sundog.get(die_once.remote(str(tmp_path / "n")), timeout=20) > 0
    until(lambda: f"the zygote ended  pid={before}" in log_text(), "its end is in the log")


def test_idle_workers_are_replaced_once_numpy_is_imported() -> None:
    assert np is not None  # the driver has it: so shall the workers
    sundog.init(num_cpus=2, object_store_memory=64 << 20, logging_level="warning")
    until(lambda: log_text().count("client gone") >= 2, "two cold workers are gone")
    assert sundog.get([has_numpy.remote() for _ in range(4)]) == [True] * 4


def test_sigterm_ends_the_session_cleanly() -> None:
    sundog.init(num_cpus=1, object_store_memory=64 << 20, logging_level="warning")
    folder, pid = str(info("session_dir")), int(str(info("daemon_pid")))
    os.kill(pid, signal.SIGTERM)
    until(lambda: not sundog.is_initialized(), "the driver saw it")
    assert os.listdir(folder) == ["logs"]
    assert "it got SIGTERM" in Path(folder, "logs", "daemon.log").read_text()
