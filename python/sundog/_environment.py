"""The runtime environments of this process: the one that it has, and those that it asks for.

A task's environment is its parent's with its own keys in place of them; ``env_vars`` are merged.
What is asked for is made independent of this process (folders are copied, functions pickled),
written as JSON, and announced to the daemon under the hash of that text
(docs/design/0013-environments.md).
"""

from __future__ import annotations

import hashlib
import json
import os

from sundog import _core, _environment_files, _log, _session
from sundog._environment_checks import TIMEOUT_SECONDS, checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFINED_MAX = 5_000  # a daemon keeps twice as many (core/sched/environments.h), and serves several
CPP_PARTS = ("env_vars", "working_dir")  # what C++ workers have of an environment
SUNDOG_HOOK_ENDING = ".hook"  # of the file with a pickled hook

# What this process runs in, resolved: a driver has it from init, a worker from its zygote.
current: dict[str, Any] = {}
_warned_of_cpp = False
_defined: dict[tuple[int, str], int] = {}  # what the daemon knows: (session, JSON) to hash


def begin(description: str) -> None:
    """A worker of this environment begins."""
    current.clear()
    current.update(json.loads(description))


def forget() -> None:
    """The driver's session is over."""
    global _warned_of_cpp
    _warned_of_cpp = False
    current.clear()
    _defined.clear()


def text_of(environment: object) -> str:
    """The JSON that is hashed and announced."""
    return json.dumps(environment, sort_keys=True, separators=(",", ":"))


def key_of(asked: Mapping[str, object] | None) -> tuple[object, ...]:
    """What distinguishes what was asked for, before it is resolved."""
    if asked is None:
        return ()
    hook = asked.get("worker_process_setup_hook")
    rest = {name: part for name, part in asked.items() if name != "worker_process_setup_hook"}
    return text_of(rest), hook


