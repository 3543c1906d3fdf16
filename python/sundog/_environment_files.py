"""Snapshots of what a runtime environment copies: folders, zips and modules.

A snapshot lies in the session's folder under the hash of its contents, so that equal ones are
there once. It is written beside and renamed: nobody sees half of one. Processes that make the same
one at once do no harm.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BYTES_MAX = 500 * 1024 * 1024
FILES_MAX = 100_000
# What no worker misses; as Ray leaves it out.
ALWAYS = (".git", ".venv", "venv", "__pycache__")
CHUNK = 1 << 20


def working_dir(path: str, excludes: Iterable[str], folder: str) -> str:
    """The copy of a folder, or what a zip has in it."""
    if path.startswith(folder + os.sep):
        return path  # a copy already: inherited
    return unpacked(path, folder) if os.path.isfile(path) else copied(path, excludes, folder, "")


def py_module(path: str, excludes: Iterable[str], folder: str) -> str:
    """What is put into ``sys.path`` so that the package or module can be imported."""
    if path.startswith(folder + os.sep):
        return path
    name = os.path.basename(path)
    if path.endswith((".whl", ".zip")):
        return unpacked(path, folder)
    if os.path.isfile(path):
        return single(path, folder)
    return copied(path, excludes, folder, name)


def write_whole(path: str, data: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    beside = f"{path}.{os.getpid()}"
    with open(beside, "wb") as file:
        file.write(data)
    os.rename(beside, path)


# ---------------------------------------------------------------- what is left out


class Rules:
    """Patterns in the notation of .gitignore; the last one that fits decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Reads the lines."""
        self.rules: list[tuple[re.Pattern[str], bool, bool]] = []
        for line in lines:
            line = line.rstrip()
            if not line or line.startswith("#"):
                continue
            negated = line.startswith("!")
            line = line[1:] if negated else line
            only_folders = line.endswith("/")
            self.rules.append((expression(line.rstrip("/")), negated, only_folders))

    def decides(self, path: str, is_folder: bool) -> bool | None:
        """Whether the path, relative and with slashes, is left out; None if no pattern fits."""
        result = None
        for pattern, negated, only_folders in self.rules:
            if (is_folder or not only_folders) and pattern.fullmatch(path):
                result = not negated
        return result


def expression(pattern: str) -> re.Pattern[str]:
    """A pattern of .gitignore as a regular expression over whole paths."""
    anchored = "/" in pattern.rstrip("/")
    pattern = pattern.lstrip("/")
    text, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            text, i = text + "(?:.*/)?", i + 3
        elif pattern.startswith("**", i):
            text, i = text + ".*", i + 2
        elif pattern[i] == "*":
            text, i = text + "[^/]*", i + 1
        elif pattern[i] == "?":
            text, i = text + "[^/]", i + 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            inside = pattern[i + 1 : end].replace("\\", "\\\\")
            inside = "^" + inside[1:] if inside.startswith("!") else inside
            text, i = text + f"[{inside}]", end + 1
        else:
            text, i = text + re.escape(pattern[i]), i + 1
    return re.compile(text if anchored else f"(?:.*/)?{text}")


def files_of(root: str, excludes: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths of what is copied, in order: files, links and empty folders."""
    given = Rules(excludes)

    def walk(folder: str, rules: list[tuple[str, Rules]]) -> Iterator[tuple[str, os.stat_result]]:
        here = os.path.join(root, folder) if folder else root
        ignore = os.path.join(here, ".gitignore")
        if os.path.isfile(ignore):
            with open(ignore, encoding="utf-8", errors="replace") as file:
                rules = [*rules, (folder, Rules(file.read().splitlines()))]
        with os.scandir(here) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name in ALWAYS or left_out(path, is_folder, rules, given):
                continue
            info = entry.stat(follow_symlinks=False)
            if is_folder:
                yield path, info
                yield from walk(path, rules)
            elif stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
                yield path, info

    return walk("", [])


