"""Values that cannot be sent or read: finds the member at fault, and says what to do."""

from __future__ import annotations

from sundog._errors import short_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_MAX = 8
MEMBERS_MAX = 2_000
REMEDY = " Create it inside the task."


def exception(
    what: str, name: str, value: object, error: BaseException, remedy: str = REMEDY
) -> BaseException:
    """The TypeError for a value whose pickling raised ``error``.

    ``what`` begins the sentence, ``name`` is what the value is called in the path. An error that
    a user's own ``__reduce__`` or ``__getstate__`` raised on purpose comes back as it is.
    """
    import pickle

    if not isinstance(error, (TypeError, AttributeError, pickle.PicklingError, RecursionError)):
        return error
    path, culprit = find(value, name)
    if culprit is value and not path.startswith(f"{name}["):
        detail = f"{name} is a {type_name(culprit)}."
    else:
        detail = f"{path} is a {type_name(culprit)}."
    from sundog import _generator

    if isinstance(culprit, _generator.ObjectRefGenerator):
        remedy = " " + _generator.STAYS
    if isinstance(error, RecursionError):
        detail = f"{name} is nested too deeply to be pickled."
        remedy = ""
    made = TypeError(f"{what}: {detail}{remedy}")
    made.__cause__ = None
    return made


def cannot_load(error: BaseException) -> BaseException:
    """The error for a value whose unpickling raised ``error``: about a class that is not here.

    Every other error, a user's own among them, comes back as it is.
    """
    from sundog import _core

    session = _core.current_session()
    where = "this worker" if session is not None and session.is_worker else "this program"
    remedy = (
        "Put its folder into sys.path before sundog.init(), or define the class in the main "
        "program, whose classes travel with their code."
    )
    if isinstance(error, ModuleNotFoundError):
        made: BaseException = ModuleNotFoundError(
            f"a value needs module '{error.name}', which {where} cannot import: {error}. {remedy}",
            name=error.name,
        )
    elif isinstance(error, AttributeError) and str(error).startswith("Can't get attribute"):
        made = AttributeError(
            f"a value needs a class or function that {where} does not find: {error}. Was it made "
            f"or changed after the module was imported there? {remedy}"
        )
    else:
        return error
    made.__cause__ = None
    return made


def can_pickle(value: object) -> bool:
    """Whether the value can be sent."""
    from sundog import _pickling

    try:
        _pickling.dumps(value)
    except Exception:
        return False
    return True


def find(value: object, name: str) -> tuple[str, object]:
    """The path to the innermost member that cannot be pickled, and that member."""
    path, culprit = name, value
    seen: set[int] = set()
    for _ in range(DEPTH_MAX):
        seen.add(id(culprit))
        for step, member in members(culprit):
            if id(member) not in seen and not can_pickle(member):
                path, culprit = path + step, member
                break
        else:
            break
    return path, culprit


def members(value: object) -> Iterator[tuple[str, object]]:
    """What the value holds, with the text that leads there."""
    import itertools

    return itertools.islice(all_members(value), MEMBERS_MAX)


def all_members(value: object) -> Iterator[tuple[str, object]]:
    """Items, attributes, and what a function refers to."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{short_repr(key)}]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield f"{{{short_repr(item)}}}", item
    elif callable(value) and hasattr(value, "__code__"):
        yield from captured(value)
    else:
        for attribute, item in getattr(value, "__dict__", {}).items():
            yield f".{attribute}", item
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot):
                    yield f".{slot}", getattr(value, slot)


def captured(function: object) -> Iterator[tuple[str, object]]:
    """The variables of a closure and the globals that a function names."""
    code = function.__code__  # type: ignore[attr-defined]
    cells = getattr(function, "__closure__", None) or ()
    for variable, cell in zip(code.co_freevars, cells, strict=False):
        try:
            yield f"'s variable {variable}", cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    scope = getattr(function, "__globals__", {})
    for variable in code.co_names:
        if variable in scope:
            yield f"'s global {variable}", scope[variable]
