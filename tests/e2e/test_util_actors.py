"""`ActorPool`, serializers, and the small things of `sundog.util`."""

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import sundog
from sundog import util
from sundog.util import ActorPool


@sundog.remote(num_cpus=0)
class Worker:
    def double(self, x: int) -> int:
        return 2 * x

    def wait_for(self, path: str, x: int) -> int:
        while not Path(path).exists():
            time.sleep(0.002)
        return x

    def fail(self, x: int) -> None:
        raise ValueError(x)


def double(actor: Any, value: int) -> Any:
    return actor.double.remote(value)


def pool_of_two() -> ActorPool:
    return ActorPool([Worker.remote(), Worker.remote()])


def test_map_is_in_order_and_map_unordered_has_all(session: None) -> None:
    pool = pool_of_two()
    assert list(pool.map(double, range(20))) == [2 * x for x in range(20)]
    assert sorted(pool.map_unordered(double, range(20))) == [2 * x for x in range(20)]
    assert list(pool.map(double, [])) == []


def test_a_new_map_drops_what_was_not_taken(session: None) -> None:
    pool = pool_of_two()
    pool.submit(double, 100)
    pool.submit(double, 200)
    pool.submit(double, 300)
    assert list(pool.map(double, range(3))) == [0, 2, 4]


def test_submit_and_get_next(session: None) -> None:
    pool = pool_of_two()
    assert not pool.has_next() and pool.has_free()
    for x in range(5):
        pool.submit(double, x)
    assert pool.has_next() and not pool.has_free()
    assert [pool.get_next() for _ in range(5)] == [0, 2, 4, 6, 8]
    assert not pool.has_next() and pool.has_free()
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_a_timeout_leaves_the_result_or_drops_it(session: None, tmp_path: Path) -> None:
    pool = pool_of_two()
    path = tmp_path / "open"

    def wait_for(actor: Any, x: int) -> Any:
        return actor.wait_for.remote(str(path), x)

    pool.submit(wait_for, 1)
    pool.submit(wait_for, 2)
    with pytest.raises(TimeoutError, match="can be asked for"):
        pool.get_next(timeout=0.01)
    with pytest.raises(TimeoutError, match="can be asked for again"):
        pool.get_next_unordered(timeout=0.01)
    with pytest.raises(TimeoutError, match="dropped"):
        pool.get_next(timeout=0.01, ignore_if_timedout=True)
    path.touch()
    assert pool.get_next() == 2
    assert not pool.has_next()


def test_order_and_no_order_can_be_mixed(session: None, tmp_path: Path) -> None:
    pool = pool_of_two()
    path = tmp_path / "open"
    pool.submit(lambda actor, x: actor.wait_for.remote(str(path), x), 0)
    for x in range(1, 4):
        pool.submit(double, x)
    assert pool.get_next_unordered() == 2
    path.touch()
    assert [pool.get_next() for _ in range(3)] == [0, 4, 6]
    pool.submit(double, 9)
    assert pool.get_next() == 18


def test_an_exception_leaves_the_actor_in_the_pool(session: None) -> None:
    pool = pool_of_two()
    pool.submit(lambda actor, x: actor.fail.remote(x), 1)
    with pytest.raises(ValueError, match="1"):
        pool.get_next()
    assert list(pool.map(double, range(4))) == [0, 2, 4, 6]


def test_calls_with_several_results_give_lists(session: None) -> None:
    @sundog.remote
    class Divider:
        @sundog.method(num_returns=2)
        def divide(self, number: int) -> tuple[int, int]:
            return divmod(number, 3)

    pool = ActorPool([Divider.remote() for _ in range(2)])
    assert list(pool.map(lambda a, v: a.divide.remote(v), range(4))) == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
    ]
    assert list(pool.map_unordered(lambda a, v: a.divide.remote(v), [7])) == [[2, 1]]


def test_actors_come_and_go(session: None) -> None:
    pool = pool_of_two()
    first, second = pool.pop_idle(), pool.pop_idle()
    assert first is not None and second is not None and pool.pop_idle() is None
    assert not pool.has_free()
    pool.submit(double, 3)  # waits for an actor
    pool.push(first)
    assert pool.get_next() == 6
    with pytest.raises(ValueError, match="in the pool already"):
        pool.push(first)


class Guarded:
    """Cannot be pickled by itself."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.lock = threading.Lock()


def test_a_registered_serializer_counts_until_it_is_taken_back(session: None) -> None:
    @sundog.remote
    def value_of(guarded: Any) -> int:
        with guarded.lock:
            return int(guarded.value)

    with pytest.raises(TypeError, match="cannot send argument"):
        value_of.remote(Guarded(1))
    util.register_serializer(
        Guarded, serializer=lambda g: g.value, deserializer=lambda v: Guarded(v)
    )
    try:
        assert sundog.get(value_of.remote(Guarded(7))) == 7
        assert sundog.get(sundog.put([Guarded(8)]))[0].value == 8
    finally:
        util.deregister_serializer(Guarded)
    util.deregister_serializer(Guarded)
    with pytest.raises(TypeError, match="cannot send argument"):
        value_of.remote(Guarded(1))
    with pytest.raises(TypeError, match="takes a class"):
        util.register_serializer(3, serializer=id, deserializer=id)  # type: ignore[arg-type]


def test_inspect_serializability_finds_the_part_at_fault() -> None:
    lock = threading.Lock()
    inner = {"kept": [1, 2], "guard": lock}

    def uses() -> object:
        return inner

    out = io.StringIO()
    good, failures = util.inspect_serializability(uses, print_file=out)
    assert not good
    (failure,) = failures
    assert failure.obj is lock and failure.name == "['guard']" and failure.parent is inner
    assert "uses cannot be pickled; at fault: ['guard'] (lock)" in out.getvalue()
    guarded = Guarded(1)
    good, failures = util.inspect_serializability(guarded, "mine", print_file=out)
    assert not good and {f.name for f in failures} == {"lock"}
    assert util.inspect_serializability(inner["kept"], "kept", print_file=out) == (True, set())
    assert out.getvalue().endswith("kept can be pickled\n")


def test_log_once_is_true_once_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from sundog.util import _once

    for name in ("_seen", "_disabled", "_periodic", "_last_period"):
        monkeypatch.setattr(_once, name, set() if name == "_seen" else type(getattr(_once, name))())
    assert util.log_once("a") and not util.log_once("a") and util.log_once("b")
    util.disable_log_once_globally()
    assert not util.log_once("c")
    util.enable_periodic_logging()
    assert util.log_once("c") and not util.log_once("c")
    monkeypatch.setattr(_once, "PERIOD_SECONDS", -1.0)
    assert util.log_once("a")


def test_the_address_of_this_machine(session: None) -> None:
    assert util.get_node_ip_address() == "127.0.0.1"
    assert sundog.nodes()[0]["NodeManagerAddress"] == "127.0.0.1"
    assert util.get_node_ip_address("127.0.0.1:80") == "127.0.0.1"
    with pytest.raises(ValueError, match="'host:port'"):
        util.get_node_ip_address("nowhere")


def test_parts_are_imported_when_asked_for() -> None:
    assert set(util.__all__) <= set(dir(util))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        util.nonsense  # noqa: B018
