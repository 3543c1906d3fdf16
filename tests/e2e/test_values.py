"""Any value that pickle takes comes back equal, whichever way it travels."""

import pickle
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sundog

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=5)
        | st.frozensets(st.integers(), max_size=5)
    ),
    max_leaves=20,
)
DTYPES = ["?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", ">i4", "S3", "M8[ns]"]


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of several dtypes, orders and steps, some over the limits of a message."""
    shape = draw(st.lists(st.integers(0, 40), max_size=3))
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(draw(st.sampled_from(DTYPES)))
    how = draw(st.sampled_from(["C", "F", "reversed", "stepped", "transposed", "readonly"]))
    if how == "F":
        array = np.asfortranarray(array)
    elif how == "reversed" and array.ndim:
        array = array[::-1]
    elif how == "stepped" and array.ndim:
        array = array[::2]
    elif how == "transposed":
        array = array.T
    elif how == "readonly":
        array.flags.writeable = False
    return array


def same(a: Any, b: Any) -> bool:
    return bool(a == b) and type(a) is type(b)


@sundog.remote
def identity(x: Any) -> Any:
    return x


@given(value=values)
@SETTINGS
def test_any_value(session: None, value: Any) -> None:
    assert same(sundog.get(sundog.put(value)), value)
    assert same(sundog.get(identity.remote(value)), value)


@given(array=arrays())
@SETTINGS
def test_any_array(session: None, array: np.ndarray) -> None:
    # numpy's own pickle turns a foreign byte order with gaps into the machine's.
    dtype = pickle.loads(pickle.dumps(array, 5)).dtype
    for got in (
        sundog.get(sundog.put(array)),
        sundog.get(identity.remote(array)),
        sundog.get(sundog.put({"inside": array}))["inside"],
        sundog.get(sundog.put(array), writable=True),
    ):
        assert got.dtype == dtype and got.shape == array.shape
        assert np.array_equal(got, array)
