"""Packages of runtime environments, offline: wheels are made here."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

import sundog
from sundog.exceptions import RuntimeEnvSetupError


@sundog.remote
def variable(name: str) -> str | None:
    import os

    return os.environ.get(name)


@sundog.remote
def imported(name: str, attribute: str) -> object:
    return getattr(__import__(name), attribute)


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
        assert said.count("sundog: making ") == 1 and said.count("found ready") == 1
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


def test_uv_installs_too(cache: Path, session: Any, tmp_path: Path) -> None:
    wheel(tmp_path, "sundog_tiny", "1.5")
    options = ["--no-index", "--find-links", str(tmp_path)]
    asked = {"uv": {"packages": ["sundog_tiny"], "uv_pip_install_options": options}}
    own = imported.options(runtime_env=asked)
    assert sundog.get(own.remote("sundog_tiny", "VERSION")) == "1.5"
