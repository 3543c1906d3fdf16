"""joblib's `Parallel` on a session: ``register_sundog()``, then ``parallel_config("sundog")``.

scikit-learn runs there too. Arrays come to workers writable, as in joblib's threads and unlike its
memory maps; a large one is stored once for all calls of a `Parallel` and never copied.
"""

from __future__ import annotations

from joblib import _parallel_backends, register_parallel_backend

from sundog._core import public
from sundog.util import _executor, _lanes, _payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any

__all__ = ["SundogBackend", "register_sundog"]


class SundogBackend(
    _parallel_backends.AutoBatchingMixin,  # type: ignore[misc]
    _parallel_backends.ParallelBackendBase,  # type: ignore[misc]
):
    """What joblib calls: batches of calls become tasks of a session."""

    supports_retrieve_callback = True
    supports_sharedmem = False
    uses_threads = False
    default_n_jobs = -1

    # Batches of some milliseconds: a task costs less than the round trip that joblib counts with.
    MIN_IDEAL_BATCH_DURATION = 0.02

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Keeps the options of the tasks: ``parallel_config("sundog", num_cpus=2)``, or Ray's
        ``ray_remote_args={"num_cpus": 2}``."""
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = {**(ray_remote_args or {}), **options}
        self._executor: _executor.Executor | None = None
        self._stored: _payload.Stored = {}

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at once; -1: as many as the session has CPUs.

        Raises:
            ValueError: 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            return max(_lanes.session_cpus() + 1 + n_jobs, 1)
        return n_jobs

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **options: Any,
    ) -> int:
        """Before the calls of a `Parallel`."""
        del prefer, require  # joblib has asked for another backend if they do not allow this one
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise _parallel_backends.FallbackToBackend(
                _parallel_backends.SequentialBackend(nesting_level=self.nesting_level)
            )
        self.parallel = parallel
        given = {n: v for n, v in options.items() if n not in LOKY_OPTIONS}
        self._executor = _executor.Executor(count, **{**self._options, **given})
        self._stored = {}
        return count

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None
    ) -> Future[Any]:
        """One batch of calls."""
        assert self._executor is not None
        name = getattr(getattr(func, "items", [[None]])[0][0], "__name__", "joblib")
        future = self._executor._send(func, _payload.CALL, ((), {}), name, self._stored)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name until joblib 1.4

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """What the batch returned, or raises what it raised."""
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """After an exception: what has not begun does not begin."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)

    def terminate(self) -> None:
        """After the calls of a `Parallel`."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        self._executor = None
        self._stored = {}
        self.reset_batch_stats()


# What `Parallel` always passes for its own processes, whose temporary files we have none of.
LOKY_OPTIONS = frozenset(
    {"context", "max_nbytes", "mmap_mode", "temp_folder", "timeout", "verbose"}
)


@public
def register_sundog() -> None:
    """Makes ``joblib.parallel_config("sundog")`` and ``Parallel(backend="sundog")`` known."""
    register_parallel_backend("sundog", SundogBackend)