def merged(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """A child's environment."""
    result = {**parent, **child}
    for tool, other in (("pip", "uv"), ("uv", "pip")):
        if tool in child:
            result.pop(other, None)
    variables = {**parent.get("env_vars", {}), **child.get("env_vars", {})}
    if variables:
        result["env_vars"] = variables
    return result


def folder_of(session: _core.Session) -> str:
    """Where the session keeps what belongs to environments."""
    return os.path.join(str(session.info()["session_dir"]), "environments")


def resolved(session: _core.Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, with copies in place of folders and a file in place of a function.

    Raises:
        ValueError: a folder is too large, or cannot be read.
    """
    result = {name: part for name, part in asked.items() if name != "excludes"}
    folder = folder_of(session)
    patterns = asked.get("excludes", [])
    if "working_dir" in asked:
        result["working_dir"] = _environment_files.working_dir(
            asked["working_dir"], patterns, folder
        )
    if "py_modules" in asked:
        result["py_modules"] = [
            _environment_files.py_module(path, patterns, folder) for path in asked["py_modules"]
        ]
    hook = asked.get("worker_process_setup_hook")
    if hook is not None and not isinstance(hook, str):
        result["worker_process_setup_hook"] = hook_file(hook, folder)
    return result


def hook_file(hook: Any, folder: str) -> str:
    """The function in a file of its own, under the hash of what is in it."""
    from sundog import _pickling, _unpicklable

    try:
        pickled = bytes(_pickling.dumps(hook))
    except Exception as error:
        name = getattr(hook, "__name__", type(hook).__name__)
        raise _unpicklable.exception(
            "cannot send the worker_process_setup_hook", f"{name}()", hook, error
        ) from None
    path = os.path.join(folder, hashlib.sha256(pickled).hexdigest()[:32] + SUNDOG_HOOK_ENDING)
    if not os.path.exists(path):
        _environment_files.write_whole(path, pickled)
    return path


def number(session: _core.Session, asked: Mapping[str, Any] | None) -> int:
    """The hash that a definition names: of this process's environment with what was asked for."""
    environment = current
    if asked:
        environment = merged(current, resolved(session, asked))
    return announce(session, environment, 0) if environment else 0


def number_for_cpp(session: _core.Session, asked: Mapping[str, Any] | None) -> int:
    """The same for C++ workers, which have two parts of it, variables and a folder, and give the
    others to what they call in Python (core/environment_text.h).

    Raises:
        ValueError: something else was asked for.
    """
    others = sorted((asked or {}).keys() - {"config", "excludes", *CPP_PARTS})
    if others:
        raise ValueError(
            f"runtime_env of what is in C++ is 'env_vars' and 'working_dir', got {others[0]!r}, "
            "which makes an interpreter ready: a C++ worker has none"
        )
    warn_of_cpp()
    environment = merged(current, resolved(session, asked)) if asked else current
    if not environment:
        return 0
    variables = sorted(environment.get("env_vars", {}).items())
    parts = ["cpp", environment.get("working_dir", ""), *map("=".join, variables)]
    others = sorted(environment.keys() - set(CPP_PARTS))
    if others:  # for what they call in Python
        parts += ["", *(f"{name}={text_of(environment[name])}" for name in others)]
    return announce_text(session, "\0".join(parts), 0, 0)


def announce(session: _core.Session, environment: Mapping[str, Any], prestart: int) -> int:
    """Tells the daemon, once; the hash.

    Raises:
        ValueError: this process has asked for too many different ones.
    """
    seconds = environment.get("config", {}).get("setup_timeout_seconds", TIMEOUT_SECONDS)
    return announce_text(session, text_of(environment), max(seconds, 0), prestart)


def announce_text(session: _core.Session, text: str, patience_s: int, prestart: int) -> int:
    """The same of a description; ``patience_s``: how long preparing may take, 0 without end."""
    known = _defined.get((session.number, text))
    if known is not None:
        return known
    if len(_defined) >= DEFINED_MAX:
        raise ValueError(
            f"this process has asked for {len(_defined):,} different runtime environments, as many "
            "as a session keeps of one: each has workers of its own, so pass what differs from "
            "call to call as an argument"
        )
    described = os.fsencode(text)
    hashed = int.from_bytes(hashlib.sha256(described).digest()[:8], "little") or 1
    session.define_environment(hashed, described, patience_s * 10**9, prestart)
    _defined[session.number, text] = hashed
    return hashed


def begin_job(session: _core.Session, asked: Mapping[str, Any], prestart: int) -> None:
    """The driver's environment; its workers start unless it is to be set up later."""
    current.clear()
    current.update(resolved(session, asked))
    if current and current.get("config", {}).get("eager_install", True):
        announce(session, current, prestart)


def of_call(asked: object) -> dict[str, object] | None:
    """The option ``runtime_env``, checked."""
    return None if asked is None else checked(asked)


def warn_of_cpp() -> None:
    """Says once in a session what of what this process has is not for C++."""
    global _warned_of_cpp
    parts = sorted(current.keys() - {"config", *CPP_PARTS})
    if parts and not _warned_of_cpp:
        _warned_of_cpp = True
        _log.warning(
            f"runtime_env ({', '.join(parts)}) is for Python: C++ workers have 'env_vars' and "
            "'working_dir' alone"
        )


def run_hook(where: str) -> None:
    """What a worker does before its first task; a function of the driver's, or one of a module."""
    if where.endswith(SUNDOG_HOOK_ENDING):
        import cloudpickle

        with open(where, "rb") as file:
            hook = cloudpickle.load(file)
    else:
        import importlib

        module, _, name = where.rpartition(".")
        hook = getattr(importlib.import_module(module), name)
    _session.starts_refused = (
        "a worker_process_setup_hook runs before its worker belongs to the session: it cannot use "
        "Sundog"
    )
    try:
        hook()
    finally:
        _session.starts_refused = ""
