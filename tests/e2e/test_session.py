"""Sessions: starting, ending, ending badly."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import descendants, run_program, until
from neighbours import within

import sundog
from sundog import _core, _machine, _session


@sundog.remote
def square(x: int) -> int:
    return x * x


def daemon_pid() -> int:
    session = _core.current_session()
    assert session is not None
    return int(str(session.info()["daemon_pid"]))


def test_ten_sessions_in_one_process() -> None:
    names = set()
    array = None
    for i in range(10):
        context = sundog.init(num_cpus=2, object_store_memory=64 << 20, logging_level="warning")
        names.add(context.session_name)
        assert sundog.is_initialized()
        assert sundog.get([square.remote(i), square.remote(i + 1)]) == [i * i, (i + 1) ** 2]
        array = sundog.get(sundog.put(np.full(100_000, i)))
        sundog.shutdown()
        assert not sundog.is_initialized()
        assert array.sum() == 100_000 * i
    assert len(names) == 10


def test_shutdown_without_a_session_does_nothing() -> None:
    sundog.shutdown()
    sundog.shutdown()


def test_context_is_a_mapping_and_ends_the_session() -> None:
    with sundog.init(num_cpus=1, logging_level="warning") as context:
        assert os.path.isdir(str(context["session_dir"]))
        assert os.stat(str(context["session_dir"])).st_mode & 0o077 == 0
        assert context["webui_url"] is None  # does not run: not invented
        assert "node_id" in dict(context)
        assert sundog.get(square.remote(3)) == 9
    assert not sundog.is_initialized()


def test_second_init_is_refused_or_ignored(session: None) -> None:
    with pytest.raises(RuntimeError, match="is running already"):
        sundog.init()
    again = sundog.init(num_cpus=99, ignore_reinit_error=True)
    assert sundog.cluster_resources()["CPU"] == 4
    assert again["node_id"] == sundog.nodes()[0]["NodeID"]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"num_cpu": 2}, ValueError, "init() has no 'num_cpu'; did you mean 'num_cpus'?"),
        ({"job_config": 5}, TypeError, "init(): job_config is a JobConfig or a dictionary, got 5"),
        ({"dashboard_host": "x"}, ValueError, "init(): 'dashboard_host' is not in this version"),
        ({"include_dashboard": True}, ValueError, "include_dashboard=True is not in"),
        ({"namespace": 5}, TypeError, "namespace is a string, got int: 5"),
        ({"namespace": ""}, ValueError, "namespace is a string that is not empty"),
        ({"namespace": "x" * 200}, ValueError, "namespace has at most 127 bytes"),
        ({"num_cpus": -1}, ValueError, "num_cpus is a number from 0 on"),
        ({"preload": "numpy"}, TypeError, "preload is a list of module names"),
        ({"logging_level": "loud"}, ValueError, "logging_level is one of"),
        ({"job_weight": 0}, ValueError, "job_weight is a number from 0.01 to 100, got 0: a prog"),
        ({"job_weight": "2"}, TypeError, "job_weight is a number, got '2'"),
        ({"address": "10.0.0.1:6379"}, ValueError, "address is 'auto', 'local', a sess"),
    ],
)
def test_keywords_of_init_are_checked(
    options: dict[str, object], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        sundog.init(**options)  # type: ignore[arg-type]
    assert not sundog.is_initialized()


def test_resources_of_the_session(session: None) -> None:
    assert sundog.cluster_resources()["CPU"] == 4
    until(lambda: sundog.available_resources().get("CPU") == 4, "all CPUs are free")
    assert sundog.nodes()[0]["Alive"]


def test_worker_looks_like_the_driver(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def look() -> dict[str, object]:
        return {"cwd": os.getcwd(), "path": sys.path, "prefix": sys.prefix, "argv": sys.argv}

    seen = sundog.get(look.remote())
    assert seen["cwd"] == os.getcwd()
    assert seen["prefix"] == sys.prefix
    assert seen["path"] == [entry or os.getcwd() for entry in sys.path]


def test_preloaded_module_is_there_in_workers_forked_later() -> None:
    sundog.init(num_cpus=1, preload=["wave"], logging_level="warning")

    @sundog.remote(max_retries=0)
    def loaded(leave: bool) -> bool:
        if leave:
            os._exit(0)
        return "wave" in sys.modules

    def with_new_worker() -> object:
        with pytest.raises(sundog.exceptions.WorkerCrashedError):
            sundog.get(loaded.remote(True))
        return sundog.get(loaded.remote(False))

    until(with_new_worker, "a worker was forked after the zygote's second stage")


def test_nothing_is_left_when_the_driver_exits_without_shutdown(tmp_path: Path) -> None:
    program = """
        import os, sundog
        sundog.init(num_cpus=2, logging_level="warning")

        @sundog.remote
        def pid():
            return os.getpid()

        print(sundog.get(pid.remote()), flush=True)
        {ending}
    """
    for ending in ("", "raise SystemExit(0)", "os._exit(0)"):
        done = run_program(program.format(ending=ending), tmp_path)
        worker = int(done.stdout)
        until(lambda w=worker: not os.path.exists(f"/proc/{w}"), f"worker gone after {ending!r}")


def test_nothing_is_left_when_the_driver_is_killed(tmp_path: Path) -> None:
    program = """
        import os, sundog
        sundog.init(num_cpus=2, logging_level="warning")

        @sundog.remote
        def pid():
            return os.getpid()

        print(sundog.get(pid.remote()), flush=True)
        os.kill(os.getpid(), 9)
    """
    done = run_program(program, tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    worker = int(done.stdout)
    until(lambda: not os.path.exists(f"/proc/{worker}"), "the worker is gone", 2)


@pytest.mark.alone
def test_killed_daemon_ends_every_wait_and_a_new_session_works() -> None:
    sundog.init(num_cpus=2, object_store_memory=64 << 20, logging_level="warning")

    @sundog.remote
    def forever() -> None:
        time.sleep(1000)

    held = sundog.get(sundog.put(np.arange(100_000)))
    ref = forever.remote()
    children = descendants(os.getpid())
    os.kill(daemon_pid(), signal.SIGKILL)
    with within(1.0), pytest.raises(sundog.exceptions.NodeDiedError):
        sundog.get(ref)
    assert held.sum() == 100_000 * 99_999 // 2
    with pytest.raises(sundog.exceptions.NodeDiedError):
        sundog.put(1)
    assert not sundog.is_initialized()
    sundog.init(num_cpus=1, logging_level="warning")
    assert sundog.get(square.remote(4)) == 16
    until(lambda: not any(os.path.exists(f"/proc/{p}/exe") for p in children), "all are gone", 3)


def test_interrupt_ends_a_get_and_leaves_the_session_usable(tmp_path: Path) -> None:
    program = """
        import os, signal, threading, time, sundog
        sundog.init(num_cpus=2, logging_level="warning")

        @sundog.remote
        def sleep(seconds):
            time.sleep(seconds)
            return "slept"

        ref = sleep.remote(1.0)
        threading.Timer(0.2, os.killpg, (os.getpgrp(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            sundog.get(ref)
        except KeyboardInterrupt:
            print(f"{time.monotonic() - began < 0.5}")
        print(sundog.get(ref))
    """
    path = tmp_path / "program.py"
    import textwrap

    path.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert (done.stdout, done.stderr) == ("True\nslept\n", "")


def test_import_is_light(tmp_path: Path) -> None:
    program = """
        import sys
        before = set(sys.modules)
        import sundog
        heavy = {"numpy", "cloudpickle", "json", "inspect", "typing", "logging", "dataclasses",
                 "pickle", "subprocess", "socket", "threading", "asyncio", "collections"}
        print(sorted(heavy & (set(sys.modules) - before)))
    """
    assert run_program(program, tmp_path).stdout == "[]\n"


@pytest.mark.parametrize(
    ("files", "quota", "limit"),
    [
        ({}, None, None),
        ({"self": "0::/a/b\n", "cgroup/a/cpu.max": "150000 100000\n"}, 1.5, None),
        (
            {
                "self": "0::/a/b\n",
                "cgroup/a/b/cpu.max": "max 100000\n",
                "cgroup/a/cpu.max": "300000 100000\n",
                "cgroup/cpu.max": "50000 100000\n",
                "cgroup/a/memory.max": "max\n",
                "cgroup/memory.max": "1000000\n",
            },
            0.5,
            1_000_000,
        ),
        (
            {
                "self": "3:cpu,cpuacct:/x\n4:memory:/y\n",
                "cgroup/cpu/x/cpu.cfs_quota_us": "200000\n",
                "cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
                "cgroup/memory/y/memory.limit_in_bytes": "5000000\n",
                "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            2.0,
            5_000_000,
        ),
    ],
)
def test_limits_of_containers_are_seen(
    files: dict[str, str],
    quota: float | None,
    limit: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    read = _machine.read
    monkeypatch.setattr(_machine, "CGROUP_ROOT", str(tmp_path / "cgroup"))
    monkeypatch.setattr(
        _machine, "read", lambda p: read(str(tmp_path / "self") if p == "/proc/self/cgroup" else p)
    )
    assert _machine.cpu_quota() == quota
    assert _machine.memory_limit() == limit


def test_an_interrupt_while_the_daemon_starts_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(code: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_session, "prepare_first_call", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sundog.init(num_cpus=1)
    assert not sundog.is_initialized()
    sundog.init(num_cpus=1)
    assert sundog.get(sundog.put(1)) == 1
