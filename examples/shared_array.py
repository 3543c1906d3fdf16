"""One large array, many readers, no copies.

    python examples/shared_array.py

`put` writes the array into shared memory once. Every task that names the reference reads those
same bytes; results that are references feed the next task without passing this program.
"""

import numpy as np

import sundog

ROWS, COLUMNS, BLOCKS = 1_000_000, 25, 8


@sundog.remote
def block_sums(table: np.ndarray, block: int) -> np.ndarray:
    """Column sums over one block of rows; `table` is a read-only view, not a copy."""
    rows = ROWS // BLOCKS
    return table[block * rows : (block + 1) * rows].sum(axis=0)


@sundog.remote
def add(*parts: np.ndarray) -> np.ndarray:
    """References among the arguments arrive as their values."""
    return np.sum(parts, axis=0)


def main() -> None:
    sundog.init()
    table = np.random.default_rng(0).standard_normal((ROWS, COLUMNS))
    shared = sundog.put(table)
    total = sundog.get(add.remote(*[block_sums.remote(shared, block) for block in range(BLOCKS)]))
    assert np.allclose(total, table.sum(axis=0))
    print(f"{table.nbytes / 1e6:.0f} MB summed in {BLOCKS} tasks; first column {total[0]:.3f}")


if __name__ == "__main__":
    main()
