"""Checks of runtime environments: each key by its function, every other key refused by name.

What comes out holds for itself: absolute paths, full dictionaries, no requirements file to be read
later.
"""

from __future__ import annotations

import os
import types

from sundog._options import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

TIMEOUT_SECONDS = 600
# Ray's other keys, and why there is nothing like them.
ABSENT = {
    "_nsight": "profiling by Nsight is not in this version",
    "nsight": "profiling by Nsight is not in this version",
    "rocprof_sys": "profiling by rocprof-sys is not in this version",
    "conda": "conda environments are not made here: use 'pip' or 'uv', or 'py_executable' with the "
    "interpreter of one that exists",
    "container": "workers run in no containers: run the whole program in one",
    "image_uri": "workers run in no containers: run the whole program in one",
    "java_jars": "Sundog runs Python and C++",
    "mpi": "workers are not started by mpirun",
    "_ray_release": "it is internal to Ray",
    "_ray_commit": "it is internal to Ray",
    "_inject_current_ray": "it is internal to Ray",
}
REMOTE = ("http", "https", "s3", "gs", "gcs", "hdfs", "azure", "abfss", "file", "git")


def wrong(key: str, wanted: str, value: object) -> TypeError:
    """``runtime_env['pip'] is …, got …``."""
    return TypeError(f"runtime_env{key} is {wanted}, got {type(value).__name__}: {value!r:.120}")


def env_vars(value: object) -> dict[str, str]:
    """Names to values."""
    if not isinstance(value, dict):
        raise wrong("['env_vars']", "a dictionary of strings", value)
    for name, text in value.items():
        if not isinstance(name, str):
            raise wrong("['env_vars']", "a dictionary whose names are strings", name)
        if not isinstance(text, str):
            raise wrong(f"['env_vars']['{name}']", "a string", text)
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(
                f"runtime_env['env_vars']: {name!r} cannot be a variable of the environment: a "
                "name is not empty and has no '=', and there is no NUL in either"
            )
        try:
            os.fsencode(name + text)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"runtime_env['env_vars']: {name!r} and its value cannot be in the environment: "
                f"{error}"
            ) from None
    return dict(sorted(value.items()))


def local_path(key: str, value: object, endings: tuple[str, ...]) -> str:
    """The absolute path of a folder, or of a file with one of the endings."""
    if not isinstance(value, (str, os.PathLike)):
        raise wrong(key, "a path", value)
    text = os.fspath(value)
    scheme = str(text).split("://", 1)[0]
    if "://" in str(text) and scheme in REMOTE:
        raise ValueError(
            f"runtime_env{key} is a path on this machine, got {text!r}: nothing is downloaded in "
            "this version; fetch it first"
        )
    path = os.path.abspath(os.path.expanduser(str(text)))
    if os.path.isdir(path) or (os.path.isfile(path) and path.endswith(endings)):
        return path
    what = "does not exist" if not os.path.exists(path) else "is neither"
    kinds = " or ".join(endings)
    raise ValueError(f"runtime_env{key} is a folder or a {kinds} file, got {text!r}: {path} {what}")


def working_dir(value: object) -> str:
    """A folder or a zip."""
    return local_path("['working_dir']", value, (".zip",))


def py_modules(value: object) -> list[str]:
    """Paths of packages and modules."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise wrong("['py_modules']", "a list of paths or modules", value)
    paths = []
    for number, entry in enumerate(value):
        key = f"['py_modules'][{number}]"
        if isinstance(entry, types.ModuleType):
            entry = module_path(key, entry)
        paths.append(local_path(key, entry, (".py", ".whl", ".zip")))
    return paths


def module_path(key: str, module: types.ModuleType) -> str:
    """Where an imported module is."""
    folders = list(getattr(module, "__path__", []))
    path = folders[0] if folders else getattr(module, "__file__", None)
    if len(folders) > 1 or path is None:
        raise ValueError(
            f"runtime_env{key}: the module {module.__name__} is not one folder or file: give paths"
        )
    return str(path)


def strings(key: str, value: object) -> list[str]:
    """A list of strings."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise wrong(key, "a list of strings", value)
    for number, entry in enumerate(value):
        if not isinstance(entry, str) or not entry:
            raise wrong(f"{key}[{number}]", "a string that is not empty", entry)
    return list(value)


def excludes(value: object) -> list[str]:
    """Patterns."""
    import re

    from sundog._environment_files import expression

    for pattern in strings("['excludes']", value):
        try:
            expression(pattern.lstrip("!").rstrip("/"))
        except re.error as error:
            raise ValueError(
                f"runtime_env['excludes']: {pattern!r} is no pattern of .gitignore: {error.msg}"
            ) from None
    return strings("['excludes']", value)


def preload(value: object) -> list[str]:
    """Modules."""
    return strings("['preload']", value)


