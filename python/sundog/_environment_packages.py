"""Virtual environments with the packages that a runtime environment names.

Each is made once, whoever asks, and kept under the hash of what went into it in the user's cache
folder: ``$XDG_CACHE_HOME/sundog/environments`` or ``~/.cache/sundog/environments``. A lock (flock:
it ends with whoever holds it) keeps several builders apart; the file ``ready``, written last, says
that one is whole. What an interrupted build left is removed by the next one.

Runs in the setup process only. A worker that uses one sees the program's packages too, behind those
that were installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import sysconfig

from sundog._environment_process import daemon_is_gone, end_with_the_daemon, run, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READY = "ready"
LOCK_PAUSE_MS = 100
BASE_PTH = "_sundog_program.pth"


class Made:
    """A virtual environment that is whole."""

    def __init__(self, folder: str) -> None:
        """It lies in ``folder``."""
        self.folder = folder
        self.python = os.path.join(folder, "bin", "python")
        names = {"base": folder, "platbase": folder}
        self.site = sysconfig.get_path("purelib", "venv", names)

    def inserted(self, path: list[str]) -> list[str]:
        """``path`` with the installed packages before the program's own."""
        ends = ("site-packages", "dist-packages")
        at = next((i for i, entry in enumerate(path) if entry.endswith(ends)), len(path))
        return [*path[:at], *self.added(), *path[at:]]

    def added(self) -> list[str]:
        """What it adds to ``sys.path``."""
        return [self.site, *self.pth(False)]

    def import_lines(self) -> list[str]:
        """What ``.pth`` files of installed packages run (editable installs)."""
        return self.pth(True)

    def pth(self, imports: bool) -> list[str]:
        """Lines of ``.pth`` files: those that are run, or the folders they add."""
        lines = []
        for name in sorted(os.listdir(self.site)):
            if not name.endswith(".pth") or name == BASE_PTH:
                continue
            with open(os.path.join(self.site, name), encoding="utf-8") as file:
                for line in file.read().splitlines():
                    if line.startswith(("import ", "import\t")) == imports and line.strip():
                        lines.append(line if imports else os.path.join(self.site, line.strip()))
        return lines if imports else [line for line in lines if os.path.isdir(line)]


def cache_folder() -> str:
    """Where virtual environments are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "sundog", "environments")


def ready(
    tool: str, asked: dict[str, Any], base: dict[str, Any], variables: dict[str, str], log: str
) -> Made:
    """The virtual environment, made now if it is not there.

    Raises SetupError.
    """
    folder = os.path.join(cache_folder(), key_of(tool, asked, base))
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    lock = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for_lock(lock)
        if not os.path.exists(os.path.join(folder, READY)):
            shutil.rmtree(folder, ignore_errors=True)  # half of one, of somebody who was killed
            try:
                build(tool, asked, base, variables, folder, log)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        else:
            say(f"found ready: {folder}")
    finally:
        os.close(lock)
    return Made(folder)


def key_of(tool: str, asked: dict[str, Any], base: dict[str, Any]) -> str:
    """The hash of all that decides what is installed."""
    files = []
    for entry in asked["packages"]:
        path = os.path.expanduser(str(entry).split()[-1])
        if os.path.exists(path):
            info = os.stat(path)
            files.append([path, info.st_size, info.st_mtime_ns])
    interpreter = [sys.version, sys.executable, base["prefixes"]]
    text = json.dumps([tool, asked, files, interpreter], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def wait_for_lock(lock: int) -> None:
    """Returns with the lock; somebody else may be building for minutes."""
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                say("another process is making this environment: waiting for it")
                told = True
            if daemon_is_gone(LOCK_PAUSE_MS):
                end_with_the_daemon()


def build(
    tool: str,
    asked: dict[str, Any],
    base: dict[str, Any],
    variables: dict[str, str],
    folder: str,
    log: str,
) -> None:
    """Makes the virtual environment in its place and installs into it."""
    import venv

    say(f"making {folder}")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    made = Made(folder)
    path = programs_path(base)
    with open(os.path.join(made.site, BASE_PTH), "w", encoding="utf-8") as file:
        file.write("".join(f"{entry}\n" for entry in path))
    environ = {**os.environ, **variables, "VIRTUAL_ENV": folder}
    environ.pop("PYTHONPATH", None)
    environ.pop("PYTHONHOME", None)
    wanted = os.path.join(folder, "requirements.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write("".join(f"{entry}\n" for entry in asked["packages"]))
    version = asked.get(f"{tool}_version")
    if tool == "pip":
        installer = [made.python, "-m", "pip"]
        install_pip(made, path, version, asked, environ, log)
        quiet = ["--disable-pip-version-check", "--no-input"]
        options = asked.get("pip_install_options", [])
        command = [*installer, "install", *quiet, "-r", wanted, *options]
        check = [*installer, "check"]
    else:
        installer = uv_command(made, path, version, asked, environ, log)
        options = asked.get("uv_pip_install_options", [])
        at = ["--python", made.python]
        command = [*installer, "pip", "install", *at, "-r", wanted, *options]
        check = [*installer, "pip", "check", *at]
    run(f"{tool} install", command, asked, environ, log)
    if asked.get(f"{tool}_check"):
        run(f"{tool} check", check, asked, environ, log)
    with open(os.path.join(folder, READY), "w", encoding="utf-8") as file:
        json.dump({"tool": tool, "asked": asked}, file)


def programs_path(base: dict[str, Any]) -> list[str]:
    """Where the program's packages are: its path without the script's folder and the library."""
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    library |= {os.path.join(entry, "lib-dynload") for entry in library}
    script = base["sys_path"][0] if base["sys_path"] else ""
    return [
        entry
        for entry in base["sys_path"]
        if entry not in library and entry != script and os.path.isdir(entry)
    ]


def has(module: str, path: list[str]) -> bool:
    """Whether a module is there."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(module, path) is not None


def install_pip(
    made: Made,
    path: list[str],
    version: str | None,
    asked: dict[str, Any],
    environ: dict[str, str],
    log: str,
) -> None:
    """pip: the program's own, else the one that comes with Python; of a version if one is named."""
    if not has("pip", path):
        run("ensurepip", [made.python, "-m", "ensurepip"], asked, environ, log)
    if version is not None:
        options = asked.get("pip_install_options", [])
        command = [made.python, "-m", "pip", "install", f"pip{version}", *options]
        run(f"the installation of pip{version}", command, asked, environ, log)


def uv_command(
    made: Made,
    path: list[str],
    version: str | None,
    asked: dict[str, Any],
    environ: dict[str, str],
    log: str,
) -> list[str]:
    """uv: the one of the path or the program's own, else installed by pip."""
    if version is None:
        found = shutil.which("uv", path=environ.get("PATH"))
        if found:
            return [found]
        if has("uv", path):
            return [made.python, "-m", "uv"]
    install_pip(made, path, None, asked, environ, log)
    command = [made.python, "-m", "pip", "install", f"uv{version or ''}"]
    run("the installation of uv", command, asked, environ, log)
    return [made.python, "-m", "uv"]
