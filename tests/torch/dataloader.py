"""A torch DataLoader with two forked children over an array from the object store.

Run by `make dataloader` in an environment with torch. The parent drops its array while the
children read, and fills the store ten times over; every batch must be right and nothing may hang
(ray-project/ray#13407 describes how it goes wrong elsewhere).
"""

import faulthandler
import gc

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import sundog

MB = 1 << 20
STORE_BYTES = 64 * MB
ROWS, COLUMNS = 4096, 1024  # int64: 32 MB
PATIENCE_S = 120


class Rows(Dataset):  # type: ignore[type-arg]
    """Rows of an array; row i holds i in every column."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.from_numpy(self.array[i].copy())


def fill_store(times: int) -> None:
    """Puts `times` stores' worth of other content, one object at a time."""
    piece = STORE_BYTES // 4
    for n in range(4 * times):
        sundog.get(sundog.put(np.full(piece, n % 251, dtype="u1")))


def main() -> None:
    """Reads all rows while the store is filled; raises at the first wrong one."""
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
    sundog.init(num_cpus=2, object_store_memory=STORE_BYTES)
    ref = sundog.put(np.repeat(np.arange(ROWS), COLUMNS).reshape(ROWS, COLUMNS))
    rows = Rows(sundog.get(ref))
    loader = iter(DataLoader(rows, batch_size=64, num_workers=2, multiprocessing_context="fork"))
    seen = next(loader)[:, 0].tolist()  # both children are forked and hold the array
    del rows, ref
    gc.collect()
    fill_store(times=10)
    for batch in loader:
        if not bool((batch == batch[:, :1]).all()):
            raise SystemExit("a row holds what another one should")
        seen.extend(batch[:, 0].tolist())
    if seen != list(range(ROWS)):
        raise SystemExit(f"rows are missing or out of order: {len(seen)} of {ROWS}")
    del loader
    sundog.shutdown()
    print(f"{ROWS} rows right, two children, store filled ten times; torch {torch.__version__}")


if __name__ == "__main__":
    main()
