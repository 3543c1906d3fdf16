"""The import name `ray`: programs written for it, of today and of 2018."""

import importlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401  its threads come with the first import
import pytest
import ray_reference
from neighbours import in_its_window

import sundog

COMPAT = Path(__file__).resolve().parent.parent.parent / "compat" / "ray"
sys.path.insert(0, str(COMPAT))
ray: Any = importlib.import_module("ray")
needs_reference = pytest.mark.skipif(
    not ray_reference.PATH.exists(), reason=ray_reference.WHY_SKIPPED
)


def in_child(*words: str, path: str | None = None, **environment: str) -> Any:
    """Runs Python with `ray` on its path."""
    places = [p for p in ([path] if path else []) + sys.path if p]
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), **environment},
    )


@pytest.fixture
def ray_session() -> Iterator[Any]:
    """What `ray.init` returns, as a notebook of 2018 calls it."""
    yield ray.init(
        num_cpus=4,
        object_store_memory=256 << 20,
        include_webui=False,
        redirect_output=False,
        ignore_reinit_error=True,
        logging_level="warning",
    )


def test_names_are_those_of_sundog_and_of_2018() -> None:
    assert ray.ObjectID is ray.ObjectRef is sundog.ObjectRef
    assert ray.get is sundog.get and ray.remote is sundog.remote
    assert ray.exceptions.RayTaskError is sundog.exceptions.TaskError
    assert ray.exceptions.RayError is sundog.exceptions.SundogError
    assert issubclass(ray.exceptions.GetTimeoutError, TimeoutError)
    assert re.fullmatch(r"2\.60\.0\+sundog\d+\.\d+\.\d+", ray.__version__)


def test_a_program_of_ray_runs(ray_session: Any) -> None:
    @ray.remote
    def twice(x: int) -> int:
        return x * 2

    @ray.remote(num_cpus=2)
    def total(*refs: int) -> tuple[int, str]:
        return sum(refs) + ray.get(twice.remote(10)), ray.__version__

    value, version = ray.get(total.remote(*[twice.remote(i) for i in range(4)]))
    assert (value, version) == (32, ray.__version__)
    ref = ray.put(1)
    assert re.fullmatch(r"ObjectRef\([0-9a-f]{40}\)", repr(ref))
    assert ray.wait([ref], num_returns=1, timeout=None) == ([ref], [])
    with pytest.raises(ray.exceptions.RayTaskError):
        ray.get(twice.remote(None))


def test_cloudpickle_of_ray_carries_references_and_functions(ray_session: Any) -> None:
    from ray import cloudpickle  # type: ignore[attr-defined,unused-ignore]

    scale = 3
    pickled = cloudpickle.dumps({"ref": ray.put([1, 2]), "times": lambda x: x * scale})
    back = ray.cloudpickle.loads(pickled)
    assert ray.get(back["ref"]) == [1, 2]
    assert back["times"](5) == 15


def test_generators_are_where_programs_of_ray_import_them_from(ray_session: Any) -> None:
    raylet = ray._raylet

    def count() -> Iterator[int]:
        yield 1

    assert isinstance(ray.remote(count).remote(), raylet.ObjectRefGenerator)
    assert raylet.ObjectRefGenerator is ray.ObjectRefGenerator
    with pytest.raises(AttributeError, match=r"ray\._raylet\.CoreWorker is internal to Ray: of"):
        _ = raylet.CoreWorker


def test_init_returns_a_mapping_with_the_keys_of_2021() -> None:
    with ray.init(num_cpus=1, logging_level="error") as context:
        assert set(context) == {
            "node_ip_address", "raylet_ip_address", "redis_address", "object_store_address",
            "raylet_socket_name", "webui_url", "session_dir", "metrics_export_port", "node_id",
            "address",
        }  # fmt: skip
        assert Path(context["session_dir"]).is_dir()
        assert len(context["node_id"]) >= 32
        for part in ("redis_address", "object_store_address", "raylet_socket_name"):
            assert context[part] is None
        assert ray.is_initialized()
    assert not ray.is_initialized()


def test_keywords_of_2018_are_their_successors(capfd: pytest.CaptureFixture[str]) -> None:
    @ray.remote
    def chatter() -> None:
        print("a line of a task")

    ray.init(num_cpus=1, redirect_output=True, logging_level="error")
    ray.get(chatter.remote())
    ray.shutdown()
    assert "a line of a task" not in capfd.readouterr().out
    with pytest.raises(ValueError, match="include_dashboard=True is not in this version"):
        ray.init(include_webui=True)
    with pytest.raises(ValueError, match="'redirect_output' is the old name of 'log_to_driver'"):
        ray.init(redirect_output=True, log_to_driver=True)
    with pytest.raises(ValueError, match=r"init\(\) has no 'num_cpu'; did you mean 'num_cpus'"):
        ray.init(num_cpu=2)


