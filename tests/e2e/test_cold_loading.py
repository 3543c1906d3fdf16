"""The first workers of a session load functions before cloudpickle is imported."""

import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

import sundog
from sundog import _cloudpickle, _cold_loading


def loaded_cold(function: Callable[..., Any], call: str) -> str:
    """What a process without cloudpickle prints of ``call``, which names the function ``f``."""
    program = f"""
        import sys
        sys.path[:] = {sys.path!r}
        sys.modules["sundog._zygote"] = sys.modules["__main__"]
        from sundog import _cold_loading
        _cold_loading.prepare()
        f = _cold_loading.loads({cloudpickle.dumps(function)!r})
        print({call}, "cloudpickle" in sys.modules)
    """
    command = [sys.executable, "-S", "-E", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_function_with_closure_defaults_and_globals_needs_no_cloudpickle() -> None:
    factor = 3

    def inner(x: int, y: int = 4, *, z: int = 5) -> tuple[int, str]:
        return factor * x + y + z, os.path.basename("a/b")

    inner.__module__ = "__main__"
    inner.note = "kept"  # type: ignore[attr-defined]
    assert loaded_cold(inner, "f(1), f.note, f.__qualname__.rpartition('.')[2]") == (
        "(12, 'b') kept inner False"
    )


def test_a_recursive_function_finds_itself() -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    factorial.__module__ = "__main__"
    assert loaded_cold(factorial, "f(5)") == "120 False"


def test_what_is_not_a_plain_function_imports_cloudpickle() -> None:
    class Local:
        x = 7

    Local.__module__ = "__main__"

    def uses() -> int:
        return Local.x

    uses.__module__ = "__main__"
    assert loaded_cold(uses, "f()") == "7 True"


def test_the_installed_cloudpickle_has_what_is_taken() -> None:
    code = _cold_loading.code_of_module()
    assert code is not None
    assert set(_cold_loading.functions_in(code)) == set(_cold_loading.TAKEN)


def test_functions_that_use_more_than_expected_are_not_taken() -> None:
    source = """
        def _make_function(code, globals, name, argdefs, closure):
            return something_new(code)
        def _make_empty_cell(unexpected):
            return None
        def subimport(name):
            __import__(name)
            return sys.modules[name]
    """
    code = compile(textwrap.dedent(source), "cloudpickle.py", "exec")
    assert set(_cold_loading.functions_in(code)) == {"subimport"}


def test_the_first_workers_run_functions_without_it() -> None:
    sundog.init(num_cpus=2, logging_level="error")

    @sundog.remote
    def ask(i: int) -> tuple[int, bool, bool]:
        return i, "cloudpickle" in sys.modules, "sundog._errors" in sys.modules

    assert sundog.get([ask.remote(i) for i in range(2)]) == [(0, False, False), (1, False, False)]


def test_a_first_worker_does_all_that_later_ones_do(session: object) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    @sundog.remote
    def make(x: int) -> Callable[[], Point]:
        return lambda: Point(x)

    @sundog.remote
    class Counter:
        def __init__(self, start: int) -> None:
            self.at = start

        def add(self, n: int) -> int:
            self.at += n
            return self.at

    @sundog.remote
    def nested(x: int) -> tuple[int, int]:
        made: Point = sundog.get(make.remote(x))()
        counter = Counter.remote(made.x)
        return made.x, sundog.get(counter.add.remote(2))

    @sundog.remote
    def fail() -> None:
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        sundog.get(fail.remote())
    assert sundog.get([nested.remote(i) for i in range(4)]) == [(i, i + 2) for i in range(4)]


def test_all_names_are_there_in_a_first_worker(session: object) -> None:
    @sundog.remote
    def names() -> list[str]:
        import sundog as package

        missing = [name for name in package.__all__ if not hasattr(package, name)]
        return missing + [name for name in package.__all__ if name not in dir(package)]

    assert sundog.get(names.remote()) == []


def test_code_keeps_the_name_of_its_file() -> None:
    def f() -> Callable[[], int]:
        return lambda: 1

    f.__module__ = "__main__"
    again = pickle.loads(_cloudpickle.dumps(f, 5))
    assert again.__code__.co_filename == __file__
    assert again().__code__.co_filename == __file__
    assert again()() == 1


def run_program(program: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """A program of a person's own, without ``init``."""
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SUNDOG_NUM_CPUS": "1"},
    )


def test_a_value_that_puts_itself_when_it_is_pickled_starts_no_second_session() -> None:
    done = run_program(
        """
        import sundog
        class Stored:
            def __reduce__(self):
                return sundog.get, (sundog.put([1, 2, 3]),)
        stored = Stored()
        @sundog.remote
        def f():
            return stored
        print(sundog.get(f.remote()))
        """
    )
    assert done.stdout == "[1, 2, 3]\n", done.stderr
    assert done.stderr.count("sundog: session") == 1, done.stderr


def test_threads_that_make_the_first_calls_at_once_start_one_session() -> None:
    done = run_program(
        """
        import sundog, threading, time
        class Slow:
            def __reduce__(self):
                time.sleep(0.2)
                return Slow, ()
        slow = Slow()
        @sundog.remote
        def f(i):
            return i if slow else None
        found = []
        threads = [
            threading.Thread(target=lambda i=i: found.append(sundog.get(f.remote(i))))
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sorted(found))
        """
    )
    assert done.stdout == "[0, 1, 2, 3]\n", done.stderr
    assert done.stderr.count("sundog: session") == 1, done.stderr


def test_a_function_is_pickled_where_comparing_bytes_is_an_error() -> None:
    done = run_program(
        """
        import sundog
        @sundog.remote
        def f():
            return 5
        print(sundog.get(f.remote()))
        """,
        "-bb",
    )
    assert done.stdout == "5\n", done.stderr


def test_a_start_that_fails_leaves_nothing_pickled_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = 2

    @sundog.remote
    def f() -> int:
        return factor

    monkeypatch.setenv("SUNDOG_NUM_CPUS", "many")
    with pytest.raises(ValueError, match="SUNDOG_NUM_CPUS"):
        f.remote()
    factor = 3
    monkeypatch.setenv("SUNDOG_NUM_CPUS", "1")
    monkeypatch.setenv("SUNDOG_LOGGING_LEVEL", "error")
    assert sundog.get(f.remote()) == 3
