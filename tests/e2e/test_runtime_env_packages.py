"""Packages of runtime environments, offline: wheels are made here."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import session_processes, until

import sundog
from sundog import _environment_cache
from sundog.exceptions import RuntimeEnvSetupError
from sundog.runtime_env import RuntimeEnv


@sundog.remote
def variable(name: str) -> str | None:
    import os

    return os.environ.get(name)


@sundog.remote
def imported(name: str, attribute: str) -> object:
    return getattr(__import__(name), attribute)


@sundog.remote
def open_files() -> list[str]:
    import os

    return [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]


@sundog.remote(num_cpus=0)
class Alive:
    def version(self) -> object:
        return __import__("sundog_tiny").VERSION


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of virtual environments of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sundog" / "environments"


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module, made by hand: nothing is downloaded."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


def pip(folder: Path, *packages: str) -> dict[str, Any]:
    """pip, offline."""
    options = ["--no-index", "--find-links", str(folder)]
    return {"pip": {"packages": list(packages), "pip_install_options": options}}


def test_pip_installs_once_for_many_askers(cache: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "sundog_tiny", "1.5")
    asked = pip(tmp_path, "sundog_tiny")
    own = imported.options(runtime_env=asked)
    with sundog.init(num_cpus=2) as context:
        logs = Path(str(context["session_dir"])) / "logs"
        # Different environments that need the same packages: they wait for one build.
        other = imported.options(runtime_env={**asked, "env_vars": {"A": "1"}})
        found = [f.remote("sundog_tiny", "VERSION") for f in (own, other) for _ in range(4)]
        assert sundog.get(found) == ["1.5"] * 8
        said = "".join(path.read_text() for path in logs.glob("runtime_env-*.log"))
        assert said.count("sundog: making ") == 1 and "found ready" in said
        with pytest.raises(ModuleNotFoundError):
            sundog.get(imported.remote("sundog_tiny", "VERSION"))
        # The program's own packages are there too.
        assert sundog.get(imported.options(runtime_env=asked).remote("pytest", "__name__"))
    with sundog.init(num_cpus=1, runtime_env=asked) as context:  # the next session finds it
        assert sundog.get(imported.remote("sundog_tiny", "VERSION")) == "1.5"
        logs = Path(str(context["session_dir"])) / "logs"
        said = "".join(path.read_text() for path in logs.glob("runtime_env-*.log"))
        assert "found ready" in said and "sundog: making " not in said
    assert len(list(cache.glob("*/ready"))) == 1


def test_who_waits_for_a_build_finds_it_though_its_builder_uses_it(
    cache: Path, tmp_path: Path
) -> None:
    """Two that looked at the same moment both find nothing; the one builds and keeps the lock."""
    wheel(tmp_path, "sundog_tiny", "1.5")
    own = imported.options(
        runtime_env={**pip(tmp_path, "sundog_tiny"), "config": {"setup_timeout_seconds": 60}}
    )
    with sundog.init(num_cpus=1):
        assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
    (ready,) = cache.glob("*/ready")
    hidden = ready.rename(ready.with_name("hidden"))  # as if the other one were still building
    lock = _environment_cache.take(str(ready.parent), _environment_cache.TOGETHER)
    assert lock is not None
    try:
        with sundog.init(num_cpus=1) as context:
            waiting = own.remote("sundog_tiny", "VERSION")
            logs = Path(str(context["session_dir"])) / "logs"

            def said() -> str:
                return "".join(path.read_text() for path in logs.glob("runtime_env-*.log"))

            until(lambda: "waiting for it" in said(), said)
            hidden.rename(ready)
            assert sundog.get(waiting) == "1.5"
            assert "found ready" in said() and "sundog: making " not in said()
    finally:
        os.close(lock)


def test_pip_that_fails_shows_its_log(cache: Path, session: Any, tmp_path: Path) -> None:
    own = variable.options(runtime_env=pip(tmp_path, "sundog_absent==7"))
    with pytest.raises(RuntimeEnvSetupError) as told:
        sundog.get(own.remote("A"))
    text = str(told.value)
    assert "pip install ended with exit code 1; asked was" in text and "sundog_absent==7" in text
    assert "  | ERROR: No matching distribution found for sundog_absent==7" in text
    log = re.search(r"The whole log: (\S+)", text)
    assert log is not None and "No matching distribution" in Path(log[1]).read_text()
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []  # nothing half-built
    wheel(tmp_path, "sundog_absent", "7")
    assert sundog.get(own.remote("A"), timeout=60) is None


def test_logs_have_no_secrets(cache: Path, tmp_path: Path) -> None:
    asked = pip(tmp_path, "sundog_absent==7")
    asked["pip"]["pip_install_options"] += ["--index-url", "http://me:hidden1@localhost:9/simple"]
    own = variable.options(runtime_env={**asked, "env_vars": {"TOKEN_OF_A": "hidden2"}})
    with sundog.init(num_cpus=1) as context:
        with pytest.raises(RuntimeEnvSetupError) as told:
            sundog.get(own.remote("TOKEN_OF_A"))
        logs = Path(str(context["session_dir"])) / "logs"
        said = "".join(path.read_text() for path in logs.iterdir())
    assert "TOKEN_OF_A" in said and "@localhost:9" in said and "@localhost:9" in str(told.value)
    assert "hidden" not in said + str(told.value)


def test_what_an_interrupted_build_left_is_removed(cache: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "sundog_tiny", "1.5")
    own = imported.options(runtime_env=pip(tmp_path, "sundog_tiny"))
    with sundog.init(num_cpus=1):
        assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
    (ready,) = cache.glob("*/ready")
    ready.unlink()
    (ready.parent / "half").write_text("left")
    with sundog.init(num_cpus=1):
        assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
    assert ready.exists() and not (ready.parent / "half").exists()


def test_packages_come_before_the_programs_own(cache: Path, session: Any, tmp_path: Path) -> None:
    """Another version of what the program has: the worker has the asked one."""
    wheel(tmp_path, "iniconfig", "99.0")
    own = imported.options(runtime_env=pip(tmp_path, "iniconfig==99.0"))
    assert sundog.get(own.remote("iniconfig", "VERSION")) == "99.0"
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"# offline\n--no-index\n--find-links {tmp_path}\niniconfig==99.0\n")
    own = imported.options(runtime_env={"pip": str(requirements)})
    assert sundog.get(own.remote("iniconfig", "VERSION")) == "99.0"


def test_a_package_beside_the_program_is_found_from_anywhere(
    cache: Path, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session was started elsewhere."""
    path = wheel(tmp_path, "sundog_tiny", "1.5")
    monkeypatch.chdir(tmp_path)
    own = imported.options(runtime_env={"pip": [f"./{path.name}"]})
    assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
    asked = RuntimeEnv(pip=["-e ../mine[extra]", "plain[extra]>=1", "."])
    assert asked["pip"] == {
        "packages": [f"-e {tmp_path.parent}/mine[extra]", "plain[extra]>=1", str(tmp_path)]
    }


