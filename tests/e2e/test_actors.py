"""Actors: their classes, calls, handles and names. How they end is in test_actor_ends.py."""

import copy
import functools
import inspect
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_program, until

import sundog
from sundog import _core, _explain
from sundog.actor import ActorHandle
from sundog.util import list_named_actors


@sundog.remote
class Counter:
    """Counts what it is told."""

    LIMIT = 1000

    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.seen: list[Any] = []

    def increment(self, by: int = 1) -> int:
        """Adds, and tells the sum."""
        self.value += by
        return self.value

    def note(self, item: Any) -> None:
        self.seen.append(item)

    def noted(self) -> list[Any]:
        return self.seen

    @sundog.method(num_returns=2)
    def halves(self) -> tuple[int, int]:
        return self.value // 2, self.value - self.value // 2

    def pid(self) -> int:
        return os.getpid()

    def fail(self, text: str) -> None:
        raise KeyError(text)

    @property
    def doubled(self) -> int:
        return 2 * self.value

    @staticmethod
    def triple(x: int) -> int:
        return 3 * x

    @classmethod
    def name(cls) -> str:
        return cls.__name__


@sundog.remote
def add_to(counter: ActorHandle[Any], by: int) -> Any:
    return sundog.get(counter.increment.remote(by))


@sundog.remote
def slowly(value: Any) -> Any:
    time.sleep(0.2)
    return value


def actors() -> list[dict[str, Any]]:
    """What the daemon knows of actors that are not dead."""
    import json

    session = _core.current_session()
    assert session is not None
    return [a for a in json.loads(session.query(_explain.ACTORS)) if a["state"] != "DEAD"]


# ---------------------------------------------------------------- calls


def test_state_is_kept_between_calls_in_a_process_of_its_own(session: None) -> None:
    one, two = Counter.remote(), Counter.remote(10)
    assert sundog.get([one.increment.remote() for _ in range(3)]) == [1, 2, 3]
    assert sundog.get(two.increment.remote(by=5)) == 15
    pids = sundog.get([one.pid.remote(), one.pid.remote(), two.pid.remote()])
    assert pids[0] == pids[1] != pids[2] and os.getpid() not in pids


def test_calls_of_one_caller_start_in_order_even_behind_slow_arguments(session: None) -> None:
    counter = Counter.remote()
    for i in range(20):
        counter.note.remote(slowly.remote(i) if i in (0, 7) else i)
    assert sundog.get(counter.noted.remote()) == list(range(20))


def test_slow_argument_of_one_caller_does_not_hold_back_another(session: None) -> None:
    counter = Counter.remote()
    counter.note.remote(slowly.remote("late"))
    assert sundog.get(add_to.remote(counter, 1)) == 1
    assert sundog.get(counter.noted.remote()) == ["late"]


def test_a_thousand_calls_may_be_in_flight(session: None) -> None:
    counter = Counter.remote()
    refs = [counter.increment.remote() for _ in range(1000)]
    assert sundog.get(refs) == list(range(1, 1001))


def test_arguments_and_results_small_and_large(session: None) -> None:
    counter = Counter.remote()
    large = np.arange(200_000)
    for item in (None, "text", {"a": [1, 2]}, large, sundog.put(large)):
        counter.note.remote(item)
    seen = sundog.get(counter.noted.remote())
    assert seen[:3] == [None, "text", {"a": [1, 2]}]
    assert all(np.array_equal(large, item) for item in seen[3:])


def test_methods_have_several_results_or_none(session: None) -> None:
    counter = Counter.remote(7)
    first, second = counter.halves.remote()
    assert sundog.get([first, second]) == [3, 4]
    assert counter.increment.options(num_returns=0).remote() is None
    assert sundog.get(counter.increment.remote()) == 9
    assert sundog.get(counter.increment._remote(args=(1,), name="other name")) == 10


def test_static_and_class_methods_are_methods(session: None) -> None:
    counter = Counter.remote()
    assert sundog.get([counter.triple.remote(5), counter.name.remote()]) == [15, "Counter"]


def test_results_of_one_actor_are_arguments_of_another(session: None) -> None:
    one, two = Counter.remote(1), Counter.remote(10)
    assert sundog.get(two.increment.remote(one.increment.remote())) == 12


def test_exceptions_keep_their_type_and_the_actor_lives_on(session: None) -> None:
    counter = Counter.remote()
    with pytest.raises(KeyError, match="lost") as caught:
        sundog.get(counter.fail.remote("lost"))
    assert isinstance(caught.value, sundog.exceptions.TaskError)
    assert caught.value.function_name == "Counter.fail"
    assert "raise KeyError(text)" in caught.value.remote_traceback
    assert sundog.get(counter.increment.remote()) == 1


