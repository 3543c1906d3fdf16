"""The table of settings: true for `init`, for `sundog config`, and for docs/settings.md."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run_program

import sundog
from sundog import _machine, _paths, _settings

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "settings.md"
# Keywords of init that are no settings: refused ones, and one that has nothing to set.
NOT_IN_THE_TABLE = {"include_dashboard", "unknown"}
# Variables of tests, of building, and of what is compiled.
OF_THE_PROJECT = {"SUNDOG_GOLDEN"}


def config(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sundog", "config"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **environment},
    )


def test_the_page_is_what_the_table_makes() -> None:
    if os.environ.get("SUNDOG_GOLDEN") == "write":
        PAGE.write_text(_settings.page())
    assert PAGE.read_text() == _settings.page(), (
        "SUNDOG_GOLDEN=write .venv/bin/python -m pytest tests/e2e/test_settings.py writes it"
    )


def test_every_keyword_of_init_is_in_the_table() -> None:
    keywords = set(inspect.signature(sundog.init).parameters) - NOT_IN_THE_TABLE
    assert keywords == set(_settings.KEYWORDS)


def test_every_variable_that_the_source_reads_is_in_the_table() -> None:
    named = {row.variable for row in _settings.TABLE} | {name for name, _ in _settings.TOLD}
    found = set()
    for folder in ("python", "compat"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r"[\"']=?(SUNDOG_[A-Z_]+)[\"'=]", path.read_text()))
    for folder in ("src", "include"):
        for path in [*(ROOT / folder).rglob("*.cc"), *(ROOT / folder).rglob("*.h")]:
            if not path.name.endswith("_test.cc"):
                found |= set(re.findall(r"\"(SUNDOG_[A-Z_]+)[\"=]", path.read_text()))
    assert "SUNDOG_HOME" in found and len(found) > 5
    assert found - named - OF_THE_PROJECT == set()


def test_every_flag_is_one_of_the_daemon() -> None:
    told = subprocess.run([_paths.daemon(), "--help"], capture_output=True, text=True).stdout
    flags = [row.flag for row in _settings.TABLE if row.flag]
    assert flags and [flag for flag in flags if f" {flag} " not in told] == []


def row_of(text: str, setting: str) -> str:
    (line,) = (line for line in text.splitlines() if line.split("  ")[0] == setting)
    return re.sub(r"  +", " | ", line)


def test_config_tells_values_and_where_they_come_from() -> None:
    plain = config(SUNDOG_NUM_CPUS="")
    assert plain.returncode == 0
    assert row_of(plain.stdout, "num_cpus").startswith(f"num_cpus | {_machine.cpus().value:g} | ")
    assert row_of(plain.stdout, "logging_level").startswith("logging_level | info | default")
    for row in _settings.TABLE:
        row_of(plain.stdout, row.keyword or row.variable)
    told = config(
        SUNDOG_NUM_CPUS="3",
        SUNDOG_OBJECT_STORE_MEMORY="1e8",
        SUNDOG_LOG_TO_DRIVER="off",
        SUNDOG_PRELOAD="json, wave",
        SUNDOG_HOME="/somewhere/else",
    ).stdout
    assert row_of(told, "num_cpus").startswith("num_cpus | 3 | SUNDOG_NUM_CPUS | num_cpus | ")
    assert "| 100,000,000 | SUNDOG_OBJECT_STORE_MEMORY |" in row_of(told, "object_store_memory")
    assert "| off | SUNDOG_LOG_TO_DRIVER |" in row_of(told, "log_to_driver")
    assert "| json, wave | SUNDOG_PRELOAD |" in row_of(told, "preload")
    assert "| /somewhere/else | SUNDOG_HOME |" in row_of(told, "SUNDOG_HOME")


def test_a_variable_that_cannot_be_read_is_named() -> None:
    for variable, text in (
        ("SUNDOG_NUM_GPUS", "SUNDOG_NUM_GPUS is a number, got 'many'"),
        ("SUNDOG_LOG_TO_DRIVER", "SUNDOG_LOG_TO_DRIVER is 1 or 0, got 'many'"),
    ):
        done = config(**{variable: "many"})
        assert done.returncode == 1 and done.stderr == f"sundog: {text}\n"


def test_variables_count_and_keywords_come_first(tmp_path: Path) -> None:
    code = """
        import sundog
        from sundog import _session
        planned = []
        write = _session.write_zygote_config
        _session.write_zygote_config = lambda *given: (planned.extend(given[2]), write(*given))
        {init}
        @sundog.remote
        def chatter():
            print("a line of a task")
        context = sundog.get_runtime_context()
        resources = sundog.cluster_resources()
        session = sundog._core.current_session().info()
        print(resources["CPU"], resources["GPU"], session["store_bytes"])
        sundog.get(chatter.remote())
        print(context.namespace, planned)
    """
    environment = {
        "SUNDOG_NUM_CPUS": "3",
        "SUNDOG_NUM_GPUS": "2",
        "SUNDOG_OBJECT_STORE_MEMORY": "100000000",
        "SUNDOG_NAMESPACE": "of the environment",
        "SUNDOG_LOGGING_LEVEL": "error",
        "SUNDOG_LOG_TO_DRIVER": "0",
        "SUNDOG_PRELOAD": "wave",
    }
    for init in ("sundog.init()", "sundog.put(0)"):
        done = run_program(code.format(init=init), tmp_path, **environment)
        assert done.stdout.splitlines() == ["3 2 100000000", "of the environment ['wave']"]
        assert done.stderr == ""
    init = (
        "sundog.init(num_cpus=1, num_gpus=1, object_store_memory=50_000_000, namespace='mine',"
        " logging_level='info', log_to_driver=True, preload=[])"
    )
    done = run_program(code.format(init=init), tmp_path, **environment)
    assert done.stdout.splitlines()[0] == "1 1 50000000"
    assert "mine []" in done.stdout and "a line of a task" in done.stdout
    assert done.stderr.startswith("sundog: session ")


def test_settings_are_read_when_a_session_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNDOG_NUM_CPUS", "2")
    with sundog.init(logging_level="error"):
        assert sundog.cluster_resources()["CPU"] == 2
    monkeypatch.setenv("SUNDOG_NUM_CPUS", "1")
    with sundog.init(logging_level="error"):
        assert sundog.cluster_resources()["CPU"] == 1