def test_uv_installs_too(cache: Path, session: Any, tmp_path: Path) -> None:
    wheel(tmp_path, "sundog_tiny", "1.5")
    options = ["--no-index", "--find-links", str(tmp_path)]
    asked = {"uv": {"packages": ["sundog_tiny"], "uv_pip_install_options": options}}
    own = imported.options(runtime_env=asked)
    assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"


# ---------------------------------------------------------------- what is kept


DAY = 86400


def kept(cache: Path, name: str, size: int, unused_days: float) -> Path:
    """A virtual environment in the cache as a build leaves it."""
    folder = cache / hashlib.md5(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "lib").write_bytes(b"x" * size)
    _environment_cache.finish(str(folder), "pip", {"packages": [name]})
    moment = time.time() - unused_days * DAY
    os.utime(folder / "ready", (moment, moment))
    return folder


def test_what_is_old_or_too_much_is_removed(cache: Path) -> None:
    old, big = kept(cache, "old", 1, 31), kept(cache, "big", 900_000, 3)
    small, fresh = kept(cache, "small", 100_000, 2), kept(cache, "fresh", 900_000, 0)
    half = cache / ("0" * 32)
    half.mkdir()
    (cache / f"{'1' * 32}.lock").touch()
    other = cache / "of-somebody-else"
    other.mkdir()
    removed = _environment_cache.trim(10e9, 30)
    assert {Path(e.folder) for e in removed} == {old, half, cache / ("1" * 32)}
    removed = _environment_cache.trim(500_000, 30)  # a fresh one stays, and counts
    assert [Path(e.folder) for e in removed] == [big, small]
    assert {path.name for path in cache.iterdir()} == {fresh.name, other.name}


def test_what_somebody_uses_or_asks_for_meanwhile_stays(cache: Path) -> None:
    used, asked = kept(cache, "used", 1, 40), kept(cache, "asked", 1, 41)
    lock = _environment_cache.take(str(used), _environment_cache.TOGETHER)
    second = _environment_cache.take(str(used), _environment_cache.TOGETHER)
    assert lock is not None and second is not None
    entries = _environment_cache.entries()
    os.utime(asked / "ready")
    assert [_environment_cache.remove(entry) for entry in entries] == [False, False]
    os.close(lock)
    assert _environment_cache.trim(0, 0) == []
    os.close(second)
    assert [Path(e.folder) for e in _environment_cache.trim(0, 0)] == [used]