def test_method_is_tried_again_after_an_exception_when_asked(session: None) -> None:
    @sundog.remote
    class Flaky:
        def __init__(self) -> None:
            self.calls = 0

        @sundog.method(retry_exceptions=True, max_task_retries=3)
        def call(self) -> int:
            self.calls += 1
            if self.calls < 3:
                raise ValueError(self.calls)
            return self.calls

    flaky = Flaky.remote()
    assert sundog.get(flaky.call.remote()) == 3
    other = Flaky.remote()
    with pytest.raises(ValueError, match="1"):
        sundog.get(other.call.options(retry_exceptions=False).remote())


@pytest.mark.parametrize("threads", [1, 2])
def test_method_is_tried_again_after_listed_exceptions(session: None, threads: int) -> None:
    class Busy(Exception):
        """Known to the program alone: it travels with the call."""

    @sundog.remote(max_task_retries=3, max_concurrency=threads)
    class Flaky:
        def __init__(self) -> None:
            self.calls = 0

        @sundog.method(retry_exceptions=[Busy, KeyError])
        def call(self, kind: type[Exception]) -> int:
            self.calls += 1
            if self.calls < 3:
                raise kind(self.calls)
            return self.calls

    def first_call(handle: Any, kind: type[Exception]) -> int:
        return sundog.get(handle.call.remote(kind))

    assert first_call(Flaky.remote(), Busy) == 3
    assert sundog.get(sundog.remote(first_call).remote(Flaky.remote(), KeyError)) == 3
    with pytest.raises(ValueError, match="1"):
        first_call(Flaky.remote(), ValueError)
    handle = Flaky.remote()
    other = handle.call.options(retry_exceptions=(OSError,))
    with pytest.raises(KeyError):
        sundog.get(other.remote(KeyError))
    assert sundog.get(other.remote(OSError)) == 3
    with pytest.raises(TypeError, match="a list of exception types"):
        handle.call.options(retry_exceptions=[5])


def test_actors_call_actors_and_tasks(session: None) -> None:
    @sundog.remote
    class Boss:
        def __init__(self, workers: int) -> None:
            self.workers = [Counter.remote(i) for i in range(workers)]

        def total(self) -> int:
            return sum(sundog.get([w.increment.remote() for w in self.workers]))

        def through_a_task(self) -> Any:
            return sundog.get(add_to.remote(self.workers[0], 100))

    boss = Boss.remote(3)
    assert sundog.get(boss.total.remote()) == 1 + 2 + 3
    assert sundog.get(boss.through_a_task.remote()) == 101
    until(lambda: len(actors()) == 4, "the boss and its three workers live")
    del boss
    until(lambda: not actors(), "the workers ended with the boss")


def test_actors_without_num_cpus_hold_no_cpu(one_cpu: None) -> None:
    counters = [Counter.remote(i) for i in range(4)]
    assert sundog.get([c.increment.remote() for c in counters]) == [1, 2, 3, 4]
    assert sundog.get(add_to.remote(counters[0], 1)) == 2
    assert sundog.available_resources()["CPU"] == 1


def test_actor_holds_what_it_says_until_it_ends(session: None) -> None:
    two = Counter.options(num_cpus=2).remote()
    assert sundog.get(two.increment.remote()) == 1
    assert sundog.available_resources()["CPU"] == 2
    del two
    until(lambda: sundog.available_resources()["CPU"] == 4, "the CPUs are free again")


def test_ready_call_and_terminate_are_methods_of_every_actor(session: None) -> None:
    counter = Counter.remote(5)
    assert sundog.get(counter.__ray_ready__.remote()) is True
    assert sundog.get(counter.__sundog_ready__.remote()) is True
    assert sundog.get(counter.__ray_call__.remote(lambda self, x: self.value + x, 3)) == 8
    sundog.get(counter.__ray_terminate__.remote())
    with pytest.raises(sundog.exceptions.ActorDiedError, match="exit_actor"):
        sundog.get(counter.increment.remote())


def test_timeline_shows_creation_and_calls(session: None) -> None:
    counter = Counter.remote()
    sundog.get(counter.increment.options(name="special").remote())
    sundog.get(counter.increment.remote())
    names = {event.get("name") for event in sundog.timeline() or []}
    assert {"Counter.__init__", "Counter.increment", "special"} <= names


# ---------------------------------------------------------------- handles


