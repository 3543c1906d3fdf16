"""Modules that cloudpickle's import leaves for later: whoever uses them finds the real ones."""

import subprocess
import sys
import textwrap

import pytest

import sundog
from sundog import _later


def run_alone(program: str) -> str:
    """What a program in a fresh interpreter without site prints."""
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    command = [sys.executable, "-S", "-E", "-c", path + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_stands_in_for_a_module_once_cloudpickle_is_there() -> None:
    told = run_alone(
        """
        from sundog import _later
        _later.import_cloudpickle()
        print([name for name in _later.LATER if name in sys.modules])
        import dataclasses, inspect
        print(dataclasses.inspect is inspect, type(sys.modules["inspect"]).__name__)
        @dataclasses.dataclass
        class Point:
            x: int = 0
        print(Point(1), Point.__doc__, dataclasses.inspect is inspect)
        """
    )
    assert told.splitlines() == [
        "[]",
        "False module",
        "Point(x=1) Point(x: int = 0) True",
    ]


def test_what_stood_in_knows_the_rest_of_its_module_too() -> None:
    told = run_alone(
        """
        from sundog import _later
        _later.import_cloudpickle()
        from cloudpickle import cloudpickle
        first, second = cloudpickle.dis, cloudpickle.platform
        print(type(first).__name__, type(second).__name__)
        def f():
            return sys.path
        again = cloudpickle.loads(cloudpickle.dumps(f))  # looks through the code of f
        print(again() is not None, cloudpickle.platform.machine() != "")
        import dis, opcode, platform
        print(cloudpickle.dis is dis, cloudpickle.platform is platform)
        print(first.HAVE_ARGUMENT == dis.HAVE_ARGUMENT, first.EXTENDED_ARG == dis.EXTENDED_ARG)
        print(second.python_implementation() == platform.python_implementation())
        """
    )
    assert told.splitlines() == [
        "Later Later",
        "True True",
        "True True",
        "True True",
        "True",
    ]


def test_with_another_thread_all_is_imported_at_once() -> None:
    told = run_alone(
        """
        import _thread
        from sundog import _later
        held = _thread.allocate_lock()
        held.acquire()
        def wait():
            held.acquire()
        _thread.start_new_thread(wait, ())
        while len(sys._current_frames()) < 2:
            pass
        _later.import_cloudpickle()
        print([name for name in ("inspect", "uuid") if name not in sys.modules])
        held.release()
        """
    )
    assert told == "[]"


@pytest.mark.parametrize("module", _later.LATER)
def test_a_task_finds_the_modules(session: object, module: str) -> None:
    @sundog.remote
    def names() -> tuple[str, bool]:
        found = __import__(module)
        return type(found).__name__, found.__spec__ is not None

    assert sundog.get(names.remote()) == ("module", True)


def test_a_task_makes_data_classes_and_logs_exceptions(session: object) -> None:
    @sundog.remote
    def make() -> tuple[str, str]:
        import dataclasses
        import io
        import logging

        @dataclasses.dataclass
        class Point:
            x: int = 1

        stream = io.StringIO()
        logger = logging.Logger("made")
        logger.addHandler(logging.StreamHandler(stream))
        try:
            raise ValueError("told")
        except ValueError:
            logger.exception("it failed")
        return repr(dataclasses.replace(Point(), x=2)), stream.getvalue()

    shown, logged = sundog.get(make.remote())
    assert shown.endswith("Point(x=2)")
    assert "Traceback" in logged and "ValueError: told" in logged