def installer(tool: str, options: str) -> Callable[[object], dict[str, object]]:
    """The check of ``pip`` or ``uv``."""
    key = f"['{tool}']"
    known = ("packages", f"{tool}_check", f"{tool}_version", options)

    def check(value: object) -> dict[str, object]:
        if isinstance(value, (str, os.PathLike)):
            value = requirements(key, os.fspath(value))
        if isinstance(value, (list, tuple)):
            value = {"packages": list(value)}
        if not isinstance(value, dict):
            raise wrong(key, "a list of packages, a requirements file or a dictionary", value)
        for name in value:
            if name not in known:
                raise ValueError(
                    f"runtime_env{key} has no {name!r}{did_you_mean(str(name), known)}"
                )
        if "packages" not in value:
            raise ValueError(f"runtime_env{key} needs 'packages', a list of what to install")
        packages = value["packages"]
        if isinstance(packages, (str, os.PathLike)):
            packages = requirements(f"{key}['packages']", os.fspath(packages))
        named = strings(f"{key}['packages']", packages)
        checked: dict[str, object] = {"packages": [placed(package) for package in named]}
        if value.get(f"{tool}_check"):
            checked[f"{tool}_check"] = flag(f"{key}['{tool}_check']", value[f"{tool}_check"])
        if value.get(f"{tool}_version") is not None:
            version = value[f"{tool}_version"]
            if not isinstance(version, str):
                raise wrong(f"{key}['{tool}_version']", "a string like '==24.0'", version)
            checked[f"{tool}_version"] = version
        if value.get(options) is not None:
            checked[options] = strings(f"{key}['{options}']", value[options])
        return checked

    return check


def placed(package: str) -> str:
    """A package that lies in a folder of this program, from anywhere: ``-e ./mine[extra]``."""
    option, space, path = package.rpartition(" ")
    folder, bracket, extras = path.partition("[")
    if not folder.startswith((f".{os.sep}", f"..{os.sep}")) and folder not in (".", ".."):
        return package
    return f"{option}{space}{os.path.abspath(folder)}{bracket}{extras}"


def requirements(key: str, path: str) -> list[str]:
    """The lines of a requirements file; files that it names are found from anywhere."""
    path = os.path.abspath(os.path.expanduser(path))
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise ValueError(
            f"runtime_env{key}: the requirements file {path} cannot be read: {error.strerror}"
        ) from None
    found = []
    for line in lines:
        line = line.split(" #", 1)[0].strip()
        if not line or line.startswith("#"):
            continue
        option, _, named = line.partition(" ")
        if option in ("-r", "-c", "--requirement", "--constraint"):
            line = f"{option} {os.path.join(os.path.dirname(path), named.strip())}"
        found.append(line)
    return found


def py_executable(value: object) -> str:
    """A command."""
    if not isinstance(value, str) or not value.strip():
        raise wrong("['py_executable']", "the command of an interpreter", value)
    import shlex

    try:
        shlex.split(value)
    except ValueError as error:
        raise ValueError(
            f"runtime_env['py_executable'] is a command as a shell reads it, got {value!r}: {error}"
        ) from None
    return value


def setup_hook(value: object) -> object:
    """A function, or where it is."""
    if isinstance(value, str):
        if "." not in value.strip("."):
            raise ValueError(
                "runtime_env['worker_process_setup_hook'] is a function or 'module.name', got "
                f"{value!r}"
            )
        return value
    if not callable(value):
        raise wrong("['worker_process_setup_hook']", "a function or 'module.name'", value)
    return value


def flag(key: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(key, "True or False", value)
    return value


def checked_config(value: object) -> dict[str, object]:
    """``config``: a dictionary, without what is as ever."""
    if not isinstance(value, dict):
        raise wrong("['config']", "a dictionary or RuntimeEnvConfig", value)
    known = ("setup_timeout_seconds", "eager_install")
    for name in value:
        if name not in known:
            raise ValueError(
                f"runtime_env['config'] has no {name!r}{did_you_mean(str(name), known)}"
            )
    config: dict[str, object] = {}
    seconds = value.get("setup_timeout_seconds", TIMEOUT_SECONDS)
    key = "['config']['setup_timeout_seconds']"
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise wrong(key, "a whole number of seconds, or -1 for any time", seconds)
    if seconds != -1 and not 1 <= seconds <= 10**6:
        raise ValueError(f"runtime_env{key} is from 1 second on, or -1 for any time, got {seconds}")
    if seconds != TIMEOUT_SECONDS:
        config["setup_timeout_seconds"] = seconds
    if not flag("['config']['eager_install']", value.get("eager_install", True)):
        config["eager_install"] = False
    return config


CHECKS: dict[str, Callable[[object], Any]] = {
    "env_vars": env_vars,
    "working_dir": working_dir,
    "excludes": excludes,
    "py_modules": py_modules,
    "pip": installer("pip", "pip_install_options"),
    "uv": installer("uv", "uv_pip_install_options"),
    "py_executable": py_executable,
    "worker_process_setup_hook": setup_hook,
    "preload": preload,
    "config": checked_config,
}


def checked_part(name: str, value: object) -> object:
    """One key and its value."""
    if name in ABSENT:
        raise ValueError(f"runtime_env has no '{name}' in this version: {ABSENT[name]}")
    if name not in CHECKS:
        raise ValueError(f"runtime_env has no '{name}'{did_you_mean(str(name), CHECKS)}")
    return CHECKS[name](value)


def checked(given: Mapping[str, object] | object) -> dict[str, object]:
    """A whole description, without what is None or empty.

    Raises:
        TypeError, ValueError: which key is wrong, and what it is to be.
    """
    if not isinstance(given, dict):
        raise TypeError(
            f"runtime_env is a dictionary or RuntimeEnv, got {type(given).__name__}: {given!r:.120}"
        )
    parts = {
        name: part
        for name, value in given.items()
        if value is not None and (part := checked_part(name, value))
    }
    if "pip" in parts and "uv" in parts:
        raise ValueError("runtime_env has 'pip' and 'uv': one of them installs packages, not both")
    if "excludes" in parts and not parts.keys() & {"working_dir", "py_modules"}:
        raise ValueError(
            "runtime_env['excludes'] is for what is copied: give 'working_dir' or 'py_modules' too"
        )
    return parts