def test_who_waits_for_a_lock_that_is_removed_gets_the_next(cache: Path) -> None:
    """Else two builders would each hold a lock, one of them of no name."""
    folder = str(kept(cache, "a", 1, 0))
    first = _environment_cache.take(folder, _environment_cache.ALONE)
    assert first is not None

    def meanwhile() -> None:
        os.unlink(f"{folder}.lock")
        os.close(first)

    second = _environment_cache.take(folder, _environment_cache.ALONE, meanwhile)
    assert second is not None
    assert _environment_cache.take(folder, _environment_cache.TOGETHER) is None
    os.close(second)


def test_packages_are_kept_as_long_as_a_worker_has_them(cache: Path, tmp_path: Path) -> None:
    """Workers hold the lock themselves, whatever becomes of their zygote."""
    wheel(tmp_path, "sundog_tiny", "1.5")
    own = imported.options(runtime_env=pip(tmp_path, "sundog_tiny"))
    with sundog.init(num_cpus=1):
        assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
        held = sundog.get(open_files.options(runtime_env=pip(tmp_path, "sundog_tiny")).remote())
        (entry,) = _environment_cache.entries()
        assert f"{entry.folder}.lock" in held
        assert entry.in_use() and not _environment_cache.remove(entry)
        assert _environment_cache.trim(0, 0) == []
        command = [sys.executable, "-m", "sundog"]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        shown = subprocess.check_output([*command, "list", "packages"], text=True, env=environ)
        assert "in use  sundog_tiny" in shown and "\n1 environments, " in shown, shown
        shown = subprocess.check_output([*command, "clean"], text=True, env=environ)
        assert shown == "0 removed, 0 MB; 1 left, which somebody uses\n"
    until(lambda: not entry.in_use(), "its processes are gone")
    shown = subprocess.check_output([*command, "clean"], text=True, env=environ)
    assert shown.startswith("1 removed, ") and list(cache.iterdir()) == []


def test_a_build_removes_what_is_too_much(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNDOG_PACKAGES_DAYS_MAX", "1")
    old = kept(cache, "old", 1, 2)
    wheel(tmp_path, "sundog_tiny", "1.5")
    own = imported.options(runtime_env=pip(tmp_path, "sundog_tiny"))
    with sundog.init(num_cpus=1):
        assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
    assert not old.exists() and len(list(cache.glob("*/ready"))) == 1


def test_packages_that_were_removed_are_installed_again(cache: Path, tmp_path: Path) -> None:
    """By hand, under a session: a zygote that finds none ends, and the next try builds."""
    wheel(tmp_path, "sundog_tiny", "1.5")
    own = Alive.options(runtime_env=pip(tmp_path, "sundog_tiny"))

    def works() -> bool:
        try:
            return bool(sundog.get(own.remote().version.remote()) == "1.5")
        except RuntimeEnvSetupError as error:
            told.append(str(error))
            return False

    told: list[str] = []
    with sundog.init(num_cpus=1):
        assert works()
        for path in cache.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (zygote,) = (pid for pid in session_processes() if is_of_an_environment(pid))
        os.kill(zygote, 9)
        until(works, "they are installed again")
        assert told and all("somebody removed the packages" in text for text in told)
        assert len(list(cache.glob("*/ready"))) == 1


def is_of_an_environment(pid: int) -> bool:
    """Whether the process is the zygote of one."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return any(b"/environments/" in word and word.endswith(b".config") for word in words)


@pytest.mark.parametrize("value", ["many", "-1", "nan"])
def test_a_limit_that_is_no_number_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SUNDOG_PACKAGES_BYTES_MAX", value)
    own = variable.options(runtime_env=pip(tmp_path, "sundog_tiny"))
    with (
        sundog.init(num_cpus=1),
        pytest.raises(RuntimeEnvSetupError, match=rf"SUNDOG_PACKAGES_BYTES_MAX is .*'{value}'"),
    ):
        sundog.get(own.remote("A"))


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    own = variable.options(runtime_env=pip(tmp_path, "sundog_tiny"))
    told = "packages cannot be kept in .*Not a directory.*XDG_CACHE_HOME names another place"
    with sundog.init(num_cpus=1), pytest.raises(RuntimeEnvSetupError, match=told):
        sundog.get(own.remote("A"))
