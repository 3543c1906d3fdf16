"""Imports cloudpickle without six modules that it, and what it imports, use in functions only.

They are a quarter of what the first worker of a session waits for. Whoever asks for them later gets
them then: while cloudpickle is imported, and never after, ``sys.modules`` holds a stand-in for
each, which the importing modules keep until they use it. Of ``dis`` and ``platform`` cloudpickle
asks three things while it is imported; their stand-ins know them. Called by the zygote, and by a
driver while its daemon starts. In a process with other Python threads nothing stands in: they could
take it for the module.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)

LATER = ("copy", "dis", "inspect", "platform", "traceback", "uuid")
# Those that import one of them for use in functions only, Python 3.10 to 3.13.
IMPORTERS = ("cloudpickle.cloudpickle", "dataclasses", "logging")


class Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        """Imports the module, puts it where this is, and takes the attribute from there."""
        own = self.__name__
        if sys.modules.get(own) is self:
            del sys.modules[own]
        __import__(own)
        module = sys.modules[own]
        for importer in IMPORTERS:
            names = vars(sys.modules[importer]) if importer in sys.modules else {}
            if names.get(own) is self:
                names[own] = module
        return getattr(module, name)


def stand_in(name: str) -> Later:
    """A stand-in that knows what is asked of the module while cloudpickle is imported."""
    made = Later(name)
    if name == "dis":
        import opcode  # cloudpickle imports it too

        for constant in ("EXTENDED_ARG", "HAVE_ARGUMENT"):
            if hasattr(opcode, constant):
                setattr(made, constant, getattr(opcode, constant))
    elif name == "platform" and sys.implementation.name == "cpython":
        made.python_implementation = lambda: "CPython"  # type: ignore[attr-defined]
    return made


def import_cloudpickle() -> None:
    """Imports it.

    Raises:
        ImportError: it cannot be imported.
    """
    if len(sys._current_frames()) > 1:
        import cloudpickle

        return
    stand_ins = {name: stand_in(name) for name in LATER if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        import cloudpickle  # noqa: F401
    finally:
        for name, made in stand_ins.items():
            if sys.modules.get(name) is made:
                del sys.modules[name]