def test_handles_travel_as_arguments_in_containers_and_closures(session: None) -> None:
    counter = Counter.remote()

    @sundog.remote
    def captured() -> Any:
        return sundog.get(counter.increment.remote())

    @sundog.remote
    def inside(box: dict[str, list[ActorHandle[Any]]]) -> Any:
        return sundog.get(box["all"][0].increment.remote())

    @sundog.remote
    def give_back(handle: ActorHandle[Any]) -> ActorHandle[Any]:
        return handle

    assert sundog.get(add_to.remote(counter, 1)) == 1
    assert sundog.get(inside.remote({"all": [counter]})) == 2
    assert sundog.get(captured.remote()) == 3
    again = sundog.get(give_back.remote(counter))
    assert again == counter and hash(again) == hash(counter) and again is not counter
    assert sundog.get(again.increment.remote()) == 4
    stored = sundog.get(sundog.put([counter]))[0]
    assert sundog.get(stored.increment.remote()) == 5
    method = sundog.get(sundog.put(counter.increment))
    assert sundog.get(method.remote(10)) == 15


def test_handles_of_actors_made_by_tasks_outlive_the_tasks(session: None) -> None:
    @sundog.remote
    def make() -> Any:
        return Counter.remote(41)

    counter = sundog.get(make.remote())
    assert sundog.get(counter.increment.remote()) == 42


def test_handles_compare_copy_and_show_themselves(session: None) -> None:
    one, two = Counter.remote(), Counter.remote()
    assert one == one and one != two and one != 5 and len({one, two, one}) == 2
    assert copy.copy(one) is one and copy.deepcopy([one])[0] is one
    assert repr(one) == f"Actor(Counter, {one._actor_id.hex()[8:12]}…)"
    assert repr(one.increment) == f"{one!r}.increment"
    assert repr(Counter) == "<actor class Counter>"


def test_handle_completes_and_documents_the_methods(session: None) -> None:
    counter = Counter.remote()
    assert dir(counter) == [
        "fail", "halves", "increment", "name", "note", "noted", "pid", "triple",
    ]  # fmt: skip
    assert str(inspect.signature(counter.increment)) == "(by: int = 1) -> int"
    assert counter.increment.__doc__ == "Adds, and tells the sum."
    assert counter.increment.__name__ == "increment"
    assert str(inspect.signature(Counter)) == "(start: int = 0) -> None"
    assert Counter.__doc__ == "Counts what it is told." and Counter.LIMIT == 1000
    assert inspect.getdoc(counter) == inspect.getdoc(Counter)
    assert inspect.getdoc(type(counter)).startswith("Refers to an actor.")
    assert Counter.__wrapped__(3).increment() == 4


def test_methods_that_do_not_exist_are_attribute_errors(session: None) -> None:
    counter = Counter.remote()
    with pytest.raises(AttributeError, match="no method 'incremnt'; did you mean 'increment'"):
        _ = counter.incremnt
    with pytest.raises(AttributeError, match="'doubled' is a property of Counter"):
        _ = counter.doubled
    assert not hasattr(counter, "_repr_html_") and not hasattr(counter, "__array__")

    @sundog.remote
    def ask(handle: ActorHandle[Any]) -> None:
        handle.incremnt.remote()

    with pytest.raises(AttributeError, match="did you mean 'increment'"):
        sundog.get(ask.remote(counter))


def test_wrong_arguments_are_told_at_once(session: None) -> None:
    with pytest.raises(TypeError, match=r"Counter\.__init__\(\) takes from 0 to 1 positional"):
        Counter.remote(1, 2)
    counter = Counter.remote()
    with pytest.raises(TypeError, match=r"Counter\.fail\(\) missing 1 required .* 'text'"):
        counter.fail.remote()
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'to'"):
        counter.increment.remote(to=1)
    with pytest.raises(TypeError, match=r"is a method of the actor Counter"):
        counter.increment(1)
    with pytest.raises(TypeError, match=r"Counter\.remote\(1, start=2\)"):
        Counter(1, start=2)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"num_cpu": 1}, ValueError, "unknown option 'num_cpu'; did you mean 'num_cpus'"),
        ({"max_restarts": -2}, ValueError, "max_restarts is from -1"),
        ({"max_restarts": "1"}, TypeError, "max_restarts is an integer"),
        ({"max_task_retries": 1.5}, TypeError, "max_task_retries is an integer"),
        ({"lifetime": "forever"}, ValueError, "lifetime is 'detached' or 'non_detached'"),
        ({"name": 5}, TypeError, "name is a string"),
        ({"name": ""}, ValueError, "name is a string that is not empty"),
        ({"get_if_exists": True}, ValueError, "get_if_exists=True needs a name"),
        ({"get_if_exists": 1, "name": "x"}, TypeError, "get_if_exists is True or False"),
        ({"namespace": 5}, TypeError, "namespace is a string"),
        ({"max_concurrency": 0}, ValueError, "from 1 to 10,000 calls at once, got 0"),
        ({"concurrency_groups": {"io": "2"}}, TypeError, "is an integer, got str: '2'"),
        ({"concurrency_groups": ["io"]}, TypeError, "a dictionary of names and limits"),
        ({"max_pending_calls": 0}, ValueError, "max_pending_calls is -1"),
        ({"enable_tensor_transport": True}, ValueError, "is not in this version: leave it out"),
        ({"accelerator_type": 100}, TypeError, "accelerator_type is a text like 'A100', got 100"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, object], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text.replace("(", r"\(")):
        Counter.options(**options)
    with pytest.raises(kind, match=text.replace("(", r"\(")):
        sundog.remote(**options)(Counter.__wrapped__)


