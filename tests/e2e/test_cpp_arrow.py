"""Data of Apache Arrow between Python and C++: pyarrow and C++ read the same buffers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sundog
from sundog import _paths
from sundog.exceptions import TaskError

pa: Any = pytest.importorskip("pyarrow")

WORKER = Path(_paths.daemon()).parent / "calls_worker"

pytestmark = pytest.mark.skipif(not WORKER.exists(), reason="the C++ programs are not built")
ROWS = 100_000


@pytest.fixture
def cpp() -> Iterator[None]:
    with sundog.init(num_cpus=2, cpp_worker=WORKER, logging_level="warning"):
        yield


def cpp_result(name: str, *args: Any) -> Any:
    return sundog.get(sundog.cpp_function(name).remote(*args), timeout=60)


def test_cpp_reads_tables_that_python_put(cpp: None) -> None:
    numbers = pa.array(np.arange(ROWS, dtype=float))
    table = pa.table({"x": numbers, "some": pa.array([None, *range(ROWS - 1)], pa.float64())})
    stored = sundog.put(table)
    assert cpp_result("sum_of_column", stored, "x") == sum(range(ROWS))
    assert cpp_result("sum_of_column", stored, "some") == sum(range(ROWS - 1))
    assert cpp_result("sum_of_column", table.slice(5, 3), "x") == 5 + 6 + 7
    pieces = pa.concat_tables([table, table])
    assert cpp_result("sum_of_column", pieces, "x") == 2 * sum(range(ROWS))
    assert cpp_result("sum_of_column", table.to_batches()[0], "x") == sum(range(ROWS))
    with pytest.raises(TaskError, match="no column 'y'"):
        cpp_result("sum_of_column", stored, "y")
    with pytest.raises(TaskError, match="asked for was an Arrow table"):
        cpp_result("sum_of_column", 5, "x")


def test_cpp_reads_arrays_of_text(cpp: None) -> None:
    words = ["a", None, "three", ""]
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(words, kind)
        assert cpp_result("texts_of", array) == words
        assert cpp_result("texts_of", array.slice(1, 2)) == words[1:3]
        assert cpp_result("texts_of", pa.chunked_array([array])) == words


def test_cpp_names_the_types_of_columns(cpp: None) -> None:
    columns = {
        "when": pa.array([1], pa.timestamp("us", "UTC")),
        "day": pa.array([1], pa.date32()),
        "list": pa.array([[1, 2]]),
        "word": pa.array(["a"]).dictionary_encode(),
    }
    assert dict(cpp_result("types_of", pa.table(columns))) == {
        "when": "timestamp(us, UTC)",
        "day": "date32[day]",
        "list": "list_(field(item, int64, true))",
        "word": "dictionary(int32, string, false)",
    }


def test_python_reads_tables_that_cpp_made(cpp: None) -> None:
    ref = sundog.cpp_function("made_table").remote(ROWS)
    sundog.wait([ref], timeout=60)
    before = pa.total_allocated_bytes()
    table = sundog.get(ref)
    assert pa.total_allocated_bytes() - before < 10_000, "its buffers are the object's"
    table.validate(full=True)
    assert table.column("halves").to_numpy().sum() == 0.5 * sum(range(ROWS))
    assert table.column("numbers").to_pylist()[:4] == [None, 1, 2, None]
    assert table.column("words").to_pylist()[:4] == [None, "w1", "w2", None]
    assert table.column("odd").to_pylist()[:3] == [False, True, False]
    assert cpp_result("made_table", 0).num_rows == 0


def test_cpp_passes_tables_on(cpp: None) -> None:
    tables = {
        "all": pa.table(
            {
                "when": pa.array([1, None], pa.timestamp("us")),
                "list": pa.array([[1, 2], None]),
                "struct": pa.array([{"a": 1}, {"a": None}]),
                "word": pa.array(["a", "b"]).dictionary_encode(),
            }
        ),
        "none": pa.table({"x": pa.array([], pa.int8())}),
    }
    back = cpp_result("passed_on", tables)
    assert {name: table.to_pydict() for name, table in back.items()} == {
        name: table.to_pydict() for name, table in tables.items()
    }
