"""`await ref` and `ref.future()`: woken by the runtime, one thread for all."""

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_S, held_here, run_program, until

import sundog
from sundog import _future


@sundog.remote
def double(x: int) -> int:
    return 2 * x


@sundog.remote
def divide(a: int, b: int) -> float:
    return a / b


@sundog.remote
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_await_gives_the_value(session: None) -> None:
    async def main() -> int:
        return await double.remote(21)

    assert asyncio.run(main()) == 42


def test_gather_waits_for_many_with_one_thread(session: None) -> None:
    async def main() -> tuple[list[int], int]:
        awaited = asyncio.gather(*[double.remote(i) for i in range(200)])
        slow = asyncio.ensure_future(nap.remote(0.05))
        values = await awaited
        ours = [t for t in threading.enumerate() if t.name == "sundog-future"]
        await slow
        return values, len(ours)

    values, threads = asyncio.run(main())
    assert values == [2 * i for i in range(200)]
    assert threads == 1


def test_loop_goes_on_while_a_task_runs(session: None) -> None:
    async def main() -> int:
        slow = asyncio.ensure_future(nap.remote(0.2))
        turns = 0
        while not slow.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    assert asyncio.run(main()) >= 5


def test_awaited_error_is_the_tasks_own_with_the_users_lines_only(session: None) -> None:
    async def main() -> None:
        await divide.remote(1, 0)

    with pytest.raises(ZeroDivisionError) as raised:
        asyncio.run(main())
    assert isinstance(raised.value, sundog.exceptions.TaskError)
    files = {entry.path for entry in raised.traceback}
    assert not any(f"sundog{os.sep}_future" in str(file) for file in files)


def test_cancelled_await_leaves_the_task_and_the_loop(session: None) -> None:
    async def main() -> float:
        ref = nap.remote(0.2)

        async def wait() -> float:
            return await ref

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await asyncio.wait_for(wait(), PATIENCE_S)

    assert asyncio.run(main()) == 0.2


def test_wait_for_has_a_timeout(session: None) -> None:
    async def main() -> None:
        async def wait() -> float:
            return await nap.remote(30)

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait(), 0.05)

    asyncio.run(main())


async def asyncio_wait(refs: Any, **options: Any) -> tuple[set[Any], set[Any]]:
    """asyncio.wait, whose types know of futures only; Python 3.10 makes a task of each."""
    return await asyncio.wait(refs, **options)


async def wait_in_all_ways(folder: Path) -> None:
    done, pending = await asyncio_wait([double.remote(i) for i in range(5)])
    assert sorted([await each for each in done]) == [0, 2, 4, 6, 8] and not pending
    last = nap.remote(30)
    first, later = await asyncio_wait([double.remote(1), last], return_when=asyncio.FIRST_COMPLETED)
    assert [await each for each in first] == [2] and len(later) == 1
    failed, _ = await asyncio_wait([last, divide.remote(1, 0)], return_when=asyncio.FIRST_EXCEPTION)
    with pytest.raises(ZeroDivisionError):
        await failed.pop()
    none, both = await asyncio_wait([last], timeout=0.01)
    assert not none and len(both) == 1
    sundog.cancel(last)
    cancelled, _ = await asyncio_wait([last])
    with pytest.raises(sundog.exceptions.TaskCancelledError):
        await cancelled.pop()
    (folder / "done").touch()


def test_asyncio_wait_takes_references(session: None, tmp_path: Path) -> None:
    asyncio.run(wait_in_all_ways(tmp_path))
    assert not _future._awaited
    assert (tmp_path / "done").exists()


def test_asyncio_wait_takes_references_in_a_worker(session: None, tmp_path: Path) -> None:
    @sundog.remote
    class Waiter:
        async def wait(self) -> int:
            await wait_in_all_ways(tmp_path)
            return len(_future._awaited)

    assert sundog.get(Waiter.remote().wait.remote()) == 0
    assert (tmp_path / "done").exists()


