"""What runtime environments copy: what is left out, what is wrong with it, and what may happen."""

import os
import shutil
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

import sundog
from sundog import _environment_checks, _environment_files


def snapshots(folder: Path) -> list[str]:
    """What lies there."""
    return sorted(os.listdir(folder / "dirs")) if (folder / "dirs").is_dir() else []


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with one file."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "a.txt").write_text("a")
    return tmp_path / "program"


# ---------------------------------------------------------------- what may happen


@pytest.mark.parametrize("kind", ["folder", "zip", "module", "hook"])
def test_threads_may_copy_the_same_at_once(kind: str, program: Path, tmp_path: Path) -> None:
    """Each is held just before it publishes, until all are there."""
    number = 4
    together = threading.Barrier(number)
    kept = tmp_path / "kept"
    archive, module = tmp_path / "p.zip", tmp_path / "m.py"
    module.write_text("A = 1\n")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")

    def make() -> str:
        if kind == "folder":
            return _environment_files.working_dir(str(program), (), str(kept))
        if kind == "zip":
            return _environment_files.working_dir(str(archive), (), str(kept))
        if kind == "module":
            return _environment_files.py_module(str(module), (), str(kept))
        _environment_files.write_whole(str(kept / "dirs" / "f.hook"), b"x" * 100_000)
        return str(kept / "dirs" / "f.hook")

    real, made, failed = os.rename, [], []

    def rename(old: Any, new: Any) -> None:
        together.wait(30)
        real(old, new)

    def one() -> None:
        try:
            made.append(make())
        except BaseException as error:
            failed.append(error)
            together.abort()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_environment_files.os, "rename", rename)
        threads = [threading.Thread(target=one) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == [] and len(set(made)) == 1
    assert snapshots(kept) == [Path(made[0]).name]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_full_disk_is_told_and_leaves_nothing(
    kind: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "p.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    what = program if kind == "folder" else archive

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        patch.setattr(shutil, "copyfileobj", full)
        for _ in range(2):  # the second is told the same
            with pytest.raises(ValueError, match=f"{what} cannot be .* No space left on device$"):
                _environment_files.working_dir(str(what), (), str(tmp_path / "kept"))
    assert snapshots(tmp_path / "kept") == []
    made = _environment_files.working_dir(str(what), (), str(tmp_path / "kept"))
    assert Path(made, "a.txt").read_text() == "a"


def test_a_name_that_is_no_text_is_copied(program: Path, tmp_path: Path) -> None:
    strange = os.fsencode(program) + b"/\xff.txt"
    Path(os.fsdecode(strange)).write_text("strange")
    os.symlink(strange, program / "link")
    made = _environment_files.working_dir(str(program), (), str(tmp_path / "kept"))
    assert Path(made, os.fsdecode(b"\xff.txt")).read_text() == "strange"
    assert os.readlink(os.fsencode(made) + b"/link") == strange


# ---------------------------------------------------------------- archives


def damaged(path: Path) -> None:
    """An archive whose compressed bytes make no sense."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "abcdefgh" * 100)
        begin = len("a.txt") + 30
    data = bytearray(path.read_bytes())
    data[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(data)


def encrypted(path: Path) -> None:
    """An archive that says that a password is needed."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "abc")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)


def of_a_new_kind(path: Path) -> None:
    """An archive that is compressed as nobody knows."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "abc")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + offset] = 77
    path.write_bytes(data)


def in_its_own_way(path: Path) -> None:
    """An archive with a file where it has a folder too."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "file")
        archive.writestr("a/b", "in a folder")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_text("no archive"), "File is not a zip file"),
        (damaged, "Error -3 while decompressing"),
        (encrypted, "password required"),
        (of_a_new_kind, "compression method is not supported"),
        (in_its_own_way, "File exists|Not a directory"),
    ],
)
def test_an_archive_that_is_spoilt_is_named(spoil: Any, why: str, tmp_path: Path) -> None:
    path = tmp_path / "spoilt.zip"
    spoil(path)
    with pytest.raises(ValueError, match=f"runtime_env: {path} cannot be unpacked .*({why})"):
        _environment_files.working_dir(str(path), (), str(tmp_path / "kept"))
    assert snapshots(tmp_path / "kept") == []


def test_an_archive_writes_nothing_outside(tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../up.txt", f"{tmp_path}/absolute.txt", "a/../../b.txt"):
            archive.writestr(name, "hostile")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
        archive.writestr("link.d/x", "x")
    before = {*tmp_path.rglob("*")}
    made = Path(_environment_files.working_dir(str(path), (), str(tmp_path / "kept")))
    outside = {p for p in {*tmp_path.rglob("*")} - before if not p.is_relative_to(made)}
    assert outside == {tmp_path / "kept", tmp_path / "kept" / "dirs"}
    assert not any(p.is_symlink() for p in made.rglob("*"))


def test_an_archive_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_environment_files, "FILES_MAX", 3)
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}.txt", "x")
    with pytest.raises(ValueError, match=r"many.zip is too large.* more than 3 files"):
        _environment_files.working_dir(str(path), (), str(tmp_path / "kept"))


def test_a_folder_is_not_searched_behind_the_limit(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``working_dir="/"`` is refused soon."""
    monkeypatch.setattr(_environment_files, "FILES_MAX", 3)
    for number in range(10):
        (program / f"{number}.txt").touch()
    (program / "z").mkdir()
    seen: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(str(path)) or real(path))
    with pytest.raises(ValueError, match="more than 3 files"):
        _environment_files.working_dir(str(program), (), str(tmp_path / "kept"))
    assert seen == [str(program)]


# ---------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        (r"\#notes", ["#notes"], ["notes", r"\#notes"]),
        (r"\!new", ["!new"], ["new"]),
        (r"a\*", ["a*"], ["ab", r"a\b"]),
        ("[]a].x", ["].x", "a.x"], ["b.x"]),
        ("[!]a].x", ["b.x"], ["].x", "a.x"]),
        ("[[a].x", ["[.x", "a.x"], ["b.x"]),
        ("[z-a]", [], ["z", "[z-a]"]),
        ("[!]", ["[!]"], ["a"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, fits: list[str], not_: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rules = _environment_files.Rules([pattern])
    assert [rules.decides(path, False) for path in fits] == [True] * len(fits)
    assert [rules.decides(path, False) for path in not_] == [None] * len(not_)


def test_a_wrong_pattern_that_was_given_is_named() -> None:
    with pytest.raises(ValueError, match=r"\['excludes'\]: '\[z-a\]' is no pattern of .gitignore"):
        _environment_checks.checked({"working_dir": ".", "excludes": ["[z-a]"]})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"py_executable": "python 'x"}, "a command as a shell reads it.*No closing quotation"),
        ({"env_vars": {"A": "\ud800"}}, "'A' and its value cannot be in the environment"),
    ],
)
def test_what_could_only_fail_later_is_told_at_once(asked: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sundog.remote(runtime_env=asked)(len)
