"""The first hour's fifth part: a model of one's own, typed at IPython's prompt line by line.

The document of the first hour is read when the test runs, and with it the two functions that it
takes from document 003; neither is part of the tree.
"""

import importlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "e2e" / "seeds")]
document: Any = importlib.import_module("hour_document")
documents: Any = importlib.import_module("documents")
Terminal: Any = importlib.import_module("terminal").Terminal

pytestmark = [
    pytest.mark.skipif(not document.there(), reason=document.WHY_SKIPPED),
    pytest.mark.skipif(not documents.there(), reason=documents.WHY_SKIPPED),
]
ROUNDS_GROW_MB_MAX = 8
PREPARED = """\
import os
import torch
import sundog
from typing import Dict, List, Tuple
import copy

torch.set_num_threads(1)
context = sundog.init(
    num_cpus=2, num_gpus=1, object_store_memory=1 << 30, logging_level="error"
)
side = {side}
model = torch.nn.Linear(side, side)
x = torch.rand(2, side)
other = torch.nn.Sequential(torch.nn.Linear(side, 16), torch.nn.BatchNorm1d(16))


@sundog.remote(num_gpus=1)
class Server:
    def pid(self):
        return os.getpid()


actor = Server.remote()
pid = sundog.get(actor.pid.remote())


def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def rounds(number):
    before = resident_mb()
    for _ in range(number):
        assert sundog.get(ref).weight.shape == (side, side)
    return resident_mb() - before


def sums(kept):
    return [float(t.double().sum()) for t in kept]


def stored():
    _, tensors = sundog.get(ref2)
    kinds = [kind for each in tensors for kind in each.values()]
    return sums(torch.as_tensor(array) for kind in kinds for array in kind.values())


{functions}
ref2 = sundog.put(extract_tensors(other))
before_training = stored()
print("ready")
"""


def seeds_functions() -> str:
    """The two functions of document 003 that part 5 names."""
    wanted = ("def extract_tensors", "def replace_tensors(")
    cells = [c.source for c in documents.cells("003") if any(w in c.source for w in wanted)]
    assert len(cells) == len(wanted)
    return "\n".join(
        re.sub(r"^[%!].*$|^\w.*ray.*$", "", cell, flags=re.MULTILINE) for cell in cells
    )


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[Any]:
    """IPython, with the model and what else part 5 takes for granted."""
    put = document.steps(5)[0]
    side = int((document.limit(put.said, r"([\d.]+) MB") * 1e6 / 4) ** 0.5)
    (tmp_path / "prepared.py").write_text(
        PREPARED.replace("{side}", str(side)).replace("{functions}", seeds_functions())
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment |= {"TERM": "dumb", "NO_COLOR": "1", "IPYTHONDIR": str(tmp_path)}
    environment |= {"PYTHONPATH": str(ROOT / "python"), "SUNDOG_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-m", "IPython", "--classic", "--simple-prompt", "--no-banner"]
    words += ["--no-confirm-exit", "--no-pprint", "-i", "prepared.py"]
    found = Terminal(words, tmp_path, environment, ">>> ")
    try:
        assert enter(found, "before_training == stored()") == ["True"]
        yield found
    finally:
        found.close()


def enter(prompt: Any, line: str) -> list[str]:
    """What answers a line; IPython asks for a blank one behind a block."""
    answer, _ = prompt.type(line)
    if answer and answer[-1].strip() == "...":
        answer, _ = prompt.type("")
    return [each for each in answer if each.strip()]


def check_timeit(prompt: Any, step: Any, answer: list[str]) -> None:
    """Quick enough, and so many rounds leave memory as it was."""
    found = re.match(r"([\d.]+) (\w+) ±", answer[0])
    assert found, answer
    unit = {"s": 1e3, "ms": 1.0, "\N{GREEK SMALL LETTER MU}s": 1e-3, "ns": 1e-6}[found[2]]
    assert float(found[1]) * unit <= document.limit(step.said, r"([\d.]+) ms"), answer
    number = int(document.limit(step.said, r"(\d+) rounds"))
    enter(prompt, "rounds(3)")
    (grown,) = enter(prompt, f"rounds({number})")
    assert "memory flat" in step.said and float(grown) < ROUNDS_GROW_MB_MAX


def check_actor_is_gone(prompt: Any, step: Any) -> None:
    """Its process, its GPU, and what the command says about it."""
    seconds = document.limit(step.said, r"within ([\d.]+) s")
    (command,) = re.findall(r"sundog list \w+", step.said)
    began = time.monotonic()
    gone = "(os.path.exists(f'/proc/{pid}'), sundog.available_resources().get('GPU'))"
    while (answer := enter(prompt, gone)) != ["(False, 1)"]:
        assert time.monotonic() - began < seconds, answer
    call = command.replace("sundog", "{sys.executable} -m sundog", 1)
    enter(prompt, "import sys")
    answer = enter(prompt, f"!{call}")
    assert answer[-1] == "0 actors", answer


def test_5_my_own_model(prompt: Any) -> None:
    for step in document.steps(5):
        answer = enter(prompt, step.line)
        if step.line.startswith("%timeit"):
            check_timeit(prompt, step, answer)
        elif step.line == "del actor":
            check_actor_is_gone(prompt, step)
        elif step.shown:
            assert answer == list(step.shown), step.line
        else:
            assert not any("Error" in line for line in answer), answer
        if "the store unchanged" in step.said:
            assert enter(prompt, "before_training == stored()") == ["True"]
