"""What people see when something is wrong: texts, types, tracebacks."""

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from conftest import run_program
from neighbours import within

import sundog

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "errors.txt"
LINES_MAX = 15


def normalized(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"ObjectRef\([0-9a-f]{40}\)", "ObjectRef(⟨id⟩)", text)
    text = re.sub(r"task [0-9a-f]{4,32}", "task ⟨id⟩", text)
    text = re.sub(r"actor [0-9a-f]{4,8}…?", "actor ⟨id⟩", text)
    text = re.sub(r"placement group \([0-9a-f]{8}\)", "placement group (⟨id⟩)", text)
    text = re.sub(r"Actor\((\w+), [0-9a-f]{4}…\)", r"Actor(\1, ⟨id⟩)", text)
    text = re.sub(r"died \d+\.\d s after", "died ⟨time⟩ after", text)
    text = re.sub(r"pid[ =]\d+", "pid ⟨pid⟩", text)
    text = re.sub(r"on node \S+", "on node ⟨node⟩", text)
    text = re.sub(r"session [0-9a-f]{4,8}\b", "session ⟨name⟩", text)
    text = re.sub(r"\d\d:\d\d:\d\d", "⟨time⟩", text)
    text = re.sub(r"\S+/sessions/[0-9a-f]+/logs/worker-\d+", "⟨folder⟩/logs/worker-⟨pid⟩", text)
    text = re.sub(
        r"\S+/sessions/[0-9a-f]+/logs/runtime_env-\w+", "⟨folder⟩/logs/runtime_env-⟨hash⟩", text
    )
    text = re.sub(r"(runs|in the queue) since [\d.]+ s", r"\1 since ⟨seconds⟩ s", text)
    text = text.replace(str(HERE) + os.sep, "").replace(str(HERE.parents[1]) + os.sep, "")
    # So that a new mistake does not change the places of all others.
    text = re.sub(r'("(?:mistakes|\S+__init__)\.py", line) \d+', r"\1 ⟨line⟩", text)
    return re.sub(r"\n +[\^~]+(?=\n|$)", "", text)  # carets: Python 3.10 has none


