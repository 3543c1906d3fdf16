"""The dictionary of seed 000, for those programs that move it."""

import numpy as np

ARRAYS = 50
ELEMENTS = 1_000_000


def make_weights() -> "dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]":
    """Fifty arrays of a million random numbers each."""
    source = np.random.default_rng(0)
    return {f"layer{i}": source.standard_normal(ELEMENTS) for i in range(ARRAYS)}
