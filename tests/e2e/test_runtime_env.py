"""Runtime environments: variables, copies of folders, hooks, and what cannot be had."""

import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program, session_processes, until

import sundog
from sundog.exceptions import RuntimeEnvSetupError, TaskCancelledError
from sundog.runtime_env import RuntimeEnv, RuntimeEnvConfig


@sundog.remote
def variable(name: str) -> str | None:
    return os.environ.get(name)


@sundog.remote
def variables_of_a_child(asked: dict[str, Any] | None) -> list[str | None]:
    child = variable.options(runtime_env=asked)
    return sundog.get([child.remote("A"), child.remote("B")])


@sundog.remote
def where() -> tuple[str, str]:
    return os.getcwd(), sys.path[0]


@sundog.remote
def content(name: str) -> str:
    return Path(name).read_text()


@sundog.remote
def imported(name: str, attribute: str) -> object:
    return getattr(__import__(name), attribute)


@sundog.remote
class Holder:
    def variable(self, name: str) -> str | None:
        return os.environ.get(name)


NO_PYTHON: dict[str, Any] = {"py_executable": "/there/is/no/python"}


# ---------------------------------------------------------------- what workers have


def test_tasks_and_actors_have_their_variables(session: Any) -> None:
    asked = {"env_vars": {"A": "one"}}
    plain, own = variable.remote("A"), variable.options(runtime_env=asked).remote("A")
    holder = Holder.options(runtime_env=asked).remote()
    assert sundog.get([plain, own, holder.variable.remote("A")]) == [None, "one", "one"]


def test_variables_are_there_before_the_interpreter_starts(session: Any) -> None:
    """What is read when a library is loaded counts: here, what the C library has."""

    @sundog.remote(runtime_env={"env_vars": {"A_FROM_THE_START": "yes"}})
    def from_the_start() -> bool:
        parts = Path("/proc/self/environ").read_bytes().split(b"\0")
        return b"A_FROM_THE_START=yes" in parts

    assert sundog.get(from_the_start.remote())


def test_a_variable_may_use_what_the_program_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BASE_OF_A", "/base")
    with sundog.init(num_cpus=1, runtime_env={"env_vars": {"A": "${BASE_OF_A}/x:${NOT_SET}"}}):
        assert sundog.get(variable.remote("A")) == "/base/x:"


def test_a_child_inherits_and_its_variables_are_merged(session: Any) -> None:
    parent = variables_of_a_child.options(runtime_env={"env_vars": {"A": "1", "B": "2"}})
    assert sundog.get(parent.remote(None)) == ["1", "2"]
    assert sundog.get(parent.remote({"env_vars": {"B": "3"}})) == ["1", "3"]


def test_a_job_has_an_environment_that_tasks_add_to() -> None:
    with sundog.init(num_cpus=2, runtime_env={"env_vars": {"A": "job", "B": "job"}}):
        assert sundog.get(variable.remote("A")) == "job"
        asked = {"env_vars": {"B": "task"}}
        assert sundog.get(variables_of_a_child.options(runtime_env=asked).remote(None)) == [
            "job",
            "task",
        ]
    with sundog.init(num_cpus=1):  # the next session has none of it
        assert sundog.get(variable.remote("A")) is None


def test_other_keys_are_replaced(session: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)

    @sundog.remote(runtime_env={"working_dir": str(tmp_path / "first")})
    def parent(other: str) -> list[str]:
        child = content.options(runtime_env={"working_dir": other})
        return [*sundog.get([content.remote("first.txt"), child.remote("second.txt")])]

    assert sundog.get(parent.remote(str(tmp_path / "second"))) == ["first", "second"]


