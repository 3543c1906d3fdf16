"""What ``init`` is told: ``logging_config``, ``logging_format``, ``configure_logging``."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program

import sundog

PROGRAM = """
    import logging, sundog

    log = logging.getLogger("mine")

    @sundog.remote
    def inner():
        logging.getLogger("inner").debug("nested")

    @sundog.remote
    def work(i):
        log.info("working on %d", i, extra={{"step": i}})
        sundog.get(inner.remote())

    @sundog.remote
    class Adder:
        def fail(self):
            try:
                1 / 0
            except ZeroDivisionError:
                log.exception("failed")

        async def wait(self):
            log.info("asynchronous")

    config = sundog.LoggingConfig({config})
    with sundog.init(num_cpus=2, logging_level="warning", logging_config=config):
        context = sundog.get_runtime_context()
        print(context.get_job_id(), context.get_node_id(), flush=True)
        log.info("in the driver")
        adder = Adder.options(name="adder").remote()
        sundog.get(work.remote(3))
        sundog.get([adder.fail.remote(), adder.wait.remote()])
    log.info("after the session")
    assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
"""


def lines_of(config: str, folder: Path) -> tuple[list[str], str, str]:
    """What a program with this configuration logs, without pids in front; its job and node."""
    done = run_program(PROGRAM.format(config=config), folder)
    job, node = done.stdout.splitlines()[0].split()
    return [re.sub(r"^\(\S+ pid=\d+\) ", "", x) for x in done.stderr.splitlines()], job, node


def test_json_lines_tell_where_they_were_written(tmp_path: Path) -> None:
    words = 'encoding="JSON", log_level="DEBUG", additional_log_standard_attrs=["name"]'
    lines, job, node = lines_of(words, tmp_path)
    rows: dict[str, dict[str, Any]] = {row["message"]: row for row in map(json.loads, lines)}
    rows = {message: row for message, row in rows.items() if row["name"] in ("mine", "inner")}
    assert set(rows) == {
        "in the driver", "working on 3", "nested", "failed", "asynchronous",
    }  # fmt: skip
    assert {(row["job_id"], row["node_id"]) for row in rows.values()} == {(job, node)}
    driver, work, failed = rows["in the driver"], rows["working on 3"], rows["failed"]
    assert not {"task_id", "actor_id", "task_name"} & set(driver)
    assert (work["task_name"], work["task_func_name"]) == ("work", "__main__.work")
    assert work["step"] == 3 and len(work["task_id"]) == 32 and "actor_id" not in work
    assert (work["filename"], work["levelname"], work["name"]) == ("program.py", "INFO", "mine")
    assert re.fullmatch(r"\d+-\d+-\d+ \d+:\d+:\d+,\d+", work["asctime"])
    assert isinstance(work["lineno"], int) and work["timestamp_ns"] > 1e18
    assert work["worker_id"] != driver["worker_id"]
    assert (failed["actor_name"], len(failed["actor_id"])) == ("adder", 40)
    assert failed["exc_text"].endswith("ZeroDivisionError: division by zero")
    assert rows["asynchronous"]["task_name"] == "Adder.wait"
    assert rows["nested"]["task_func_name"] == "__main__.inner"


def test_text_lines_have_the_same_behind_the_message(tmp_path: Path) -> None:
    lines, job, node = lines_of("", tmp_path)
    (line,) = (line for line in lines if "working on 3" in line)
    assert re.fullmatch(
        rf"\S+ \S+\tINFO program\.py:\d+ -- working on 3 job_id={job} node_id={node} "
        r"worker_id=\d+ task_id=\w{32} task_name=work task_func_name=__main__\.work step=3",
        line,
    )
    assert not any("nested" in line for line in lines), "INFO is the default level"
    assert "ZeroDivisionError: division by zero" in lines


def test_the_level_is_that_of_the_configuration(tmp_path: Path) -> None:
    lines, _, _ = lines_of('encoding="JSON", log_level="error"', tmp_path)
    assert [json.loads(line)["message"] for line in lines] == ["failed"]


def test_the_format_is_that_of_our_own_lines(tmp_path: Path) -> None:
    program = """
        import logging, sundog
        sundog.init(num_cpus=1, logging_format="%(levelname)s|%(name)s|%(message)s")

        @sundog.remote
        def f():
            from sundog import _log
            _log.warning("of a worker")
            logging.getLogger("mine").warning("not ours")

        sundog.get(f.remote())
        logging.getLogger("mine").warning("not ours either")
        sundog.shutdown()
        sundog.init(num_cpus=1)
    """
    done = run_program(program, tmp_path)
    lines = [re.sub(r" pid=\d+", "", line) for line in done.stderr.splitlines()]
    assert lines[0].startswith("INFO|sundog|session ")
    assert sorted(lines[1:-1]) == [
        "(f) WARNING|sundog|of a worker",
        "(f) not ours",
        "not ours either",
    ]
    assert lines[-1].startswith("sundog: session ")


def test_what_is_not_configured_is_the_programs(tmp_path: Path) -> None:
    program = """
        import logging, sundog
        from sundog import _log
        sundog.init(num_cpus=1, configure_logging=False, logging_level="error")
        _log.info("unheard")
        _log.warning("heard")
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        _log.info("now too")
    """
    assert run_program(program, tmp_path).stderr == "heard\nsundog: now too\n"


def test_logging_is_left_as_it_was_found() -> None:
    root, own = logging.getLogger(), logging.getLogger("sundog")
    before = (root.level, list(root.handlers), own.level, list(own.handlers), own.propagate)
    config = sundog.LoggingConfig(encoding="JSON", log_level="DEBUG")
    with sundog.init(num_cpus=1, logging_config=config, logging_format="%(message)s"):
        assert len(root.handlers) == len(before[1]) + 1 and not own.propagate
    after = (root.level, list(root.handlers), own.level, list(own.handlers), own.propagate)
    assert (before[0], before[1], before[3], before[4]) == (after[0], after[1], after[3], after[4])


def test_wrong_configurations_say_what_is_wrong() -> None:
    for given, said in (
        ({"encoding": "XML"}, "encoding is 'TEXT' or 'JSON', got 'XML'"),
        ({"log_level": "LOUD"}, "log_level is one of DEBUG, INFO, .* got 'LOUD'"),
        ({"additional_log_standard_attrs": ["nam"]}, "no attribute 'nam'; did you mean 'name'"),
    ):
        with pytest.raises(ValueError, match=said):
            sundog.LoggingConfig(**given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"is a list like \['name'\], got 'name'"):
        sundog.LoggingConfig(additional_log_standard_attrs="name")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"logging_config is a sundog.LoggingConfig, got \{\}"):
        sundog.init(logging_config={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="leave one of the two out"):
        sundog.init(logging_format="%(message)s", configure_logging=False)
    with pytest.raises(ValueError, match="logging_format='%\\(message\\)': "):
        sundog.init(logging_format="%(message)")
    with pytest.raises(TypeError, match="configure_logging is True or False, got 0"):
        sundog.init(configure_logging=0)  # type: ignore[arg-type]
    assert repr(sundog.LoggingConfig(log_level="debug")) == (
        "LoggingConfig(encoding='TEXT', log_level='DEBUG', additional_log_standard_attrs=[])"
    )
    assert not sundog.is_initialized()
