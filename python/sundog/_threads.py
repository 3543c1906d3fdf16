"""How many threads numeric libraries use in a worker: as many as its task has CPUs.

Used by the zygote and by workers, on their main thread. What the driver's environment says of a
library stays.
"""

from __future__ import annotations

import os
import sys

from sundog import _core

# They start one thread for each core unless told otherwise. All but the first fall back to it.
OPENMP = "OMP_NUM_THREADS"
VARIABLES = (
    OPENMP,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

_given: dict[str, str] = {}  # what the driver set, by name


def begin() -> None:
    """In the zygote, or in a worker that got another program's environment."""
    _given.clear()
    _given.update({name: os.environ[name] for name in VARIABLES if os.environ.get(name)})
    limit(1)


def begin_loaded() -> None:
    """In a new worker whose zygote loaded libraries after ``begin``, by which they have one thread.

    Others that the driver asked for they start here: the zygote must have no thread.
    """
    if _given:
        limit(1)


def number_for(variable: str, cpus: int) -> int:
    """Threads of the libraries that read this variable; 0 if the driver wrote no number."""
    value = _given.get(variable, _given.get(OPENMP))
    if value is None:
        return cpus
    first = value.split(",")[0].strip()  # "4,2": for nested regions
    return int(first) if first.isdecimal() else 0


def limit(cpus: int) -> None:
    """Holds libraries to ``cpus`` threads: those not yet loaded, then those that are."""
    for name in VARIABLES:
        if name not in _given and OPENMP not in _given:
            os.environ[name] = str(cpus)
    openmp, openblas, mkl, blis = (number_for(name, cpus) for name in VARIABLES[:4])
    _core.set_numeric_threads(openmp, openblas, mkl, blis)
    torch = sys.modules.get("torch")
    if torch is not None and openmp > 0:
        torch.set_num_threads(openmp)
