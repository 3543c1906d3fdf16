"""Objects: arrays without a copy, who may write them, how long they live, a full store."""

import gc
import os
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import until

import sundog
from sundog import _core, _explain

MB = 1 << 20


@sundog.remote
def total(array: Any) -> float:
    return float(array.sum())


def mapping_of(array: np.ndarray) -> str:
    """The line of /proc/self/maps that holds the array's bytes."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, _, high = line.split()[0].partition("-")
        if int(low, 16) <= address < int(high, 16):
            return line
    return ""


def store() -> dict[str, Any]:
    session = _core.current_session()
    assert session is not None
    return dict(_explain.status(session)["store"])


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8", "c16", "M8[s]", "U5", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 4), (100, 200), (7, 300, 50)])
def test_array_survives(session: None, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    got = sundog.get(sundog.put(array))
    assert got.dtype == array.dtype and got.shape == array.shape
    assert np.array_equal(got, array)


@pytest.mark.parametrize("size", [10, 1_000, 100_000])
def test_array_is_read_only_whatever_its_size(session: None, size: int) -> None:
    got = sundog.get(sundog.put(np.zeros(size)))
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


def test_large_array_is_a_view_of_the_arena(session: None) -> None:
    ref = sundog.put(np.arange(MB, dtype="u1"))
    got = sundog.get(ref)
    line = mapping_of(got)
    assert "memfd" in line
    assert line.split()[1][3] == "p"  # private: a written page is nobody else's
    del got, ref


def test_fortran_order_and_slices(session: None) -> None:
    array = np.arange(200_000, dtype="f8").reshape(400, 500)
    for given in (np.asfortranarray(array), array[::2, 1:], array.T, array[::-1]):
        assert np.array_equal(sundog.get(sundog.put(given)), given)


def test_containers_of_arrays(session: None) -> None:
    value = {"a": np.ones(50_000), "b": [np.zeros(3), np.full((300, 300), 7)], "c": "text"}
    got = sundog.get(sundog.put(value))
    assert np.array_equal(got["a"], value["a"]) and got["c"] == "text"
    assert np.array_equal(got["b"][0], value["b"][0])
    assert np.array_equal(got["b"][1], value["b"][1])


def test_writable_views_are_private(session: None) -> None:
    ref = sundog.put(np.zeros(MB))
    first = sundog.get(ref, writable=True)
    second = sundog.get(ref, writable=True)
    first[:10] = 1
    second[:10] = 2
    assert first[:10].sum() == 10 and second[:10].sum() == 20
    assert sundog.get(ref)[:10].sum() == 0
    assert sundog.get(total.remote(ref)) == 0


def test_writable_view_of_a_small_array(session: None) -> None:
    ref = sundog.put(np.zeros(10))
    mine = sundog.get(ref, writable=True)
    mine[:] = 1
    assert mine.sum() == 10 and sundog.get(ref).sum() == 0


def test_write_that_ignores_the_flag_reaches_nobody(session: None) -> None:
    import ctypes

    ref = sundog.put(np.zeros(MB, dtype="u1"))
    mine = sundog.get(ref)
    ctypes.memset(mine.__array_interface__["data"][0], 1, 10)
    assert mine[:10].sum() == 10
    assert sundog.get(total.remote(ref)) == 0
    del mine


def test_worker_sees_an_array_without_a_copy_and_cannot_write_it(session: None) -> None:
    @sundog.remote
    def try_to_write(array: Any) -> str:
        try:
            array[0] = 1
        except ValueError as error:
            return str(error)
        return ""

    ref = sundog.put(np.zeros(MB))
    assert "read-only" in sundog.get(try_to_write.remote(ref))
    assert "read-only" in sundog.get(try_to_write.remote(np.zeros(10)))


def test_array_stays_readable_after_its_reference_and_after_shutdown(session: None) -> None:
    ref = sundog.put(np.arange(MB))
    slice_of_it = sundog.get(ref)[1000:1010]
    del ref
    for i in range(20):  # whoever took the bytes would write them
        sundog.put(np.full(MB, i))
    assert list(slice_of_it) == list(range(1000, 1010))
    sundog.shutdown()
    assert list(slice_of_it) == list(range(1000, 1010))


def test_result_in_shared_memory(session: None) -> None:
    @sundog.remote
    def make(n: int) -> np.ndarray:
        return np.arange(n)

    got = sundog.get(make.remote(500_000))
    assert got[-1] == 499_999
    assert "memfd" in mapping_of(got)


def test_bytes_are_used_again(session: None) -> None:
    for i in range(60):  # some 480 MB through a store of 256 MB
        array = np.full(MB, i, dtype="i8")
        assert sundog.get(total.remote(sundog.put(array))) == i * MB
    gc.collect()
    until(lambda: store()["pinned_objects"] == 0, "no pin is left")
    until(lambda: store()["used_bytes"] < MB, f"the store is empty: {store()}")


def test_large_argument_by_value_is_freed_after_the_task(session: None) -> None:
    array = np.ones(MB, dtype="u1")
    assert sundog.get([total.remote(array) for _ in range(5)]) == [MB] * 5
    until(lambda: store()["used_bytes"] == 0, f"arguments were freed: {store()}")


def test_hint_when_a_large_argument_is_sent_again_and_again(
    session: None, caplog: pytest.LogCaptureFixture
) -> None:
    array = np.ones(4 * MB, dtype="u1")

    @sundog.remote
    def size(a: Any) -> int:
        return len(a)

    for i in range(6):
        sundog.get([size.remote(np.full(MB, i)), size.remote(bytes([i]) * MB)])
    assert not caplog.messages
    for _ in range(6):
        sundog.get(size.remote(array))
    (line,) = caplog.messages
    assert "the same 4 MB ndarray" in line and "size()" in line and "sundog.put" in line


def test_value_larger_than_the_store_is_refused_at_once(session: None) -> None:
    began = time.monotonic()
    with pytest.raises(sundog.exceptions.ObjectStoreFullError):
        sundog.put(np.zeros(300 * MB, dtype="u1"))
    assert time.monotonic() - began < 5


def test_full_store_says_so_when_nothing_can_make_room(session: None) -> None:
    held = []
    with pytest.raises(sundog.exceptions.ObjectStoreFullError):
        for i in range(20):
            held.append(sundog.put(np.full(40 * MB, i, dtype="u1")))
    assert 3 <= len(held) <= 6
    held.clear()
    assert sundog.get(sundog.put(np.ones(40 * MB, dtype="u1"))).sum() == 40 * MB


def test_put_waits_for_a_task_that_will_release_bytes(session: None) -> None:
    @sundog.remote
    def hold(array: Any, path: str) -> int:
        while not os.path.exists(path):
            time.sleep(0.002)
        return int(array[0])

    import threading

    gate = os.path.join(os.environ["SUNDOG_HOME"], "gate-of-put")
    results = [hold.remote(sundog.put(np.full(80 * MB, i, dtype="u1")), gate) for i in range(2)]
    opener = threading.Timer(0.3, lambda: os.close(os.open(gate, os.O_CREAT)))
    opener.start()
    ref = sundog.put(np.full(120 * MB, 9, dtype="u1"))  # fits only after one of them ended
    assert os.path.exists(gate)
    assert sundog.get(ref)[0] == 9
    assert sundog.get(results) == [0, 1]
    opener.join()


def test_reference_pickled_by_the_program_is_held(session: None) -> None:
    ref = sundog.put("precious")
    pickled = pickle.dumps(ref)
    digits = ref.hex()
    del ref
    gc.collect()
    sundog.get(total.remote(np.ones(1)))
    again = pickle.loads(pickled)
    assert again.hex() == digits
    assert sundog.get(again, timeout=5) == "precious"


def test_reference_as_a_value(session: None) -> None:
    ref = sundog.put(1)
    same = sundog.ObjectRef.from_hex(ref.hex())
    assert same == ref and hash(same) == hash(ref) and same is not ref
    assert repr(ref) == f"ObjectRef({ref.hex()})" and len(ref.hex()) == 40
    assert sundog.ObjectRef.from_binary(ref.binary()) == ref
    assert sundog.get(same) == 1
    assert {ref: "found"}[same] == "found"
    assert sundog.ObjectRef.nil().is_nil() and not ref.is_nil()
    with pytest.raises(ValueError, match="40 hex digits"):
        sundog.ObjectRef.from_hex("xyz")
    with pytest.raises(TypeError, match="names an object already"):
        sundog.put(ref)


def test_future_of_a_reference(session: None) -> None:
    assert total.remote(np.ones(5)).future().result(timeout=10) == 5


def test_objects_of_the_programs_own_classes(session: None) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def __eq__(self, other: object) -> bool:
            return isinstance(other, type(self)) and other.x == self.x

    @sundog.remote
    def shift(p: Any) -> Any:
        p.x += 1
        return p

    assert sundog.get(sundog.put(Point(1))).x == 1
    assert sundog.get(shift.remote(Point(1))).x == 2


def test_list_of_two_thousand_objects(session: None) -> None:
    refs = [sundog.put(i) for i in range(2000)]
    assert sundog.get(refs) == list(range(2000))


def test_get_of_nothing(session: None) -> None:
    assert sundog.get([]) == []
    assert sundog.get(()) == []
