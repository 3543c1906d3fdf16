"""A session for the tests with torch."""

from collections.abc import Iterator

import pytest

import sundog


@pytest.fixture(scope="session")
def session() -> Iterator[None]:
    """Two CPUs and room for what the tests put."""
    sundog.init(num_cpus=2, object_store_memory=512 << 20, logging_level="error")
    yield
    sundog.shutdown()