def left_out(path: str, is_folder: bool, rules: list[tuple[str, Rules]], given: Rules) -> bool:
    """Whether .gitignore files or ``excludes`` say so."""
    result = given.decides(path, is_folder)
    if result is not None:
        return result
    for folder, of_folder in reversed(rules):
        inside = path[len(folder) + 1 :] if folder else path
        decided = of_folder.decides(inside, is_folder)
        if decided is not None:
            return decided
    return False


# ---------------------------------------------------------------- copies


def copied(root: str, excludes: Iterable[str], folder: str, name: str) -> str:
    """A copy of the folder, under ``name`` in its place if one is given.

    Raises:
        ValueError: it is too large, or cannot be read.
    """
    try:
        found = list(files_of(root, excludes))
        check_size(root, found)
        digest = hashlib.sha256(name.encode() + b"\0")
        for path, info in found:
            digest.update(f"{path}\0{stat.S_IFMT(info.st_mode)}\0{info.st_mode & 0o111}\0".encode())
            digest.update(content(os.path.join(root, path), info))
        target = os.path.join(folder, "dirs", digest.hexdigest()[:32])
        if not os.path.isdir(target):
            beside = f"{target}.{os.getpid()}"
            copy_all(root, found, os.path.join(beside, name) if name else beside)
            publish(beside, target)
    except OSError as error:
        raise ValueError(
            f"runtime_env: {root} cannot be copied: {error.strerror}: {error.filename}"
        ) from None
    return target


def check_size(root: str, found: list[tuple[str, os.stat_result]]) -> None:
    """Raises ValueError that names the largest files."""
    size = sum(info.st_size for _, info in found)
    if size <= BYTES_MAX and len(found) <= FILES_MAX:
        return
    largest = sorted(found, key=lambda item: -item[1].st_size)[:3]
    shown = ", ".join(f"{path} ({info.st_size / 1e6:.0f} MB)" for path, info in largest)
    raise ValueError(
        f"runtime_env: {root} is too large to copy: {size / 1e6:,.0f} MB in {len(found):,} files, "
        f"at most {BYTES_MAX / 1e6:,.0f} MB and {FILES_MAX:,} files; name what is not needed in "
        f"'excludes' (the largest: {shown})"
    )


def content(path: str, info: os.stat_result) -> bytes:
    """The hash of a file, or where a link points."""
    if stat.S_ISLNK(info.st_mode):
        return os.readlink(path).encode()
    digest = hashlib.sha256()
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.digest()


def copy_all(root: str, found: list[tuple[str, os.stat_result]], target: str) -> None:
    """Copies files, links and folders."""
    os.makedirs(target, mode=0o700)
    for path, info in found:
        to = os.path.join(target, path)
        if stat.S_ISDIR(info.st_mode):
            os.makedirs(to, mode=0o700)
        elif stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(os.path.join(root, path)), to)
        else:
            shutil.copyfile(os.path.join(root, path), to)
            os.chmod(to, (info.st_mode & 0o777) | 0o600)


def publish(beside: str, target: str) -> None:
    """Makes what was written the snapshot, unless somebody was quicker."""
    try:
        os.rename(beside, target)
    except OSError:
        if not os.path.isdir(target):
            raise
        shutil.rmtree(beside, ignore_errors=True)


def unpacked(path: str, folder: str) -> str:
    """What is in a zip or wheel.

    Raises:
        ValueError: it is no zip, or too large.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > BYTES_MAX:
                raise ValueError(
                    f"runtime_env: {path} is too large: {size / 1e6:,.0f} MB when unpacked, at "
                    f"most {BYTES_MAX / 1e6:,.0f} MB"
                )
            target = os.path.join(folder, "dirs", content(path, os.stat(path)).hex()[:32])
            if not os.path.isdir(target):
                beside = f"{target}.{os.getpid()}"
                archive.extractall(beside)  # never outside of it
                publish(beside, target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"runtime_env: {path} cannot be unpacked: {error}") from None
    return target


def single(path: str, folder: str) -> str:
    """The copy of one module's file."""
    with open(path, "rb") as file:
        data = file.read()
    name = os.path.basename(path)
    hashed = hashlib.sha256(name.encode() + b"\0" + data).hexdigest()[:32]
    target = os.path.join(folder, "dirs", hashed)
    write_whole(os.path.join(target, name), data)
    return target
