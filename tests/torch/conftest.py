"""A session for the tests with torch."""

from collections.abc import Iterator

import pytest
import torch

import sundog


@pytest.fixture(scope="session")
def session() -> Iterator[None]:
    """Two CPUs and room for what the tests put."""
    torch.set_num_threads(1)  # as in tasks of one CPU: sums are then added in the same order
    sundog.init(num_cpus=2, object_store_memory=512 << 20, logging_level="error")
    yield
    sundog.shutdown()
