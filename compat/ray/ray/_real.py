"""Finds a real Ray in the same environment: two packages of one name overwrite each other."""

from __future__ import annotations

import os
import re
import sys

METADATA = re.compile(r"ray-\d[^-]*\.(dist|egg)-info")
REMEDY = (
    "'ray' and 'sundog-ray' are both installed; pip uninstall ray, then pip install "
    "--force-reinstall sundog-ray"
)


def installed() -> bool:
    """Whether a distribution called `ray` lies on the path."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        if any(METADATA.fullmatch(name) for name in names):
            return True
    return False


def refuse() -> None:
    """Raises ImportError, with the command to type, if a real Ray is installed."""
    if installed():
        raise ImportError(REMEDY)
