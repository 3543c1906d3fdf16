"""The arrow check itself: a checker that finds nothing must be shown to find something."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_arrows

CMAKE = """
sundog_folder(base)
sundog_folder(os base)
sundog_folder(core base)
sundog_folder(node core os)
sundog_folder(client core)
sundog_program(sundogd src/main/sundogd.cc node)
sundog_programs_in(examples/cpp node)
"""


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, "CMakeLists.txt", CMAKE)
    write(tmp_path, "src/base/ids.h", "#pragma once\n#include <string>\n")
    write(tmp_path, "src/os/file.h", '#include <unistd.h>\n#include "base/ids.h"\n')
    write(tmp_path, "src/node/node.cc", '#include "base/ids.h"\n#include "os/file.h"\n')
    write(tmp_path, "src/main/sundogd.cc", '#include "node/node.h"\n')
    write(tmp_path, "include/sundog/sundog.h", '#include "sundog/task.h"\n')
    write(tmp_path, "examples/cpp/hello.cc", "#include <sundog/sundog.h>\n")
    write(tmp_path, "python/sundog/__init__.py", "import os\n\nimport sundog.api\n")
    write(tmp_path, "python/sundog/lazy.py", "def f():\n    import numpy\n    return numpy\n")
    return tmp_path


def findings(root: Path) -> list[str]:
    return [str(f) for f in [*check_arrows.check_cpp(root), *check_arrows.check_python(root)]]


def test_a_right_tree_has_no_findings(tree: Path) -> None:
    assert findings(tree) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "src/core/core.cc",
            '\n#include "os/file.h"\n',
            "src/core/core.cc:2: wrong arrow: src/core -> src/os. It may use base (CMakeLists.txt)",
        ),
        (
            "src/base/up.h",
            '#include "node/node.h"\n',
            "src/base/up.h:1: wrong arrow: src/base -> src/node. "
            "It may use nothing (CMakeLists.txt)",
        ),
        (
            "src/core/clock.cc",
            "#include <chrono>\n",
            "<chrono>: src/core decides and touches no system, thread or clock",
        ),
        (
            "src/core/order.cc",
            "IdMap<ObjectId, Task> tasks_;\nfor (auto& [id, task] : tasks_) use(task);\n",
            "src/core/order.cc:2: iterates the hash table tasks_: its order is arbitrary, "
            "and what decides must not depend on it",
        ),
        ("src/base/near.h", '#include "ids.h"\n', "has no folder; write the path below src"),
        (
            "src/lost/a.h",
            "",
            "src/lost/a.h:1: src/lost has no sundog_folder line in CMakeLists.txt",
        ),
        ("include/sundog/leak.h", '#include "base/ids.h"\n', "sundog/leak.h -> src/base"),
        (
            "python/sundog/_core/call.cc",
            '#include "call.h"\n#include "client/runtime.h"\n#include "node/node.h"\n',
            "python/sundog/_core/call.cc:3: wrong arrow: python/sundog/_core/call.cc -> src/node",
        ),
        ("examples/cpp/inner.cc", '#include "node/node.h"\n', "examples/cpp/inner.cc -> src/node"),
        (
            "python/sundog/top.py",
            "import numpy\n",
            "python/sundog/top.py:1: 'numpy' may be imported inside a function only",
        ),
        (
            "python/sundog/down.py",
            "def f():\n    from tests.e2e import helpers\n",
            "wrong arrow: python/sundog/down.py -> tests, which nothing may import",
        ),
        (
            "python/sundog/other.py",
            "import requests\n",
            "python/sundog/other.py:1: 'requests' is no dependency of this package",
        ),
    ],
)
def test_a_wrong_arrow_is_named(tree: Path, path: str, text: str, expected: str) -> None:
    write(tree, path, text)
    (finding,) = findings(tree)
    assert expected in finding


def test_includes_in_comments_do_not_count(tree: Path) -> None:
    write(tree, "src/core/talk.cc", '// #include "os/file.h"\n/*\n#include "os/file.h"\n*/\n')
    assert findings(tree) == []


def test_a_circle_of_folders_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"sundog_folder\(a ...\) links 'b', which is not declared"
    ):
        check_arrows.read_arrows("sundog_folder(a b)\nsundog_folder(b a)\n")


def test_arrows_reach_through_other_folders() -> None:
    assert check_arrows.read_arrows(CMAKE)["node"] == {"base", "os", "core"}
