"""The module under soak. SUNDOG_SOAK_MODULE=ray runs the steps on Ray, to check the steps."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sundog as sundog
else:
    sundog = importlib.import_module(os.environ.get("SUNDOG_SOAK_MODULE", "sundog"))
