"""The process that makes a runtime environment ready (docs/design/0013-environments.md).

Started by the daemon as ``python -S -E _environment_setup.py BASE STEM LOG``: BASE is the
configuration of the session's zygote, STEM.request the environment's description (JSON). It writes
STEM.config, the configuration of the environment's own zygote, and exits with 0; or STEM.failure, a
text for people, and exits with 1. Output goes to LOG. Descriptor 3 hangs up when the daemon is
gone: then this process ends its group.
"""

from __future__ import annotations

import json
import marshal
import os
import shlex
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROBE = "import json,sys; print(json.dumps([list(sys.version_info[:2]), sys.path, sys.prefix]))"


def prepare(base: dict[str, Any], environment: dict[str, Any], log: str) -> dict[str, Any]:
    """The configuration of a zygote for this environment.

    Raises SetupError.
    """
    config = dict(base)
    path = [str(entry) for entry in base["sys_path"]]
    variables = expanded(environment.get("env_vars", {}))
    command: list[str] = []
    tool = next((name for name in ("pip", "uv") if name in environment), None)
    if tool is not None:
        # Not at the top: it needs the package, which is found in the driver's path.
        from sundog import _environment_packages

        made = _environment_packages.ready(tool, environment[tool], base, variables, log)
        config["site_path"] = made.added()
        config["packages"] = made.folder
        path = made.inserted(path)
        command = [made.python]
        config["import_lines"] = [*config.get("import_lines", ()), *made.import_lines()]
        config["own_prefixes"] = {"prefix": made.folder, "exec_prefix": made.folder}
        config["prefixes"] = {**base["prefixes"], **config["own_prefixes"]}
        searched = os.path.join(made.folder, "bin") + os.pathsep + os.environ.get("PATH", "")
        variables = {"VIRTUAL_ENV": made.folder, "PATH": searched, **variables}
    if "py_executable" in environment:
        command = shlex.split(os.path.expandvars(environment["py_executable"]))
        path, config["prefixes"] = of_interpreter(command, path, environment, log)
    front = [*variables.get("PYTHONPATH", "").split(os.pathsep)] if variables else []
    front = [entry for entry in front if entry]
    front = [*environment.get("py_modules", ()), *front]
    if "working_dir" in environment:
        folder = environment["working_dir"]
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"the copy of its working_dir is gone: {folder}")
        config["cwd"] = config["own_cwd"] = folder
        front.insert(0, folder)
        path = [entry for entry in path if entry not in programs_folders(base)]
    config["front_path"] = front
    config["sys_path"] = [*front, *path]
    config["exec"] = command or ([sys.executable] if variables else [])
    config["environment"] = variables
    config["preload"] = [*environment.get("preload", ()), *base.get("preload", ())]
    config["preload_first"] = list(environment.get("preload", ()))
    config["setup_hook"] = environment.get("worker_process_setup_hook", "")
    config["runtime_env"] = json.dumps(environment, sort_keys=True, separators=(",", ":"))
    config["daemon"] = os.getppid()
    return config


def programs_folders(base: dict[str, Any]) -> set[str]:
    """The script's own folder and the program's: they would show what is not in the copy."""
    cwd = str(base.get("cwd", ""))
    script = os.path.join(cwd, str((base.get("argv") or [""])[0]))
    return {cwd, *(os.path.dirname(path) for path in (script, os.path.realpath(script)))}


def shown(environment: dict[str, Any]) -> str:
    """For the log, which others are sent: variables by name, as some have secrets in them."""
    from sundog._environment_process import without_passwords

    names = sorted(environment.get("env_vars", {}))
    text = json.dumps({**environment, "env_vars": names} if names else environment)
    return without_passwords(text)


def expanded(variables: dict[str, str]) -> dict[str, str]:
    """``${NAME}`` in a value is what the program's environment has; empty if it has none."""
    import re

    def value(match: re.Match[str]) -> str:
        return os.environ.get(match[1], "")

    return {name: re.sub(r"\$\{(\w+)\}", value, text) for name, text in variables.items()}


def of_interpreter(
    command: list[str], path: list[str], environment: dict[str, Any], log: str
) -> tuple[list[str], dict[str, str]]:
    """The path of another interpreter, and ours behind it; its prefixes."""
    from sundog._environment_process import SetupError, answer

    what = f"py_executable={environment['py_executable']!r}"
    text = answer(what, [*command, "-c", PROBE], environment.get("working_dir"), log)
    try:
        version, its_path, prefix = json.loads(text.splitlines()[-1])
    except (IndexError, ValueError):
        raise SetupError(f"{what} is no Python interpreter: it says {text[-80:]!r}") from None
    ours = sys.version_info[:2]
    if tuple(version) != ours:
        raise SetupError(
            f"{what} is Python {version[0]}.{version[1]}; what this program sends can be read by "
            f"its own version only, which is {ours[0]}.{ours[1]}"
        )
    its_path = [entry for entry in its_path if entry]
    return [*its_path, *(entry for entry in path if entry not in its_path)], {"prefix": prefix}


def write_whole(path: str, data: bytes) -> None:
    """A file that is there as a whole or not at all."""
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.rename(f"{path}.part", path)


def main(arguments: list[str]) -> int:
    """``BASE STEM LOG``; the exit code."""
    base_path, stem, log = arguments
    with open(base_path, "rb") as file:
        base = marshal.load(file)
    sys.path[:] = base["sys_path"]
    with open(f"{stem}.request", encoding="utf-8") as request:
        environment = json.load(request)
    os.unlink(f"{stem}.request")
    print(f"sundog: setting up {shown(environment)}", flush=True)
    try:
        config = prepare(base, environment, log)
    except Exception as error:
        # By name: its module is imported only where something is started.
        if type(error).__name__ != "SetupError":
            import traceback

            traceback.print_exc()
        why = str(error) if type(error).__name__ == "SetupError" else repr(error)
        write_whole(f"{stem}.failure", f"{why}\nThe whole log: {log}".encode())
        return 1
    write_whole(f"{stem}.config", marshal.dumps(config))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
