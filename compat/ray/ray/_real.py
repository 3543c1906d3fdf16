"""Finds a real Ray in the same environment: two packages of one name overwrite each other."""

from __future__ import annotations

import os
import sys

from sundog._core import public
from sundog.exceptions import SundogError

REMEDY = (
    "'ray' and 'sundog-ray' are both installed; pip uninstall ray, then pip install "
    "--force-reinstall sundog-ray"
)


class BothInstalledError(SundogError, ImportError):
    """Shown as the ImportError that it is, without our frames."""

    __module__, __qualname__ = "builtins", "ImportError"


def is_metadata(name: str) -> bool:
    """Whether pip writes a folder of this name for the distribution ``ray``."""
    is_ours = name.startswith("ray-") and name[4:5].isdigit()
    return is_ours and name.endswith((".dist-info", ".egg-info"))


def installed() -> bool:
    """Whether a distribution called `ray` lies on the path."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        if any(is_metadata(name) for name in names):
            return True
    return False


@public
def refuse() -> None:
    """Raises ImportError, with the command to type, if a real Ray is installed."""
    if installed():
        raise BothInstalledError(REMEDY)
