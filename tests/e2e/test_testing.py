"""`sundog.testing`: what a person's tests see, in a pytest of their own."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run_pytest(folder: Path, tests: str, *words: str, ini: str = "") -> str:
    """What pytest says of a file of tests."""
    (folder / "conftest.py").write_text('pytest_plugins = ["sundog.testing"]\n')
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (folder / "test_mine.py").write_text("import sundog\nimport pytest\n" + textwrap.dedent(tests))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.stdout + done.stderr


def test_tests_share_a_session_and_see_what_they_asked_for(tmp_path: Path) -> None:
    said = run_pytest(
        tmp_path,
        """
        names = []

        @pytest.mark.parametrize("n", range(3))
        def test_shared(sundog_session, n):
            names.append(sundog.get_runtime_context().get_session_name())
            assert sundog.get(sundog.remote(lambda: n).remote()) == n
            assert sundog.cluster_resources()["CPU"] == 3

        @pytest.mark.sundog(num_cpus=1, resources={"printer": 1})
        def test_other_options(sundog_session):
            names.append(sundog.get_runtime_context().get_session_name())
            assert sundog.cluster_resources()["printer"] == 1

        def test_fresh(sundog_fresh):
            names.append(sundog.get_runtime_context().get_session_name())
            assert sundog_fresh() == []

        def test_all():
            assert len(set(names)) == 3 and names[0] == names[1] == names[2]
        """,
        ini="sundog_num_cpus = 3",
    )
    assert "6 passed" in said, said


def test_what_a_test_leaves_fails_it_alone(tmp_path: Path) -> None:
    said = run_pytest(
        tmp_path,
        """
        import os, subprocess
        kept = []

        @sundog.remote
        class Counter:
            def one(self):
                return 1

        def test_object(sundog_session):
            kept.append(sundog.put("kept"))
            assert any(line.startswith("object ") for line in sundog_session())

        def test_actor(sundog_session):
            kept.append(Counter.remote())

        def test_descriptor(sundog_session):
            kept.append(os.pipe())

        def test_process(sundog_session):
            kept.append(subprocess.Popen(["sleep", "100"]))

        def test_nothing(sundog_session):
            actor = Counter.remote()
            assert sundog.get(actor.one.remote()) == 1
            assert sundog.get(sundog.put([1])) == [1]

        @pytest.mark.sundog(allow_leaks=True)
        def test_allowed(sundog_session):
            kept.append(sundog.put("kept"))

        def test_failed(sundog_session):
            kept.append(sundog.put("kept"))
            assert 1 == 2

        def test_end():
            for thing in kept:
                if isinstance(thing, subprocess.Popen):
                    thing.kill()
                    thing.wait()
        """,
    )
    assert "1 failed, 7 passed, 4 errors" in said, said
    errors = re.findall(r"^ERROR test_mine.py::(\w+)", said, re.MULTILINE)
    assert errors == ["test_object", "test_actor", "test_descriptor", "test_process"]
    assert re.search(r"the test left behind:\n  object [0-9a-f]{40}: \d+ bytes, a reference", said)
    assert re.search(r"\n  actor Counter [0-9a-f]{8}…\n", said)
    assert re.search(r"\n  descriptor \d+: pipe:", said)
    assert re.search(r"\n  child process \d+: sleep 100\n", said)


MANY = """
    @pytest.mark.parametrize("n", range(6))
    def test_many(sundog_session, n):
        assert sundog.get(sundog.remote(lambda: n).remote()) == n
    """


def test_it_works_with_xdist(tmp_path: Path) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    said = run_pytest(tmp_path, MANY, "-n", "2")
    assert "6 passed" in said, said


def test_coverage_sees_the_code_of_tasks_in_local_mode(tmp_path: Path) -> None:
    coverage = pytest.importorskip("coverage", reason="coverage is not installed")
    (tmp_path / "mine.py").write_text("def double(x):\n    y = 2 * x\n    return y\n")
    (tmp_path / "test_mine.py").write_text(
        "import mine\nimport pytest\nimport sundog\n"
        "@pytest.mark.sundog(local_mode=True)\n"
        "def test_local(sundog_session):\n"
        "    assert sundog.get(sundog.remote(mine.double).remote(2)) == 4\n"
        "def test_elsewhere(sundog_session):\n"
        "    assert sundog.get(sundog.remote(mine.double).remote(2)) == 4\n"
    )
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["sundog.testing"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--include=mine.py", "-m", "pytest", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    data = coverage.CoverageData(str(tmp_path / ".coverage"))
    data.read()
    assert data.lines(str(tmp_path / "mine.py")) == [1, 2, 3]
