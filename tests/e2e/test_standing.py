"""``sundog start`` and ``ray start --head``: a session that stands until ``stop``."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_program, until

import sundog
from sundog import _paths

ROOT = Path(__file__).resolve().parent.parent.parent
WITH_RAY = os.pathsep.join([str(ROOT / "compat/ray"), *(p for p in sys.path if p)])


def command(*words: str, module: str = "sundog") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": WITH_RAY},
    )


def ray(*words: str) -> subprocess.CompletedProcess[str]:
    return command(*words, module="ray._command")


def test_it_outlives_the_programs_that_join_it() -> None:
    words = ("--num-cpus", "3", "--num-gpus=1", "--resources", '{"licence": 2}')
    done = command("start", *words, "--labels", '{"zone": "a"}')
    assert (done.returncode, done.stderr) == (0, "")
    name = done.stdout.split()[1]
    assert done.stdout.startswith(f"session {name} runs until it is told to stop.\n")
    try:
        for turn in range(2):
            with sundog.init(address="auto", namespace="n", logging_level="warning"):
                assert sundog.get_runtime_context().get_session_name() == name
                has = sundog.cluster_resources()
                assert (has["CPU"], has["GPU"], has["licence"]) == (3, 1, 2)
                if turn == 0:
                    kept = sundog.remote(Kept).options(name="kept", lifetime="detached").remote()
                    sundog.get(kept.add.remote())
                else:
                    assert sundog.get(sundog.get_actor("kept").add.remote()) == 2
        assert "sundog start\n" in command("list", "jobs").stdout
    finally:
        assert command("stop", "--session", name).stdout.startswith(f"stopped session {name}; ")
    assert _paths.running_sockets() == []


class Kept:
    def __init__(self) -> None:
        self.value = 0

    def add(self) -> int:
        self.value += 1
        return self.value


def test_ray_init_joins_it_by_rays_addresses(tmp_path: Path) -> None:
    assert ray("start", "--head", "--num-cpus=2").returncode == 0
    name = _paths.session_of(_paths.running_sockets()[0])
    program = f"""
        import ray
        for address in (None, "auto", "ray://localhost:10001", "127.0.0.1:6379"):
            with ray.init(address, logging_level="error"):
                assert ray.get_runtime_context().get_session_name() == {name!r}, address
        with ray.init("local", num_cpus=1, logging_level="error"):
            assert ray.get_runtime_context().get_session_name() != {name!r}
        try:
            ray.init(num_cpus=2)
        except ValueError as error:
            print(error)
    """
    try:
        done = run_program(program, tmp_path, PYTHONPATH=WITH_RAY)
        assert "init(): num_cpus says what a new session has, and address=" in done.stdout
    finally:
        assert ray("stop", "--force").returncode == 0
    program = """
        import ray
        ray.init(num_cpus=1, logging_level="error")
        print(ray.cluster_resources()["CPU"])
    """
    assert run_program(program, tmp_path, PYTHONPATH=WITH_RAY).stdout == "1\n"


def test_it_ends_with_ctrl_c_in_the_foreground() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sundog", "start", "--block", "--num-cpus", "1"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": WITH_RAY},
    ) as started:
        assert started.stdout is not None
        assert "runs until it is told to stop" in started.stdout.readline()
        assert len(_paths.running_sockets()) == 1
        os.killpg(started.pid, signal.SIGINT)
        until(lambda: started.poll() is not None, "it ends")
    assert started.returncode == 0
    until(lambda: _paths.running_sockets() == [], "the session has ended")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--num-cpus", "many"), "sundog: start: --num-cpus wants a number, got 'many'"),
        (("--num-cpus", "-1"), "sundog: start: num_cpus is a number from 0 on, got -1.0"),
        (("--resources", "x=1"), "sundog: start: --resources is a JSON object like"),
        (("--address", "10.0.0.1:6379"), "leave out --address: one machine has one daemon"),
        (("--dashboard-host=0.0.0.0",), "leave out --dashboard-host: there is no dashboard"),
        (("--colour",), "sundog: start does not understand '--colour'"),
    ],
)
def test_wrong_words_say_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    done = command("start", *words)
    assert done.returncode in (1, 2) and said in done.stderr, done
    assert _paths.running_sockets() == []


def test_rays_command_wants_to_be_told_that_it_is_the_head() -> None:
    done = ray("start")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("ray: start wants --head: there is one machine, and it is the head\n")