def test_workers_have_a_copy_of_the_folder(session: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("VALUE = 1\n")
    (tmp_path / "data.txt").write_text("as it was")
    own = {"working_dir": str(tmp_path)}
    folder, first = sundog.get(where.options(runtime_env=own).remote())
    assert folder == first and folder != str(tmp_path)
    (tmp_path / "data.txt").write_text("changed")
    (tmp_path / "mine.py").write_text("VALUE = 2\n")
    # The same function with the same options was made known before the change.
    assert sundog.get(where.options(runtime_env=own).remote())[0] == folder
    changed = content.options(runtime_env=own)
    assert sundog.get(changed.remote("data.txt")) == "changed"
    assert sundog.get(imported.options(runtime_env=own).remote("mine", "VALUE")) == 2
    assert Path(folder, "data.txt").read_text() == "as it was"


def test_what_lies_beside_the_script_is_not_in_the_copy(tmp_path: Path) -> None:
    for name in ("script", "copied"):
        (tmp_path / name).mkdir()
    (tmp_path / "script" / "beside.py").touch()
    (tmp_path / "copied" / "inside.py").touch()
    code = f"""
        import sundog, beside

        sundog.init(num_cpus=1, runtime_env={{"working_dir": {str(tmp_path / "copied")!r}}})

        @sundog.remote
        def found(name):
            from importlib.util import find_spec

            return find_spec(name) is not None

        print(sundog.get([found.remote(name) for name in ("inside", "beside")]))
    """
    assert run_program(code, tmp_path / "script").stdout.strip() == "[True, False]"


def test_what_is_excluded_is_not_copied(session: Any, tmp_path: Path) -> None:
    for name in ("kept.txt", "big.bin", "build/out.o", "notes/secret.md", "notes/open.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / ".gitignore").write_text("build/\n*.md\n!open.md\n")
    (tmp_path / ".git").mkdir()

    @sundog.remote(runtime_env={"working_dir": str(tmp_path), "excludes": ["*.bin"]})
    def files() -> list[str]:
        return sorted(str(p.relative_to(".")) for p in Path().rglob("*") if p.is_file())

    assert sundog.get(files.remote()) == [".gitignore", "kept.txt", "notes/open.md"]


def test_a_working_dir_may_be_a_zip(session: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("inside.txt", "zipped")
    asked = {"working_dir": tmp_path / "w.zip"}
    assert sundog.get(content.options(runtime_env=asked).remote("inside.txt")) == "zipped"


def test_modules_are_copied_and_imported(session: Any, tmp_path: Path) -> None:
    (tmp_path / "pack_a").mkdir()
    (tmp_path / "pack_a" / "__init__.py").write_text("WHO = 'pack_a'\n")
    (tmp_path / "single_b.py").write_text("WHO = 'single_b'\n")
    with zipfile.ZipFile(tmp_path / "wheel_c-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("wheel_c/__init__.py", "WHO = 'wheel_c'\n")
    names = ["pack_a", "single_b.py", "wheel_c-1.0-py3-none-any.whl"]
    asked = {"py_modules": [str(tmp_path / name) for name in names]}
    own = imported.options(runtime_env=asked)
    found = sundog.get([own.remote(name, "WHO") for name in ("pack_a", "single_b", "wheel_c")])
    assert found == ["pack_a", "single_b", "wheel_c"]


def test_a_hook_runs_once_in_each_worker_before_its_first_task(
    session: Any, tmp_path: Path
) -> None:
    def hook() -> None:
        with open(tmp_path / "hooked", "a") as file:
            file.write(f"{os.getpid()}\n")

    own = variable.options(runtime_env={"worker_process_setup_hook": hook})
    sundog.get([own.remote("A") for _ in range(20)])
    pids = (tmp_path / "hooked").read_text().split()
    assert pids and len(pids) == len(set(pids))


def test_a_hook_that_raises_is_an_error_of_the_environment(session: Any) -> None:
    def broken() -> None:
        raise RuntimeError("the hook is broken")

    own = variable.options(runtime_env={"worker_process_setup_hook": broken})
    with pytest.raises(RuntimeEnvSetupError, match="the hook is broken"):
        sundog.get(own.remote("A"))
    assert sundog.get(variable.remote("A")) is None


def test_preloaded_modules_are_there(session: Any) -> None:
    @sundog.remote(runtime_env={"preload": ["colorsys"]})
    def is_there() -> bool:
        return "colorsys" in sys.modules

    assert sundog.get(is_there.remote())


def test_another_interpreter(session: Any, tmp_path: Path) -> None:
    command = tmp_path / "python-of-mine"
    command.write_text(f'#!/bin/sh\nMARK=mine exec {sys.executable} "$@"\n')
    command.chmod(0o755)
    own = variable.options(runtime_env={"py_executable": str(command)})
    assert sundog.get(own.remote("MARK")) == "mine"


def test_an_interpreter_that_talks_more_than_a_pipe_holds(session: Any, tmp_path: Path) -> None:
    command = tmp_path / "python-that-talks"
    command.write_text(f'#!/bin/sh\nseq 100000\nexec {sys.executable} "$@"\n')
    command.chmod(0o755)
    own = variable.options(
        runtime_env={"py_executable": str(command), "config": {"setup_timeout_seconds": 20}}
    )
    assert sundog.get(own.remote("PATH"), timeout=60) is not None


def test_what_the_context_tells(session: Any) -> None:
    @sundog.remote(runtime_env={"env_vars": {"A": "1"}})
    def told() -> tuple[str, RuntimeEnv]:
        context = sundog.get_runtime_context()
        return context.get_runtime_env_string(), context.runtime_env

    assert sundog.get(told.remote()) == ('{"env_vars":{"A":"1"}}', {"env_vars": {"A": "1"}})
    assert sundog.get_runtime_context().get_runtime_env_string() == "{}"


# ---------------------------------------------------------------- what cannot be had


def test_all_that_wait_fail_and_others_run(session: Any) -> None:
    own = variable.options(runtime_env=NO_PYTHON)
    waiting, plain = [own.remote("A") for _ in range(5)], variable.remote("A")
    assert sundog.get(plain) is None
    for ref in waiting:
        with pytest.raises(RuntimeEnvSetupError, match="cannot be started: No such file") as told:
            sundog.get(ref)
    log = re.search(r"The whole log: (\S+)", str(told.value))
    assert log is not None and "py_executable" in Path(log[1]).read_text()
    holder = Holder.options(runtime_env=NO_PYTHON).remote()
    with pytest.raises(RuntimeEnvSetupError, match="No such file"):
        sundog.get(holder.variable.remote("A"))


def test_what_failed_is_tried_again_when_it_is_asked_for(session: Any, tmp_path: Path) -> None:
    command = tmp_path / "python-later"
    own = variable.options(runtime_env={"py_executable": str(command)})
    with pytest.raises(RuntimeEnvSetupError, match="No such file"):
        sundog.get(own.remote("A"))
    command.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    command.chmod(0o755)
    assert sundog.get(own.remote("PATH"), timeout=30) is not None


def slow_python(folder: Path) -> str:
    """A command that says that it runs, and never answers."""
    command = folder / "python-that-hangs"
    command.write_text(f"#!/bin/sh\necho $$ >> {folder}/began\nexec sleep 1000\n")
    command.chmod(0o755)
    return str(command)


def begun(folder: Path) -> list[int]:
    """The processes of ``slow_python`` that began."""
    path = folder / "began"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_preparing_takes_no_longer_than_it_may(session: Any, tmp_path: Path) -> None:
    asked = RuntimeEnv(
        py_executable=slow_python(tmp_path), config=RuntimeEnvConfig(setup_timeout_seconds=1)
    )
    with pytest.raises(RuntimeEnvSetupError, match=r"longer than the 1\.0 s that it may"):
        sundog.get(variable.options(runtime_env=asked).remote("A"))
    (pid,) = begun(tmp_path)
    until(lambda: not Path(f"/proc/{pid}").exists(), "what it started is gone")


def test_tasks_are_cancelled_while_their_environment_is_prepared(
    session: Any, tmp_path: Path
) -> None:
    own = variable.options(runtime_env={"py_executable": slow_python(tmp_path)})
    ref = own.remote("A")
    until(lambda: begun(tmp_path), "it is prepared")
    assert "is being prepared since" in str(sundog.explain(ref))
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    assert sundog.get(variable.remote("A")) is None


def test_a_crowd_of_environments_is_prepared_a_few_at_a_time(session: Any, tmp_path: Path) -> None:
    slow = slow_python(tmp_path)
    refs = [
        variable.options(runtime_env={"py_executable": slow, "env_vars": {"A": str(i)}}).remote("A")
        for i in range(10)
    ]
    until(lambda: len(begun(tmp_path)) == 8, "as many as may are prepared")
    assert "waits for its turn since" in str(sundog.explain(refs[9]))


def test_nothing_is_left_when_the_session_ends_while_one_is_prepared(tmp_path: Path) -> None:
    with sundog.init(num_cpus=1) as context:
        folder = Path(str(context["session_dir"])) / "environments"
        (tmp_path / "w").mkdir()
        own = {"working_dir": str(tmp_path / "w")}
        sundog.get(where.options(runtime_env=own).remote())
        slow = {"py_executable": slow_python(tmp_path)}
        ref = variable.options(runtime_env=slow).remote("A")
        until(lambda: begun(tmp_path), "it is prepared")
        assert folder.is_dir()
        del ref
    (pid,) = begun(tmp_path)
    until(lambda: not Path(f"/proc/{pid}").exists(), "what it started is gone")
    assert not folder.exists()


def test_nothing_is_left_when_the_daemon_is_killed(tmp_path: Path) -> None:
    session = sundog.init(num_cpus=1)
    folder = Path(str(session["session_dir"])) / "environments"
    slow = {"py_executable": slow_python(tmp_path)}
    refs = [
        variable.options(runtime_env={"env_vars": {"A": "1"}}).remote("A"),
        variable.options(runtime_env=slow).remote("A"),
    ]
    assert sundog.get(refs[0]) == "1"
    until(lambda: begun(tmp_path), "it is prepared")
    current = sundog._core.current_session()
    assert current is not None
    os.kill(int(str(current.info()["daemon_pid"])), 9)
    del refs
    sundog.shutdown()
    until(lambda: not session_processes(), "all processes are gone")
    assert folder.exists()
    with sundog.init(num_cpus=1):
        until(lambda: not folder.exists(), "the next session removed what was left")


@pytest.mark.parametrize(
    ("asked", "kind", "text"),
    [
        (5, TypeError, "runtime_env is a dictionary or RuntimeEnv, got int: 5"),
        ({"env_var": {}}, ValueError, "runtime_env has no 'env_var'; did you mean 'env_vars'?"),
        ({"env_vars": {"A": 1}}, TypeError, "runtime_env['env_vars']['A'] is a string, got int"),
        ({"env_vars": {"A=": "1"}}, ValueError, "'A=' cannot be a variable"),
        ({"conda": "x"}, ValueError, "runtime_env has no 'conda' in this version: conda env"),
        ({"image_uri": "x"}, ValueError, "workers run in no containers"),
        ({"container": {}}, ValueError, "workers run in no containers"),
        ({"java_jars": []}, ValueError, "Sundog runs Python and C++"),
        ({"nsight": "default"}, ValueError, "'nsight' in this version"),
        ({"mpi": {}}, ValueError, "'mpi' in this version"),
        ({"working_dir": "s3://b/x.zip"}, ValueError, "nothing is downloaded"),
        ({"working_dir": "/no/such/folder"}, ValueError, "/no/such/folder does not exist"),
        ({"py_modules": "x"}, TypeError, "['py_modules'] is a list of paths or modules"),
        ({"excludes": ["x"]}, ValueError, "give 'working_dir' or 'py_modules' too"),
        ({"pip": ["a"], "uv": ["a"]}, ValueError, "one of them installs packages, not both"),
        ({"pip": {"package": []}}, ValueError, "has no 'package'; did you mean 'packages'?"),
        ({"pip": "/no/requirements"}, ValueError, "/no/requirements cannot be read"),
        ({"worker_process_setup_hook": 5}, TypeError, "is a function or 'module.name'"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "is from 1 second on"),
        ({"config": {"setup_timeout": 5}}, ValueError, "did you mean 'setup_timeout_seconds'?"),
    ],
)
def test_wrong_descriptions_are_named(asked: Any, kind: type[Exception], text: str) -> None:
    for refuse in (
        lambda: sundog.init(runtime_env=asked),
        lambda: variable.options(runtime_env=asked),
        lambda: Holder.options(runtime_env=asked),
    ):
        with pytest.raises(kind, match=re.escape(text)):
            refuse()


def test_local_mode_has_none() -> None:
    with pytest.raises(ValueError, match="local_mode has none"):
        sundog.init(local_mode=True, runtime_env={"env_vars": {"A": "1"}})
    with (
        sundog.init(local_mode=True),
        pytest.raises(ValueError, match="runtime_env is for workers"),
    ):
        variable.options(runtime_env={"env_vars": {"A": "1"}}).remote("A")


def test_what_of_a_jobs_environment_cpp_has_not_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime_env = {"env_vars": {"A": "1"}, "preload": ["json"]}
    with sundog.init(num_cpus=1, runtime_env=runtime_env):
        for name in ("one", "two"):
            sundog.cpp_function(name).remote()
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if text.startswith("runtime_env")] == [
        "runtime_env (preload) is for Python: C++ workers have 'env_vars' and 'working_dir' alone"
    ]


def test_a_session_outlives_who_asks_for_too_many(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sundog import _environment

    monkeypatch.setattr(_environment, "DEFINED_MAX", len(_environment._defined) + 2)
    own = [variable.options(runtime_env={"env_vars": {"A": str(i)}}) for i in range(3)]
    refs = [task.remote("A") for task in own[:2]]
    with pytest.raises(ValueError, match="different runtime environments, as many as a session"):
        own[2].remote("A")
    assert sundog.get([*refs, own[0].remote("A")]) == ["0", "1", "0"]


def test_a_folder_that_is_too_large_is_named(tmp_path: Path) -> None:
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(600 << 20)
    with (
        sundog.init(num_cpus=1),
        pytest.raises(ValueError, match=r"too large to copy.*large.bin \(629 MB\)"),
    ):
        where.options(runtime_env={"working_dir": str(tmp_path)}).remote()


def test_a_description_is_checked_pickled_and_written() -> None:
    env = RuntimeEnv(env_vars={"A": "1"}, pip=["x"])
    assert env == {"env_vars": {"A": "1"}, "pip": {"packages": ["x"]}}
    assert env.has_pip() and not env.has_uv() and not env.has_working_dir()
    env["env_vars"] = {"B": "2"}
    env.set("pip", None)
    assert env.to_dict() == {"env_vars": {"B": "2"}} and env.env_vars() == {"B": "2"}
    assert RuntimeEnv.deserialize(env.serialize()) == env
    import pickle

    assert type(pickle.loads(pickle.dumps(env))) is RuntimeEnv
    with pytest.raises(TypeError, match="is a string, got int"):
        env["env_vars"] = {"A": 1}


def test_a_program_that_joins_has_its_own(session: Any, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "inside.txt").write_text("copied")
    program = """
        import os, sys, sundog
        sundog.init("auto", runtime_env={"env_vars": {"A": "joined"}, "working_dir": sys.argv[1]})

        @sundog.remote
        def seen():
            return os.environ["A"], os.environ["MINE"], open("inside.txt").read(), sys.path[0]

        a, mine, text, first = sundog.get(seen.remote())
        print(a, mine, text, first == os.getcwd(), "environments" in first)
    """
    script = tmp_path / "joins.py"
    script.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "w")],
        env={**os.environ, "MINE": "of the second", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split("\n")[0] == "joined of the second copied False True", done.stderr
    assert sundog.get(variable.remote("A")) is None
