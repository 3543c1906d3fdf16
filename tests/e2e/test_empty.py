"""sundog.empty: arrays made in the store, whose put copies nothing and whose writer stays alone."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import run_program

import sundog

MB = 1 << 20


@sundog.remote
def total(array: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    return float(array.sum())


def pages_written_privately(address: int) -> int:
    """Kilobytes of private dirty pages in the mapping at `address`."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    inside = False
    for line in lines:
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            begin, end = (int(part, 16) for part in head.split("-"))
            inside = begin <= address < end
        elif inside and head == "Private_Dirty:":
            return int(line.split()[1])
    raise AssertionError(f"nothing is mapped at {address:x}")


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "?", "u2", "c16", np.float16, int])
@pytest.mark.parametrize("shape", [0, 3, (5, 7), (100, 300), (2, 3, 4, 5, 6, 7, 8)])
def test_an_array_of_any_shape_and_number_comes_back(
    session: None, shape: object, dtype: object
) -> None:
    array = sundog.empty(shape, dtype=dtype)
    expected = (np.arange(array.size) % 2).astype(dtype).reshape(array.shape)
    array[...] = expected
    back = sundog.get(sundog.put(array))
    assert back.dtype == expected.dtype and back.shape == expected.shape
    assert np.array_equal(back, expected)


def test_put_copies_nothing(session: None) -> None:
    array = sundog.empty(64 * MB // 8)
    address = array.ctypes.data
    array[:] = 1
    ref = sundog.put(array)
    assert array.ctypes.data == address
    assert pages_written_privately(address) == 0, "the array shows the object's own pages"
    assert sundog.get(total.remote(ref)) == array.sum() == array.size


def test_later_writes_through_any_alias_stay_the_writers_own(session: None) -> None:
    array = sundog.empty((1000, 100))
    array[:] = 1
    row, flat, memory = array[500], array.reshape(-1), memoryview(array)
    ref = sundog.put(array)
    array[0, 0] = -1
    row[:] = -2
    flat[99_999] = -3
    memory[1, 1] = -4
    assert (array[0, 0], array[500, 5], array[999, 99], array[1, 1]) == (-1, -2, -3, -4)
    assert sundog.get(ref).sum() == sundog.get(total.remote(ref)) == 100_000


def test_the_array_keeps_what_it_shows_when_the_reference_goes(session: None) -> None:
    array = sundog.empty(8 * MB // 8)
    array[:] = 7
    sundog.put(array)
    for n in range(80):  # more than the store has
        sundog.get(sundog.put(np.full(8 * MB // 8, float(n))))
    assert array.sum() == 7 * array.size


def test_a_reshaped_array_is_put_as_it_is(session: None) -> None:
    array = sundog.empty(100_000)
    array[:] = np.arange(100_000)
    back = sundog.get(sundog.put(array.reshape(100, 1000)))
    assert back.shape == (100, 1000) and back[99, 999] == 99_999
    array[0] = 5
    assert back[0, 0] == 0


def test_a_part_and_a_second_put_are_copies(session: None) -> None:
    array = sundog.empty(100_000)
    array[:] = 2
    part = sundog.put(array[:50_000])
    array[0] = 9
    first = sundog.put(array)
    array[1] = 9
    second = sundog.put(array)
    assert sundog.get(part).sum() == 100_000
    assert sundog.get(first).sum() == 200_007
    assert sundog.get(second).sum() == 200_014


def test_inside_other_values_and_as_argument_and_result(session: None) -> None:
    array = sundog.empty(50_000)
    array[:] = 1
    assert sundog.get(sundog.put({"a": array}))["a"].sum() == 50_000
    assert sundog.get(total.remote(array)) == 50_000
    array[0] = 11
    assert sundog.get(total.remote(array)) == 50_010

    @sundog.remote
    def make(n: int) -> object:
        made = sundog.empty(n)
        made[:] = 3
        return made

    assert sundog.get(make.remote(50_000)).sum() == 150_000


def test_writers_in_threads_never_fault_during_the_put(session: None) -> None:
    array = sundog.empty(4 * MB // 8)
    array[:] = 0
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            array[::512] += 1

    thread = threading.Thread(target=write)
    thread.start()
    ref = sundog.put(array)
    seen = sundog.get(ref).copy()
    stop.set()
    thread.join()
    assert np.array_equal(sundog.get(ref), seen)


def test_an_array_that_is_never_put_gives_its_room_back(one_cpu: None) -> None:
    for _ in range(20):  # 20 times 64 MB in a store of 256 MB
        array = sundog.empty(64 * MB, dtype="u1")
        array[0] = 1
        del array
        gc.collect()


def test_an_array_outlives_the_session(tmp_path: Path) -> None:
    done = run_program(
        """
        import sundog
        sundog.init(num_cpus=1, logging_level="error")
        before, never = sundog.empty(100_000), sundog.empty(100_000)
        before[:], never[:] = 1, 2
        sundog.put(before)
        sundog.shutdown()
        before[0] = never[0] = 3
        print(before.sum(), never.sum())
        """,
        tmp_path,
    )
    assert done.stdout == "100002.0 200001.0\n"


def test_a_forked_child_leaves_it_alone(session: None) -> None:
    array = sundog.empty(100_000)
    array[:] = 1
    pid = os.fork()
    if pid == 0:
        del array
        gc.collect()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert sundog.get(sundog.put(array)).sum() == 100_000


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        (-1, float, ValueError),
        ("3", float, TypeError),
        ((2.5, 1), float, TypeError),
        (9_999, object, TypeError),
        (9_999, "U3", TypeError),
        (9_999, ">f8", TypeError),
        (9_999, "M8[s]", TypeError),
        (1 << 61, "u1", ValueError),
        (1 << 40, "u1", sundog.exceptions.ObjectStoreFullError),
    ],
)
def test_wrong_arguments_are_refused(
    session: None, shape: object, dtype: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"empty\(\)|no room"):
        sundog.empty(shape, dtype=dtype)