def waited(ref: Any, timeout: float) -> float:
    began = time.monotonic()
    assert ray.wait([ref], timeout=timeout) == ([], [ref])
    return time.monotonic() - began


def test_wait_counts_seconds_and_points_out_milliseconds_once(
    ray_session: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray._calls, "_pointed_out", False)

    @ray.remote
    def nap() -> None:
        time.sleep(1)

    ref = nap.remote()
    assert waited(ref, 0.2) >= 0.2
    with caplog.at_level(logging.WARNING, "sundog"):
        assert ray.wait([ray.put(1)], timeout=99)[1] == []
        assert caplog.messages == []
        assert ray.wait([ray.put(1)], timeout=1000.0)[1] == []
        assert caplog.messages == []
        for _ in range(2):
            assert ray.wait([ray.put(1)], timeout=1000)[1] == []
    assert len(caplog.messages) == 1
    assert "waits up to 1000 seconds" in caplog.messages[0]
    assert "SUNDOG_RAY_WAIT_MS=1" in caplog.messages[0]
    ref = nap.remote()
    monkeypatch.setenv("SUNDOG_RAY_WAIT_MS", "1")
    assert 0.2 <= waited(ref, 200) < 1
    ray.get(ref)


def raised(action: Callable[[], object]) -> BaseException:
    with pytest.raises((ImportError, AttributeError)) as caught:
        action()
    return caught.value


LIBRARIES = ("data", "tune", "train", "serve", "rllib", "air", "workflow", "dag")


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_say_that_they_are_not_part_of_it(library: str) -> None:
    text = f"Sundog provides Ray Core; ray.{library} is not part of it."
    error = raised(lambda: importlib.import_module(f"ray.{library}"))
    assert isinstance(error, ModuleNotFoundError) and str(error) == text
    error = raised(lambda: importlib.import_module(f"ray.{library}.something"))
    assert isinstance(error, ModuleNotFoundError) and str(error) == text
    assert str(raised(lambda: getattr(ray, library))) == text
    done = in_child("-c", f"import ray.{library}")
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {text}"
    assert len(done.stderr.splitlines()) == 3, done.stderr  # heading, my line, error


def test_from_imports_say_it_too() -> None:
    done = in_child("-c", "from ray.util.accelerators import NVIDIA_A100 as kind; print(kind)")
    assert done.stdout == "A100\n", done.stderr
    done = in_child("-c", "from ray.util import collective")
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: ray.util.collective is a library of its own, and Sundog provides Ray "
        "Core."
    )
    done = in_child("-c", "import ray; ray.java_function('a', 'b')")
    assert done.stderr.splitlines()[-1] == (
        "AttributeError: ray.java_function is for Java, and Sundog runs Python and C++."
    )
    assert str(raised(lambda: ray.nonsense)) == "module 'ray' has no attribute 'nonsense'"
    done = in_child("-c", "import ray.nonsense")
    assert "No module named 'ray.nonsense'" in done.stderr


def test_a_real_ray_in_the_same_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ray-2.60.0.dist-info").mkdir()
    done = in_child("-c", "import ray", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: 'ray' and 'sundog-ray' are both installed; pip uninstall ray, then "
        "pip install --force-reinstall sundog-ray"
    )
    assert in_child("-m", "sundog", "doctor", path=str(tmp_path)).returncode == 0
    (tmp_path / "sundog_ray-0.1.0.dist-info").mkdir()
    done = in_child("-m", "sundog", "doctor", path=str(tmp_path))
    assert done.returncode == 1
    assert "BAD   import ray      'ray' and 'sundog-ray' are both installed; pip" in done.stdout
    (tmp_path / "ray-2.60.0.dist-info").rename(tmp_path / "ray_tools-1.0.dist-info")
    assert in_child("-c", "import ray", path=str(tmp_path)).returncode == 0


def command(*words: str) -> Any:
    return in_child("-m", "ray._command", *words)


