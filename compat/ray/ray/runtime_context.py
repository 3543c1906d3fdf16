"""``ray.runtime_context``: where code runs."""

from sundog import get_runtime_context
from sundog._state import RuntimeContext

__all__ = ["RuntimeContext", "get_runtime_context"]
