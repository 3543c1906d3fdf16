"""Snapshots of what a runtime environment copies: folders, zips and modules.

A snapshot lies in the session's folder under the hash of its contents, so that equal ones are
there once. It is written beside and renamed: nobody sees half of one. Threads and processes that
make the same one at once do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    number, beside = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.", dir=folder)
    try:
        with open(number, "wb") as file:
            file.write(data)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


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
            with contextlib.suppress(re.error):  # as git has it, one that is none fits nothing
                self.rules.append((expression(line.rstrip("/")), negated, only_folders))

    def decides(self, path: str, is_folder: bool) -> bool | None:
        """Whether the path, relative and with slashes, is left out; None if no pattern fits."""
        result = None
        for pattern, negated, only_folders in self.rules:
            if (is_folder or not only_folders) and pattern.fullmatch(path):
                result = not negated
        return result


def expression(pattern: str) -> re.Pattern[str]:
    """A pattern of .gitignore as a regular expression over whole paths.

    Raises:
        re.error: it is none, like ``[z-a]``.
    """
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
        elif pattern[i] == "\\" and i + 1 < len(pattern):
            text, i = text + re.escape(pattern[i + 1]), i + 2
        elif pattern[i] == "[" and (end := class_end(pattern, i)) > 0:
            inside = pattern[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            inside = "^" + inside[1:] if inside.startswith("!") else inside
            text, i = text + f"[{inside}]", end + 1
        else:
            text, i = text + re.escape(pattern[i]), i + 1
    return re.compile(text if anchored else f"(?:.*/)?{text}")


def class_end(pattern: str, begin: int) -> int:
    """Where the characters of ``[...]`` end; the first may be a ``]``. -1: nowhere."""
    first = begin + 2 if pattern[begin + 1 : begin + 2] in ("!", "^") else begin + 1
    return pattern.find("]", first + 1)


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
        found = list(itertools.islice(files_of(root, excludes), FILES_MAX + 1))
        sizes = [(path, info.st_size) for path, info in found]
        if not fits(sizes):
            raise too_large(root, sizes, "name what is not needed in 'excludes'")
        digest = hashlib.sha256(os.fsencode(name) + b"\0")
        for path, info in found:
            digest.update(os.fsencode(path))
            digest.update(f"\0{stat.S_IFMT(info.st_mode)}\0{info.st_mode & 0o111}\0".encode())
            digest.update(content(os.path.join(root, path), info))
        target = os.path.join(folder, "dirs", digest.hexdigest()[:32])
        return published(target, lambda to: copy_all(root, found, os.path.join(to, name)))
    except OSError as error:
        raise cannot("copied", root, folder, error) from None


def cannot(done: str, what: str, folder: str, error: Exception) -> ValueError:
    """What could not be done to a folder or file, and why."""
    why = error.strerror if isinstance(error, OSError) else None
    of = getattr(error, "filename", None)
    return ValueError(
        f"runtime_env: {what} cannot be {done} into {folder}: "
        f"{why or str(error) or type(error).__name__}{f': {of}' if why and of else ''}"
    )


def fits(sizes: list[tuple[str, int]]) -> bool:
    """Whether files of these names and sizes are not too much."""
    return len(sizes) <= FILES_MAX and sum(size for _, size in sizes) <= BYTES_MAX


def too_large(what: str, sizes: list[tuple[str, int]], advice: str) -> ValueError:
    """Names the largest files."""
    size = sum(size for _, size in sizes)
    largest = sorted(sizes, key=lambda item: -item[1])[:3]
    shown = ", ".join(f"{path} ({size / 1e6:.0f} MB)" for path, size in largest)
    number = f"{len(sizes):,}" if len(sizes) <= FILES_MAX else f"more than {FILES_MAX:,}"
    return ValueError(
        f"runtime_env: {what} is too large to copy: {size / 1e6:,.0f} MB in {number} files, "
        f"at most {BYTES_MAX / 1e6:,.0f} MB and {FILES_MAX:,} files; {advice} (the largest: "
        f"{shown})"
    )


def content(path: str, info: os.stat_result) -> bytes:
    """The hash of a file, or where a link points."""
    if stat.S_ISLNK(info.st_mode):
        return os.fsencode(os.readlink(path))
    digest = hashlib.sha256()
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.digest()


def copy_all(root: str, found: list[tuple[str, os.stat_result]], target: str) -> None:
    """Copies files, links and folders."""
    os.makedirs(target, mode=0o700, exist_ok=True)
    for path, info in found:
        to = os.path.join(target, path)
        if stat.S_ISDIR(info.st_mode):
            os.makedirs(to, mode=0o700)
        elif stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(os.path.join(root, path)), to)
        else:
            shutil.copyfile(os.path.join(root, path), to)
            os.chmod(to, (info.st_mode & 0o777) | 0o600)


def published(target: str, fill: Callable[[str], object]) -> str:
    """The folder ``target``, which ``fill`` fills beside its place unless it is there.

    What fails, as on a full disk, leaves nothing.
    """
    if os.path.isdir(target):
        return target
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    beside = tempfile.mkdtemp(prefix=f"{os.path.basename(target)}.", dir=os.path.dirname(target))
    try:
        fill(beside)
        os.rename(beside, target)
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        if not isinstance(error, OSError) or not os.path.isdir(target):  # nobody was quicker
            raise
    return target


def unpacked(path: str, folder: str) -> str:
    """What is in a zip or wheel.

    Raises:
        ValueError: it is no zip, damaged, encrypted, or too large.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [(entry.filename, entry.file_size) for entry in archive.infolist()]
            if fits(sizes):  # no entry has more than it says
                target = os.path.join(folder, "dirs", content(path, os.stat(path)).hex()[:32])
                return published(target, archive.extractall)  # never outside of it
    except Exception as error:  # of many types: what can be wrong with an archive
        raise cannot("unpacked", path, folder, error) from None
    raise too_large(path, sizes[: FILES_MAX + 1], "leave out what is not needed")


def single(path: str, folder: str) -> str:
    """The copy of one module's file.

    Raises:
        ValueError: it cannot be read.
    """
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
        hashed = hashlib.sha256(os.fsencode(name) + b"\0" + data).hexdigest()[:32]
        target = os.path.join(folder, "dirs", hashed)
        write_whole(os.path.join(target, name), data)
    except OSError as error:
        raise cannot("copied", path, folder, error) from None
    return target
