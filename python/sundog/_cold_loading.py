"""Loads functions that cloudpickle pickled where cloudpickle is not imported yet.

The zygote forks the first workers of a session before it imports cloudpickle, which, with all that
it imports, takes longer than the rest of a start. To load a function six functions of cloudpickle
are enough, and they use nothing of what it imports: they are taken from its compiled file. What a
pickle asks for besides imports the whole.
"""

from __future__ import annotations

import _pickle
import builtins
import sys
import types
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PACKAGE = "cloudpickle"
MODULE = "cloudpickle.cloudpickle"
# What is taken, with how many arguments each is called.
TAKEN = {
    "_builtin_type": 1,
    "_function_setstate": 2,
    "_make_cell": 1,
    "_make_empty_cell": 0,
    "_make_function": 5,
    "subimport": 1,
}
# What they may use: of their module, of each other, and of what they are given.
GLOBALS: dict[str, Any] = {
    "__builtins__": vars(builtins),
    "_empty_cell_value": object(),  # a default, which no pickle holds
    "sys": sys,
    "types": types,
}
ATTRIBUTES = ("FunctionType", "modules", "pop", "update", "items", "cell_contents")
DUNDERS = ("__closure__", "__dict__", "__globals__")

_functions: dict[str, Callable[..., Any]] = {}


def code_of_module() -> types.CodeType | None:
    """cloudpickle's, compiled; None if it is not there, or not as a file."""
    package = PathFinder.find_spec(PACKAGE)
    if package is None or package.submodule_search_locations is None:
        return None
    spec = PathFinder.find_spec(MODULE, package.submodule_search_locations)
    get_code = getattr(spec.loader if spec is not None else None, "get_code", None)
    code: types.CodeType | None = get_code(MODULE) if get_code is not None else None
    return code


def functions_in(module: types.CodeType) -> dict[str, Callable[..., Any]]:
    """Those of TAKEN that are as expected and use nothing else."""
    known = {*GLOBALS, *TAKEN, *vars(builtins), *ATTRIBUTES, *DUNDERS}
    names = dict(GLOBALS)
    found: dict[str, Callable[..., Any]] = {}
    for code in module.co_consts:
        if (
            isinstance(code, types.CodeType)
            and TAKEN.get(code.co_name) == code.co_argcount
            and not code.co_kwonlyargcount
            and known.issuperset(code.co_names)
        ):
            found[code.co_name] = types.FunctionType(code, names)
    names.update(found)
    return found


def prepare() -> None:
    """Takes the functions; none of them if this cloudpickle has them otherwise than expected."""
    try:
        module = code_of_module()
        found = functions_in(module) if module is not None else {}
    except Exception:  # whoever imports it gets to know
        return
    if set(found) == set(TAKEN):
        _functions.update(found)


class ColdUnpickler(_pickle.Unpickler):
    """Finds the functions that were taken; everything else is imported."""

    def find_class(self, module: str, name: str, /) -> Any:
        """As the pickle module's."""
        if module == MODULE and name in _functions:
            return _functions[name]
        return super().find_class(module, name)


def loads(pickled: bytes) -> object:
    """What ``pickle.loads`` makes of it."""
    if MODULE in sys.modules or not _functions:
        return _pickle.loads(pickled)
    import io

    return ColdUnpickler(io.BytesIO(pickled)).load()
