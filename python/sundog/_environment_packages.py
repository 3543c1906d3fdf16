"""Virtual environments with the packages that a runtime environment names.

Each is made once, whoever asks, and kept under the hash of what went into it in the user's cache
folder (``_environment_cache``). What an interrupted build left is removed by the next one.

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

from sundog import _environment_cache
from sundog._environment_process import (
    SetupError,
    daemon_is_gone,
    end_with_the_daemon,
    run,
    say,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def ready(
    tool: str, asked: dict[str, Any], base: dict[str, Any], variables: dict[str, str], log: str
) -> Made:
    """The virtual environment, made now if it is not there, and held until this process ends.

    Raises SetupError.
    """
    folder = os.path.join(_environment_cache.cache_folder(), key_of(tool, asked, base))
    try:
        bytes_max = _environment_cache.limit(_environment_cache.BYTES_MAX)
        days_max = _environment_cache.limit(_environment_cache.DAYS_MAX)
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        lock = hold(folder)
        if _environment_cache.is_whole(folder):
            say(f"found ready: {folder}")
            os.utime(os.path.join(folder, _environment_cache.READY))
            fcntl.flock(lock, _environment_cache.TOGETHER)
        else:
            make(tool, Build(asked, base, variables, folder, log))
            fcntl.flock(lock, _environment_cache.TOGETHER)
            for entry in _environment_cache.trim(bytes_max, days_max):
                say(f"removed, as nobody uses it: {entry.folder}")
    except ValueError as error:
        raise SetupError(str(error)) from None
    except OSError as error:
        of = f": {error.filename}" if error.filename else ""
        raise SetupError(
            f"packages cannot be kept in {folder}: {error.strerror}{of} (XDG_CACHE_HOME names "
            "another place)"
        ) from None
    return Made(folder)


def make(tool: str, build: Build) -> None:
    """Makes one; what fails leaves nothing."""
    try:
        build.begin()
        build.install(tool)
        _environment_cache.finish(build.folder, tool, build.asked)
    except BaseException:
        shutil.rmtree(build.folder, ignore_errors=True)
        raise


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


def hold(folder: str) -> int:
    """The lock of a virtual environment: alone if it is to be made, else together with others.

    Somebody else may be building for minutes, and keeps the lock afterwards, together with others,
    for as long as it is used. So nobody waits to be alone: who is not looks again whether it is
    whole by now.
    """
    told = False

    def wait() -> None:
        nonlocal told
        if not told:
            say("another process is making this environment: waiting for it")
            told = True
        if daemon_is_gone(LOCK_PAUSE_MS):
            end_with_the_daemon()

    while True:
        lock = _environment_cache.take(folder, _environment_cache.TOGETHER, wait)
        assert lock is not None  # it waited
        if _environment_cache.is_whole(folder):
            return lock
        os.close(lock)
        alone = _environment_cache.take(folder, _environment_cache.ALONE)
        if alone is not None:
            return alone
        wait()


class Build:
    """One that is being made: in its place, by pip or uv."""

    def __init__(
        self,
        asked: dict[str, Any],
        base: dict[str, Any],
        variables: dict[str, str],
        folder: str,
        log: str,
    ) -> None:
        """Nothing is written yet."""
        self.asked, self.folder, self.log = asked, folder, log
        self.made = Made(folder)
        self.path = programs_path(base)
        self.environ = {**os.environ, **variables, "VIRTUAL_ENV": folder}
        self.environ.pop("PYTHONPATH", None)
        self.environ.pop("PYTHONHOME", None)
        self.wanted = os.path.join(folder, "requirements.txt")

    def begin(self) -> None:
        """An empty virtual environment, which sees the program's packages.

        What is in its place is half of one, of somebody who was killed.
        """
        import venv

        say(f"making {self.folder}")
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.EnvBuilder(symlinks=True, with_pip=False).create(self.folder)
        with open(os.path.join(self.made.site, BASE_PTH), "w", encoding="utf-8") as file:
            file.write("".join(f"{entry}\n" for entry in self.path))
        with open(self.wanted, "w", encoding="utf-8") as file:
            file.write("".join(f"{entry}\n" for entry in self.asked["packages"]))

    def run(self, what: str, command: list[str]) -> None:
        """Runs a command of it; raises SetupError."""
        run(what, command, self.asked, self.environ, self.log)

    def has(self, module: str) -> bool:
        """Whether the program has a module, which is then seen here too."""
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(module, self.path) is not None

    def install(self, tool: str) -> None:
        """Installs the packages; raises SetupError."""
        version = self.asked.get(f"{tool}_version")
        if tool == "pip":
            installer = self.pip(version)
            quiet = ["--disable-pip-version-check", "--no-input"]
            options = self.asked.get("pip_install_options", [])
            command = [*installer, "install", *quiet, "-r", self.wanted, *options]
            check = [*installer, "check"]
        else:
            installer = self.uv(version)
            options = self.asked.get("uv_pip_install_options", [])
            at = ["--python", self.made.python]
            command = [*installer, "pip", "install", *at, "-r", self.wanted, *options]
            check = [*installer, "pip", "check", *at]
        self.run(f"{tool} install", command)
        if self.asked.get(f"{tool}_check"):
            self.run(f"{tool} check", check)

    def pip(self, version: str | None) -> list[str]:
        """pip: the program's own, else the one that comes with Python; of a version if named."""
        pip = [self.made.python, "-m", "pip"]
        if not self.has("pip"):
            self.run("ensurepip", [self.made.python, "-m", "ensurepip"])
        if version is not None:
            options = self.asked.get("pip_install_options", [])
            self.run(
                f"the installation of pip{version}", [*pip, "install", f"pip{version}", *options]
            )
        return pip

    def uv(self, version: str | None) -> list[str]:
        """uv: the one of the path or the program's own, else installed by pip."""
        own = [self.made.python, "-m", "uv"]
        if version is None:
            found = shutil.which("uv", path=self.environ.get("PATH"))
            if found or self.has("uv"):
                return [found] if found else own
        self.run("the installation of uv", [*self.pip(None), "install", f"uv{version or ''}"])
        return own


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
