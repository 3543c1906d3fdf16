"""The map of Ray's names: each line of docs/compat.txt is tried, and names a test that exists."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray_reference

import compat_probe
import compat_table
import compat_tests

ROOT = Path(__file__).resolve().parent.parent.parent

REMAKE = "make compat, and look at what it changes in docs/compat.txt"
needs_reference = pytest.mark.skipif(
    not ray_reference.PATH.exists(), reason=ray_reference.WHY_SKIPPED
)
# `ray` has them for programs of Ray; in `sundog` they have another name, or no meaning.
ONLY_IN_RAY = {
    "ray.SCRIPT_MODE",
    "ray.WORKER_MODE",
    "ray.util.joblib.register_ray",
}


def entries(*statuses: str) -> list[compat_table.Entry]:
    return [
        entry
        for section in compat_table.load()
        for entry in section.entries
        if entry.status in statuses
    ]


def test_the_page_is_what_the_table_says() -> None:
    assert compat_table.page(compat_table.load()) == compat_table.PAGE.read_text(), REMAKE


def test_every_line_is_what_comes_of_trying_it() -> None:
    # In a process of its own: what it imports has threads.
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/compat.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, ""), (REMAKE, done.stdout, done.stderr)


def test_every_test_that_a_line_names_exists() -> None:
    known = {test.place for test in compat_tests.index()}
    lines = entries("works", "rule", "differs")
    assert len(lines) > 200
    assert [entry.what for entry in lines if entry.text not in known] == [], REMAKE


def test_what_works_in_ray_is_in_sundog_under_the_same_name() -> None:
    names = [entry.what for entry in entries("works") if re.fullmatch(r"ray[.\w]+", entry.what)]
    ours = [
        name.replace("ray.", "sundog.", 1)
        for name in names
        if name not in ONLY_IN_RAY and not name.rpartition(".")[2].startswith(("Ray", "LocalRay"))
    ]
    assert len(ours) > 60
    missing = []
    for name in ours:
        try:
            compat_probe.resolve(name)
        except (AttributeError, ModuleNotFoundError) as error:
            missing.append(f"{name}: {error}")
    assert missing == []


@needs_reference
def test_exceptions_have_rays_bases() -> None:
    exceptions: Any = importlib.import_module("ray.exceptions")
    names = {entry.what.rpartition(".")[2] for entry in entries("works", "none")}
    checked = 0
    for name, base in ray_reference.exception_bases().items():
        if name in names:
            expected = getattr(exceptions, base, None) or getattr(
                importlib.import_module("builtins"), base
            )
            assert issubclass(getattr(exceptions, name), expected), (name, base)
            checked += 1
    assert checked > 30


def test_a_line_that_is_no_entry_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 has no status"):
        compat_table.parse("## One\nray.get maybe")
    with pytest.raises(ValueError, match="before the first heading"):
        compat_table.parse("ray.get  works  a::b")


def test_a_refusal_and_a_misspelling_are_told_apart() -> None:
    assert compat_probe.probe("ray.get")[0] == "works"
    assert compat_probe.probe("ray.data")[1].startswith("Sundog provides Ray Core")
    assert compat_probe.probe("ray.gett") == ("refused", "module 'ray' has no attribute 'gett'")
    status, said = compat_probe.probe("function: num_cpu")
    assert status == "refused" and "did you mean 'num_cpus'" in said
    assert compat_probe.probe("ray.get(timeout)") == ("works", "")
    assert compat_probe.probe("ray.get(patience)")[0] == "refused"