def test_the_command_answers_and_refuses(ray_session: Any, tmp_path: Path) -> None:
    assert "CPU     0 of 4 used" in command("status").stdout
    assert "objects" in command("memory").stdout
    trace = tmp_path / "trace.json"
    assert f"{trace}: " in command("timeline", "-o", str(trace)).stdout
    assert trace.stat().st_size > 0
    assert command("--version").stdout == f"ray, version {ray.__version__}\n"
    subjects = ("tasks", "actors", "objects", "workers", "nodes", "jobs", "placement_groups")
    for subject in subjects:
        assert command("list", subject, "--address=auto", "--detail").returncode == 0
    (job,) = json.loads(command("list", "jobs", "--format", "json").stdout)
    assert json.loads(command("get", "jobs", job["job_id"]).stdout) == [job]
    assert "total_tasks" in command("summary", "tasks").stdout
    assert "get has as subjects tasks, actors" in command("get", "colours").stderr
    assert "daemon.log" in command("logs", "--address", "auto").stdout
    assert "daemon starts" in command("logs", "cluster", "daemon.log").stdout
    assert command("debug").stderr == "sundog: no task waits at a breakpoint\n"
    assert command("statos").stderr == "ray: no command 'statos'; did you mean 'status'?\n"
    for word in ("job", "up", "microbenchmark"):
        assert command(word).returncode == 2
    name = ray.get_runtime_context().get_session_name()
    done = command("stop")
    assert done.returncode == 0 and done.stdout.startswith(f"stopped session {name}; "), done
    with pytest.raises(ray.exceptions.NodeDiedError):
        ray.get(ray.remote(lambda: 1).remote())
    done = command("stop", "--force")
    said = "Did not find any session of this user on this machine.\n"
    assert (done.returncode, done.stdout) == (0, said)


@pytest.mark.alone
def test_import_costs_little() -> None:
    code = "import time; a = time.perf_counter(); import ray; print(time.perf_counter() - a)"
    code += "\nimport sys; print(sorted({'numpy', 'cloudpickle', 'logging'} & set(sys.modules)))"

    def check() -> None:
        runs = [in_child("-c", code).stdout.splitlines() for _ in range(5)]
        assert {modules for _, modules in runs} == {"[]"}
        assert min(float(seconds) for seconds, _ in runs) < 0.1

    in_its_window(check)


def resolve(name: str) -> bool:
    """Whether a program reaches this name."""
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        pass
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


@needs_reference
def test_every_name_of_ray_is_here_or_says_why_not() -> None:
    names = ray_reference.full_names()
    assert len(names) > 120 and "ray.wait" in names and "ray.util.state.list_tasks" in names
    missing = [name for name in names if not resolve(name)]
    print(f"{len(names) - len(missing)} of {len(names)} names; absent:", *missing, sep="\n  ")
    unexplained = [name for name in missing if ray._absent.sentence(name) is None]
    assert unexplained == []
    stale = [name for name in ray._absent.ABSENT if resolve(name)]
    assert stale == [], "these exist now: take them out of ray/_absent.py"


@needs_reference
@pytest.mark.parametrize("of", ["ObjectRef", "RuntimeContext"])
def test_every_member_is_here_or_in_the_list_of_absent_ones(of: str) -> None:
    cls = {"ObjectRef": ray.ObjectRef, "RuntimeContext": ray.runtime_context.RuntimeContext}[of]
    missing = {f"{of}.{name}" for name in ray_reference.members(of) if not hasattr(cls, name)}
    listed = {name for name in ray_reference.ABSENT_MEMBERS if name.startswith(f"{of}.")}
    assert missing == listed


@needs_reference
def test_init_takes_every_keyword_at_its_default_and_no_other_value_silently() -> None:
    defaults = ray_reference.init_defaults()
    assert len(defaults) > 20 and defaults["dashboard_host"] == "127.0.0.1"
    given = {name: value for name, value in defaults.items() if name != "logging_level"}
    with ray.init(**{**given, "num_cpus": 1, "logging_level": "error"}):
        pass
    from sundog import _session

    for name in defaults:
        if name in _session.INIT_OPTIONS or name == "address":
            continue
        with pytest.raises(ValueError, match=rf"init\(\): '{name}' is not in this version"):
            ray.init(**{name: "something else"})


def test_keywords_of_init_that_no_signature_has_are_known_by_name() -> None:
    private = ("_metrics_export_port", "_node_ip_address", "_plasma_directory", "_system_config")
    for name in private:
        with pytest.raises(ValueError, match=rf"init\(\): '{name}' is not in this version"):
            ray.init(**{name: "something"})
    with ray.init(num_cpus=1, logging_level="error", **dict.fromkeys(private)):
        assert ray.is_initialized()


@needs_reference
def test_every_option_of_functions_works_or_is_refused_by_name() -> None:
    from sundog import _options

    known = {*_options.FUNCTION_OPTIONS, *_options.LATER}
    assert {name for name in ray_reference.options("functions") if name not in known} == set()
    for name in _options.LATER:
        with pytest.raises(ValueError, match=f"option '{name}' is not in this version"):
            ray.remote(**{name: 1})


def test_an_option_of_functions_with_the_value_that_asks_for_nothing_is_taken(
    ray_session: Any,
) -> None:
    from sundog import _options

    nothing = {**_options.LATER, **dict.fromkeys(_options.LATER)}
    assert ray.get(ray.remote(lambda: 1).options(**nothing).remote()) == 1
    assert ray.get(ray.remote(**_options.LATER)(lambda: 2).remote()) == 2
