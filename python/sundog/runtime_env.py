"""Runtime environments: what workers of a job, a task or an actor have that others do not.

Use it as Ray's: ``sundog.init(runtime_env={...})`` for a whole program,
``@sundog.remote(runtime_env={...})`` or ``.options(runtime_env={...})`` for one function or class.
A plain dictionary is checked in the same way as a ``RuntimeEnv``.
"""

from __future__ import annotations

import json

from sundog._environment_checks import checked, checked_config, checked_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]


class RuntimeEnvConfig(dict[str, object]):
    """How an environment is set up.

    Args:
        setup_timeout_seconds: how long that may take, in whole seconds; -1 for any time. By default
            600.
        eager_install: whether a job's environment is set up at ``init`` (the default), or when its
            first task needs it.

    Raises:
        TypeError, ValueError: a part that is wrong, by name.
    """

    def __init__(
        self, setup_timeout_seconds: int = 600, eager_install: bool = True, **unknown: object
    ) -> None:
        """Checks what was given."""
        given = {
            "setup_timeout_seconds": setup_timeout_seconds,
            "eager_install": eager_install,
            **unknown,
        }
        super().__init__(checked_config(given))


class RuntimeEnv(dict[str, object]):
    """A dictionary that describes a runtime environment, checked when it is made.

    Args:
        env_vars: variables of the environment, names to values, both strings; ``${NAME}`` in a
            value stands for what the program's own environment has.
        working_dir: a folder or a .zip file, which is copied: workers have the copy as their
            working directory and first in ``sys.path``.
        excludes: files of ``working_dir`` and ``py_modules`` that are not copied, in the
            notation of .gitignore.
        py_modules: packages (folders), .py, .whl and .zip files, or imported modules, which
            are copied and can be imported.
        pip: packages to install: a list, the path of a requirements file, or a dictionary with
            ``packages``, ``pip_check``, ``pip_version`` and ``pip_install_options``.
        uv: the same with ``uv_check``, ``uv_version`` and ``uv_pip_install_options``.
        py_executable: the command of the interpreter, with arguments.
        worker_process_setup_hook: a function without arguments, or its ``"module.name"``, that
            each worker calls before its first task.
        preload: modules that workers have imported before they are asked for.
        config: a ``RuntimeEnvConfig`` or a dictionary like it.
        unknown: refused, by name.

    Raises:
        TypeError, ValueError: a part that is wrong, or that Sundog does not have, by name.
    """

    def __init__(
        self,
        *,
        env_vars: dict[str, str] | None = None,
        working_dir: str | None = None,
        excludes: list[str] | None = None,
        py_modules: list[Any] | None = None,
        pip: Any = None,
        uv: Any = None,
        py_executable: str | None = None,
        worker_process_setup_hook: Any = None,
        preload: list[str] | None = None,
        config: Any = None,
        _validate: bool = True,
        **unknown: object,
    ) -> None:
        """Checks what was given; ``_validate`` is Ray's, and True."""
        if _validate is not True:
            raise ValueError("RuntimeEnv is always checked: leave _validate out")
        given = {
            "env_vars": env_vars,
            "working_dir": working_dir,
            "excludes": excludes,
            "py_modules": py_modules,
            "pip": pip,
            "uv": uv,
            "py_executable": py_executable,
            "worker_process_setup_hook": worker_process_setup_hook,
            "preload": preload,
            "config": config,
        }
        super().__init__(checked({**given, **unknown}))

    def __setitem__(self, name: str, value: object) -> None:
        """Sets one part, checked."""
        merged = checked({**self, name: checked_part(name, value)})
        super().clear()
        super().update(merged)

    def set(self, name: str, value: object) -> None:
        """Sets one part, as ``env[name] = value``; None takes it out."""
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value

    def to_dict(self) -> dict[str, object]:
        """A plain dictionary of the same parts."""
        return dict(self)

    def serialize(self) -> str:
        """The description as JSON.

        Raises:
            TypeError: it has a function, which JSON cannot say.
        """
        return json.dumps(self, sort_keys=True)

    @classmethod
    def deserialize(cls, text: str) -> RuntimeEnv:
        """What ``serialize`` wrote."""
        return cls(**json.loads(text))

    def working_dir(self) -> object:
        """The folder that is copied; None if there is none."""
        return super().get("working_dir")

    def py_modules(self) -> object:
        """What can be imported besides; empty if nothing."""
        return super().get("py_modules", [])

    def env_vars(self) -> object:
        """The variables; empty if there are none."""
        return super().get("env_vars", {})

    def has_pip(self) -> bool:
        """Whether pip installs something."""
        return "pip" in self

    def has_uv(self) -> bool:
        """Whether uv installs something."""
        return "uv" in self

    def has_working_dir(self) -> bool:
        """Whether a folder is copied."""
        return "working_dir" in self

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled by its parts."""
        return rebuild, (dict(self),)


def rebuild(parts: dict[str, Any]) -> RuntimeEnv:
    """A RuntimeEnv that came out of a pickle."""
    return RuntimeEnv(**parts)