def sections(text: str) -> dict[str, str]:
    """Name of the mistake to what was printed."""
    parts = re.split(r"^---- (.*)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.rstrip("\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.fixture(scope="module")
def printed() -> str:
    """The output of mistakes.py."""
    done = subprocess.run(
        [sys.executable, str(HERE / "mistakes.py")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_every_mistake_says_what_the_golden_file_says(printed: str) -> None:
    found = normalized(printed)
    if os.environ.get("SUNDOG_GOLDEN") == "write":
        GOLDEN.write_text(found)
    assert sections(found) == sections(GOLDEN.read_text())


def test_no_mistake_shows_our_internals_or_more_than_fifteen_lines(printed: str) -> None:
    for name, text in sections(printed).items():
        lines = [line for line in text.splitlines() if not re.fullmatch(r" +[\^~]+", line)]
        shown = [line for line in lines if "in main" not in line and line.strip() != "mistake()"]
        assert len(shown) <= LINES_MAX + 1, f"{name}:\n{text}"  # the heading is ours
        assert "python/sundog" not in text and "_core" not in text, f"{name}:\n{text}"


def test_errors_show_bare_names_and_their_classes_pickle_by_reference() -> None:
    for name in sundog.exceptions.__all__:
        public = getattr(sundog.exceptions, name)
        error = public("why")
        assert traceback.format_exception_only(error) == [f"{name}: why\n"]
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and isinstance(again, public) and str(again) == "why"
        assert pickle.loads(cloudpickle.dumps(lambda found=public: found))() is public

    class Derived(sundog.exceptions.TaskError):
        pass

    assert type(Derived("mine")) is Derived


@sundog.remote
def divide(a: float, b: float) -> float:
    return a / b


@sundog.remote
def fail_with(error: BaseException) -> None:
    raise error


class OwnError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Awkward(Exception):
    """Its constructor wants other arguments than it keeps: it cannot be made again from them."""

    def __init__(self, *, needed: int) -> None:
        super().__init__(f"awkward {needed}")
        self.needed = needed


class WantsTwo(Exception):
    def __init__(self, text: str, detail: str) -> None:
        super().__init__(text)
        self.detail = detail


class FileOfOurs(OSError):
    def __init__(self, number: int, text: str, name: str) -> None:
        super().__init__(number, text)
        self.name = name


def test_exception_has_its_own_type_and_is_a_task_error(session: None) -> None:
    ref = divide.remote(1, 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        sundog.get(ref)
    with pytest.raises(sundog.exceptions.TaskError) as caught:
        sundog.get(ref)
    error = caught.value
    assert type(error).__name__ == "ZeroDivisionError"
    assert isinstance(error.cause, ZeroDivisionError) and error.__cause__ is error.cause
    assert error.function_name == "divide" and error.pid != os.getpid()
    assert "return a / b" in error.remote_traceback
    assert "sundog/_" not in error.remote_traceback


def test_attributes_of_the_exception_survive(session: None) -> None:
    with pytest.raises(OwnError) as own:
        sundog.get(fail_with.remote(OwnError(7, "why")))
    assert (own.value.code, own.value.detail) == (7, "why")
    with pytest.raises(FileNotFoundError) as missing:
        sundog.get(fail_with.remote(FileNotFoundError(2, "No such file", "x.txt")))
    assert (missing.value.errno, missing.value.filename) == (2, "x.txt")
    with pytest.raises(UnicodeDecodeError) as unicode:
        sundog.get(fail_with.remote(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")))
    assert unicode.value.start == 0
    with pytest.raises(KeyError, match="key"):
        sundog.get(fail_with.remote(KeyError("key")))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Awkward(needed=5),
        lambda: WantsTwo("first", "second"),
        lambda: FileOfOurs(2, "no such file", "a.txt"),
        lambda: MemoryError("too much"),
    ],
    ids=["keywords", "two", "file", "memory"],
)
def test_exception_keeps_its_type_whatever_its_constructor_wants(
    session: None, make: Callable[[], Exception]
) -> None:
    @sundog.remote
    def fail() -> None:
        raise make()

    @sundog.remote
    def outer() -> None:
        sundog.get(fail.remote())

    made = make()
    for ref in (fail.remote(), outer.remote()):
        with pytest.raises(type(made)) as caught:
            sundog.get(ref)
        error: Any = caught.value
        for told in (error, pickle.loads(pickle.dumps(error))):
            assert isinstance(told, type(made)) and isinstance(told, sundog.exceptions.TaskError)
            assert (str(told), told.args) == (str(made), made.args)
            assert {**vars(told), **vars(made)} == vars(told)


def test_exception_that_cannot_be_sent_is_told_in_words(session: None) -> None:
    @sundog.remote
    def awkward() -> None:
        error = ValueError("odd")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(sundog.exceptions.TaskError, match="ValueError: odd"):
        sundog.get(awkward.remote())


def test_exception_passes_through_tasks_that_wait_for_it(session: None) -> None:
    @sundog.remote
    def outer() -> Any:
        return sundog.get(divide.remote(1, 0))

    with pytest.raises(ZeroDivisionError) as nested:
        sundog.get(outer.remote())
    assert isinstance(nested.value, sundog.exceptions.TaskError)
    assert "in divide" in nested.value.remote_traceback
    assert "in outer" in nested.value.remote_traceback

    @sundog.remote
    def use(x: float) -> float:
        return x

    with pytest.raises(ZeroDivisionError):
        sundog.get(use.remote(divide.remote(1, 0)))


def test_task_can_catch_what_another_task_raised(session: None) -> None:
    @sundog.remote
    def careful() -> str:
        try:
            sundog.get(divide.remote(1, 0))
        except ZeroDivisionError as error:
            return type(error).__name__
        return ""

    assert sundog.get(careful.remote()) == "ZeroDivisionError"


def test_classes_of_the_main_program_keep_their_identity(tmp_path: Path) -> None:
    program = """
        import sundog

        class Own(Exception): ...

        class Point:
            def __init__(self, x):
                self.x = x

        @sundog.remote
        def fail():
            raise Own("mine")

        @sundog.remote
        def back(value):
            return value

        try:
            sundog.get(fail.remote())
        except Own as error:
            print(type(error.cause) is Own, error)
        print(type(sundog.get(back.remote(Point(3)))) is Point)
        print(sundog.get(back.remote(Point)) is Point)
    """
    assert run_program(program, tmp_path).stdout == "True mine\nTrue\nTrue\n"


def test_cause_of_the_exception_is_kept(session: None) -> None:
    @sundog.remote
    def chained() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    with pytest.raises(RuntimeError, match="outer") as caught:
        sundog.get(chained.remote())
    cause = caught.value.__cause__
    assert isinstance(cause, RuntimeError) and isinstance(cause.__cause__, KeyError)


def test_task_error_survives_pickling(session: None) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        sundog.get(divide.remote(1, 0))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ZeroDivisionError)
    assert isinstance(again, sundog.exceptions.TaskError)
    assert again.function_name == "divide"


def test_exception_is_retried_only_when_asked(session: None, tmp_path: Path) -> None:
    @sundog.remote(retry_exceptions=True, max_retries=2)
    def flaky(path: str, good_after: int) -> int:
        with open(path, "a") as file:
            file.write("x")
        tries = os.path.getsize(path)
        if tries <= good_after:
            raise RuntimeError(f"try {tries}")
        return tries

    path = str(tmp_path / "a")
    assert sundog.get(flaky.remote(path, 2)) == 3
    with pytest.raises(RuntimeError, match="try 3"):
        sundog.get(flaky.remote(str(tmp_path / "b"), 99))
    with pytest.raises(RuntimeError, match="try 1"):
        sundog.get(flaky.options(retry_exceptions=False).remote(str(tmp_path / "c"), 99))


@pytest.mark.alone
def test_get_times_out_as_a_timeout_error(session: None) -> None:
    @sundog.remote
    def sleep() -> None:
        time.sleep(0.5)

    ref = sleep.remote()
    began = time.monotonic()
    expected = r"sleep \(task ....…\) is not ready after 0\.1 s: "
    with within(0.5), pytest.raises(TimeoutError, match=expected) as e:
        sundog.get(ref, timeout=0.1)
    assert isinstance(e.value, sundog.exceptions.GetTimeoutError)
    assert time.monotonic() - began >= 0.1
    assert sundog.get(ref) is None


def test_get_times_out_although_the_daemon_is_stopped(session: None) -> None:
    current = sundog._core.current_session()
    assert current is not None
    ref = divide.remote(sundog.get(divide.remote(1, 1)), 1)
    daemon = int(str(current.info()["daemon_pid"]))
    late = divide.options(name="late")
    os.kill(daemon, signal.SIGSTOP)
    try:
        with pytest.raises(sundog.exceptions.GetTimeoutError, match="one object was not here"):
            sundog.get(late.remote(1, 1), timeout=0.1)
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert sundog.get([ref, late.remote(4, 2)]) == [1, 2]


def test_wrong_timeouts_are_refused(session: None) -> None:
    ref = sundog.put(1)
    for call in (lambda: sundog.get(ref, timeout=-1), lambda: sundog.wait([ref], timeout=-0.5)):
        with pytest.raises(ValueError, match=r"timeout is a number of seconds from 0 on, got -"):
            call()


def test_explain_tells_what_a_task_waits_for(session: None) -> None:
    @sundog.remote(num_gpus=1)
    def on_gpu() -> None: ...

    text = sundog.explain(on_gpu.remote())
    assert "on_gpu (task " in text and "it needs 1 GPU, this session has 0" in text
    ready = sundog.put(1)
    assert "it is ready" in sundog.explain(ready)
    with pytest.raises(TypeError, match=r"explain\(\) takes an ObjectRef, got int: 5"):
        sundog.explain(5)  # type: ignore[arg-type]


def test_references_of_other_sessions_are_told_apart(session: None) -> None:
    old = sundog.put(1)
    sundog.shutdown()
    with pytest.raises(sundog.exceptions.ObjectLostError, match="now there is no session"):
        sundog.get(old)
    sundog.init(num_cpus=1, logging_level="warning")
    for use in (
        lambda: sundog.get(old),
        lambda: sundog.wait([old]),
        lambda: divide.remote(old, 1),
        lambda: sundog.put([old]),
    ):
        with pytest.raises(sundog.exceptions.ObjectLostError, match=r"shut down at \d\d:\d\d:\d\d"):
            use()


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"num_cpu": 1}, ValueError, "unknown option 'num_cpu'; did you mean 'num_cpus'"),
        ({"num_cpus": "2"}, TypeError, "num_cpus is a number, got str"),
        ({"num_gpus": -1}, ValueError, "num_gpus is a number from 0 on"),
        ({"num_cpus": 0.00001}, ValueError, "counted in 1/10000"),
        ({"num_returns": -1}, ValueError, "num_returns is from 0 to"),
        ({"num_returns": "stream"}, ValueError, "did you mean 'streaming'"),
        ({"max_retries": -2}, ValueError, "max_retries is from -1"),
        ({"resources": {"CPU": 1}}, ValueError, "use num_cpus for 'CPU'"),
        ({"resources": 5}, TypeError, "resources is a dict"),
        ({"accelerator_type": 100}, TypeError, "accelerator_type is a text like 'A100', got 100"),
        ({"accelerator_type": ""}, ValueError, "accelerator_type is a text like 'A100', got an"),
        ({"retry_exceptions": [5]}, TypeError, "a list of exception types, got one with 5"),
        ({"name": 5}, TypeError, "name is a string"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, object], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        divide.options(**options)
    with pytest.raises(kind, match=re.escape(text)):
        sundog.remote(**options)(lambda: None)


WAITING = """
    import sundog
    from sundog import _progress
    from sundog.util import placement_group

    _progress.WARN_SECONDS = 2.2
    sundog.init(num_cpus=3, log_to_driver=False)

    @sundog.remote(num_cpus=1)
    class Server:
        def ready(self):
            pass

    @sundog.remote
    def sleep(seconds):
        import time
        time.sleep(seconds)

    def wait_for(ref):
        try:
            sundog.get(ref, timeout=3)
        except sundog.exceptions.GetTimeoutError as error:
            print(error)
"""


def test_who_waits_for_a_cpu_that_actors_hold_is_told_of_them_once(tmp_path: Path) -> None:
    done = run_program(
        WAITING
        + """
    servers = [Server.options(name="first").remote(), Server.remote()]
    group = placement_group([{"CPU": 1}], name="rest")
    sundog.get([*(server.ready.remote() for server in servers), group.ready()])
    for _ in range(2):
        wait_for(sleep.remote(0))
    """,
        tmp_path,
    )
    why = (
        r"it is in the queue since \d\.\d s, \d of its kind are ready; it needs 1 CPU, 0 of 3 are "
        r"free, 3 are held by Server 'first', Server \(actor \w{4}…\) and placement group 'rest'"
    )
    (warning,) = done.stderr.splitlines()[1:]
    assert re.fullmatch(rf"sundog: waiting 2 s for sleep \(task \w+…\): {why}", warning)
    assert re.fullmatch(
        rf"(sleep \(task \w+…\) is not ready after 3\.0 s: {why}\.\n){{2}}", done.stdout
    )


def test_who_asks_again_and_again_or_is_overtaken_by_an_actor_is_warned_too(tmp_path: Path) -> None:
    done = run_program(
        WAITING
        + """
    _progress.WARN_SECONDS = 4
    server = Server.options(num_cpus=3).remote()
    sundog.get(server.ready.remote())
    missing = sleep.remote(0)
    for _ in range(3):
        sundog.wait([missing], timeout=2.4)
    sundog.shutdown()

    _progress.WARN_SECONDS = 2.2
    sundog.init(num_cpus=3, resources={"x": 2}, log_to_driver=False)

    @sundog.remote
    def take_later():
        import time
        time.sleep(3)
        server = Server.options(num_cpus=0, resources={"x": 1}).remote()
        sundog.get(server.ready.remote())
        return server

    taken, other = take_later.remote(), sleep.options(resources={"x": 1}).remote(20)
    while sundog.available_resources()["x"] == 2:
        pass
    try:
        sundog.get(sleep.options(resources={"x": 2}).remote(0), timeout=8)
    except sundog.exceptions.GetTimeoutError:
        pass
    """,
        tmp_path,
    )
    warnings = [line for line in done.stderr.splitlines() if "waiting" in line]
    assert [re.sub(r".* free, |\w{4}(?=…\)$)", "", line) for line in warnings] == [
        "3 are held by Server (actor …)",
        "1 is held by Server (actor …)",
    ]


def test_a_group_that_waits_for_what_actors_hold_is_told_of_them(tmp_path: Path) -> None:
    done = run_program(
        WAITING
        + """
    server = Server.options(name="s", num_cpus=2).remote()
    sundog.get(server.ready.remote())
    group = placement_group([{"CPU": 2}])
    wait_for(group.ready())
    """,
        tmp_path,
    )
    why = "its bundles need 2 CPU in all, 1 of 3 are free, 2 are held by Server 's'"
    assert why in done.stdout
    assert why in done.stderr


def test_who_waits_for_other_tasks_is_not_warned(tmp_path: Path) -> None:
    done = run_program(
        WAITING
        + """
    others = [sleep.remote(10) for _ in range(3)]
    while sundog.available_resources().get("CPU"):
        pass
    wait_for(sleep.remote(0))
    """,
        tmp_path,
    )
    assert len(done.stderr.splitlines()) == 1  # what init says
    assert re.search(r"it needs 1 CPU, 0 of 3 are free\.$", done.stdout.rstrip())


class Stop(BaseException):
    pass


@pytest.mark.parametrize("kind", [Stop, GeneratorExit, BaseException, KeyboardInterrupt])
def test_a_base_exception_is_a_task_error_and_nothing_else(
    one_cpu: None, kind: type[BaseException]
) -> None:
    @sundog.remote
    def fail() -> None:
        raise kind("on purpose")

    @sundog.remote
    def pid() -> int:
        return os.getpid()

    before = sundog.get(pid.remote())
    with pytest.raises(
        sundog.exceptions.TaskError, match=f"^(.*[.])?{kind.__name__}: on purpose"
    ) as caught:
        sundog.get(fail.remote())
    assert kind is BaseException or not isinstance(caught.value, kind)
    assert not isinstance(caught.value, sundog.exceptions.TaskCancelledError)
    assert sundog.get(pid.remote()) == before