def test_options_at_rays_defaults_ask_for_nothing() -> None:
    Counter.options(max_concurrency=1, max_pending_calls=-1, concurrency_groups=None)
    with pytest.raises(TypeError, match="remote already"):
        sundog.remote(Counter)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes options by name"):
        sundog.method(lambda self: None)

    with pytest.raises(ValueError, match="one call after the other"):
        sundog.cpp_actor_class("Kalman").options(max_concurrency=2)


def test_classes_may_wrap_inherit_and_take_anything(session: None) -> None:
    def shouted(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> str:
            return str(function(*args, **kwargs)).upper()

        return inner

    class Base:
        def hello(self, name: str) -> str:
            return f"hello {name}"

    @sundog.remote
    class Loud(Base):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.given = args, kwargs

        @shouted
        def greet(self, name: str) -> str:
            return f"{self.hello(name)} {self.given}"

        def __len__(self) -> int:
            return 7

    class Child(Loud):  # type: ignore[misc]
        def hello(self, name: str) -> str:
            return f"{super().hello(name)}, child"

    loud = Loud.remote(1, b=2)
    assert sundog.get(loud.greet.remote("you")) == "HELLO YOU ((1,), {'B': 2})"
    assert sundog.get(loud.hello.remote(name="me")) == "hello me"
    assert sundog.get(loud.__len__.remote()) == 7
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        loud.greet.remote()
    child = sundog.remote(Child).remote()
    assert sundog.get(child.hello.remote("you")) == "hello you, child"


def test_handle_in_a_forked_child_is_inert(session: None) -> None:
    counter = Counter.remote()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            counter.increment.remote()
        except sundog.exceptions.SundogError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert "forked" in pipe.read()
    os.waitpid(pid, 0)
    assert sundog.get(counter.increment.remote()) == 1


def test_any_thread_may_call(session: None) -> None:
    counter = Counter.remote()
    sums: list[int] = []

    def call() -> None:
        for _ in range(50):
            sums.append(sundog.get(counter.increment.remote()))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == list(range(1, 201))


def test_runtime_context_knows_the_actor(session: None) -> None:
    @sundog.remote
    class Curious:
        def ask(self) -> tuple[Any, ...]:
            context = sundog.get_runtime_context()
            me = context.current_actor
            return me, context.get_actor_id(), context.get_actor_name(), context.namespace

    curious = Curious.options(name="me").remote()
    me, actor_id, name, namespace = sundog.get(curious.ask.remote())
    assert me == curious and actor_id == curious._actor_id.hex() and name == "me"
    context = sundog.get_runtime_context()
    assert namespace == context.namespace and context.get_actor_id() is None
    with pytest.raises(RuntimeError, match="this process is no actor"):
        _ = context.current_actor


# ---------------------------------------------------------------- names


def test_named_actor_is_found_until_it_ends(session: None) -> None:
    counter = Counter.options(name="counter").remote(5)
    found = sundog.get_actor("counter")
    assert found == counter and sundog.get(found.increment.remote()) == 6
    assert list_named_actors() == ["counter"]

    @sundog.remote
    def by_name() -> Any:
        return sundog.get(sundog.get_actor("counter").increment.remote())

    assert sundog.get(by_name.remote()) == 7
    del counter, found
    until(lambda: not list_named_actors(), "the name went with the actor")
    with pytest.raises(ValueError, match="no actor is named 'counter'"):
        sundog.get_actor("counter")


def test_taken_name_is_an_error_unless_the_existing_one_will_do(session: None) -> None:
    first = Counter.options(name="one").remote(1)
    with pytest.raises(ValueError, match="the name 'one' is taken by Actor") as caught:
        Counter.options(name="one").remote(2)
    assert isinstance(caught.value, sundog.exceptions.ActorAlreadyExistsError)
    again = Counter.options(name="one", get_if_exists=True).remote(3)
    assert again == first and sundog.get(again.increment.remote()) == 2
    sundog.kill(first)
    second = Counter.options(name="one").remote(10)
    assert second != first and sundog.get(second.increment.remote()) == 11


def test_name_of_an_actor_that_was_not_made_is_free(session: None) -> None:
    with pytest.raises(TypeError, match="cannot send argument"):
        Counter.options(name="x").remote(threading.Lock())
    with pytest.raises(TypeError, match="takes from 0 to 1"):
        Counter.options(name="x").remote(1, 2)
    counter = Counter.options(name="x").remote()
    assert sundog.get(counter.increment.remote()) == 1


def test_one_of_many_who_ask_makes_the_actor(session: None) -> None:
    @sundog.remote
    def get_or_make(i: int) -> Any:
        handle = Counter.options(name="shared", get_if_exists=True).remote(0)
        return handle, sundog.get(handle.increment.remote())

    answers = sundog.get([get_or_make.remote(i) for i in range(8)])
    assert len({handle for handle, _ in answers}) == 1


def test_namespaces_keep_names_apart() -> None:
    with sundog.init(num_cpus=2, namespace="here", logging_level="warning"):
        here = Counter.options(name="x").remote(1)
        there = Counter.options(name="x", namespace="there").remote(100)
        assert sundog.get_actor("x") == here
        assert sundog.get_actor("x", namespace="there") == there
        assert list_named_actors() == ["x"]
        both = [{"name": "x", "namespace": "here"}, {"name": "x", "namespace": "there"}]
        assert sorted(list_named_actors(True), key=str) == both
        with pytest.raises(ValueError, match="no actor is named 'y' in namespace 'here'"):
            sundog.get_actor("y")

        @sundog.remote
        def where() -> tuple[str, bool]:
            return sundog.get_runtime_context().namespace, sundog.get_actor("x") is not None

        assert sundog.get(where.remote()) == ("here", True)
        del here, there


def test_programs_of_one_session_share_a_namespace(tmp_path: Path) -> None:
    with sundog.init(num_cpus=2, namespace="shared", logging_level="warning"):
        counter = Counter.options(name="counter").remote(5)
        sundog.get(counter.increment.remote())
        other = """
            import sundog

            sundog.init(address="auto", namespace="shared", logging_level="warning")
            found = sundog.get_actor("counter")
            print(dir(found)[:3], sundog.get(found.increment.remote(10)))
        """
        assert run_program(other, tmp_path).stdout == "['fail', 'halves', 'increment'] 16\n"
        apart = 'import sundog\nsundog.init(address="auto")\nsundog.get_actor("counter")'
        done = run_program(apart, tmp_path, check=False)
        assert "there is one in namespace 'shared'" in done.stderr
        assert sundog.get(counter.increment.remote()) == 17


# ---------------------------------------------------------------- where classes come from


def test_classes_of_the_main_program_and_its_modules(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(
        "import sundog\n@sundog.remote\nclass Box:\n    size = 3\n"
        "    def area(self): return self.size ** 2\n"
        "class Plain:\n    def area(self): return 5\n"
    )
    program = """
        import importlib, sundog, shapes

        sundog.init(num_cpus=2, logging_level="warning")

        @sundog.remote
        class Here:
            def both(self, box):
                return sundog.get(box.area.remote()) + sundog.get(shapes.Box.remote().area.remote())

        print(sundog.get(Here.remote().both.remote(shapes.Box.remote())))
        print(sundog.get(sundog.remote(shapes.Plain).remote().area.remote()))
        text = open(shapes.__file__).read().replace("size = 3", "size = 40")
        open(shapes.__file__, "w").write(text)
        importlib.reload(shapes)
        print(sundog.get(shapes.Box.remote().area.remote()))
    """
    done = run_program(program, tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == "18\n5\n1600\n"


def test_pickled_handle_keeps_its_actor_to_the_jobs_end(session: None) -> None:
    pickled = pickle.dumps(Counter.remote(1))
    again = pickle.loads(pickled)
    assert sundog.get(again.increment.remote()) == 2