def test_a_reference_tells_whether_it_is_done(session: None) -> None:
    slow, there, wrong = nap.remote(30), sundog.put(1), divide.remote(1, 0)
    sundog.wait([wrong])
    assert (slow.done(), there.done(), wrong.done()) == (False, True, True)
    assert there.exception() is None and isinstance(wrong.exception(), ZeroDivisionError)
    with pytest.raises(asyncio.InvalidStateError, match="not there yet"):
        slow.exception()
    with pytest.raises(RuntimeError, match="needs a running event loop"):
        slow.add_done_callback(print)
    assert slow.remove_done_callback(print) == 0
    sundog.cancel(slow)


def test_await_of_a_put_object_and_twice(session: None) -> None:
    async def main() -> list[str]:
        ref = sundog.put("here")
        return [await ref, await ref]

    assert asyncio.run(main()) == ["here", "here"]


def test_loops_of_two_threads_wait_at_once(session: None) -> None:
    found: list[int] = []

    async def main(number: int) -> None:
        found.append(await double.remote(number))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 2, 4, 6]


def test_futures_resolve_while_get_waits_in_the_main_thread(session: None) -> None:
    futures: list[Future[int]] = [double.remote(i).future() for i in range(50)]
    assert sundog.get(double.remote(1)) == 2
    assert [future.result(PATIENCE_S) for future in futures] == [2 * i for i in range(50)]
    error = divide.remote(1, 0).future().exception(PATIENCE_S)
    assert isinstance(error, ZeroDivisionError)


def test_future_fails_when_the_session_ends(session: None) -> None:
    future = nap.remote(30).future()
    sundog.shutdown()
    assert isinstance(future.exception(PATIENCE_S), sundog.exceptions.SundogError)


def test_a_kept_future_that_failed_keeps_no_reference(session: None) -> None:
    gc.disable()  # nor is there a cycle
    try:
        future = divide.remote(1, 0).future()
        with pytest.raises(ZeroDivisionError):
            future.result(PATIENCE_S)
        until(lambda: not held_here(), lambda: f"{future} keeps nothing: {held_here()}")
    finally:
        gc.enable()


def test_thread_ends_when_nothing_is_awaited(
    session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sundog import _future

    monkeypatch.setattr(_future, "LINGER_SECONDS", 0.05)
    assert double.remote(4).future().result(PATIENCE_S) == 8
    until(
        lambda: all(t.name != "sundog-future" for t in threading.enumerate()),
        "the thread has ended",
    )
    assert double.remote(5).future().result(PATIENCE_S) == 10


def test_await_inside_a_task(session: None) -> None:
    @sundog.remote
    def outer() -> int:
        async def main() -> int:
            return await double.remote(4)

        return asyncio.run(main())

    assert sundog.get(outer.remote()) == 8


def test_await_outside_a_loop_says_what_to_do(session: None) -> None:
    waiting = double.remote(1).__await__()
    with pytest.raises(RuntimeError, match=r"asyncio.run\(main\(\)\); elsewhere use sundog.get"):
        next(waiting)


def test_main_thread_is_known_to_a_program_that_imports_nothing(tmp_path: Path) -> None:
    program = """
        import sundog
        sundog.init(num_cpus=1, logging_level="warning")
        import threading
        print(threading.current_thread() is threading.main_thread())
    """
    assert run_program(program, tmp_path).stdout == "True\n"


def test_as_future_is_a_future_of_the_running_loop(session: None) -> None:
    ref = double.remote(21)

    async def main() -> int:
        future = ref.as_future()
        assert isinstance(future, asyncio.Future)
        assert future.get_loop() is asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await divide.remote(1, 0).as_future()
        given_up = nap.remote(0).as_future()
        assert given_up.cancel()
        return await future

    assert asyncio.run(main()) == 42
    with pytest.raises(RuntimeError, match=r"as_future\(\) needs a running event loop"):
        ref.as_future()
