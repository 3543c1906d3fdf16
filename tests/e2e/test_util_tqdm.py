"""Progress bars of workers, drawn by the program."""

import os
import pty
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_program, until

import sundog
from sundog import _bars
from sundog.util import tqdm

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
    import sundog
    from sundog.experimental.tqdm_ray import safe_print, tqdm
    sundog.init(num_cpus=2, logging_level="error")

    @sundog.remote
    def work(name, n):
        print("a line of", name)
        return sum(tqdm(range(n), desc=name, unit="step"))

    # Bars may still be shown, their last message comes after get: no plain print.
    safe_print(sundog.get([work.remote("first", 40), work.remote("second", 20)]))
    for _ in tqdm([1, 2], desc="mine"):
        safe_print("a line of mine")
    """


def test_where_lines_stay_a_bar_is_a_line_at_its_end(tmp_path: Path) -> None:
    done = run_program(PROGRAM, tmp_path)
    assert "[780, 190]" in done.stdout and "a line of first" in done.stdout
    assert "sundog-bar" not in done.stdout + done.stderr
    full = "█" * _bars.WIDTH
    for name, n in (("first", 40), ("second", 20)):
        pattern = rf"^{name} ▕{full}▏ {n} of {n} step, [\d,.e+]+ a second, [\d.]+ s \(pid \d+\)$"
        assert len(re.findall(pattern, done.stderr, re.MULTILINE)) == 1, done.stderr
    assert re.search(rf"^mine ▕{full}▏ 2 of 2 it, ", done.stderr, re.MULTILINE)
    assert done.stdout.count("a line of mine\n") == 2


def on_terminal(code: str, folder: Path) -> str:
    """What a program writes to a terminal."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(code))
    parent, child = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=child, stderr=child, stdin=child, env=environment
    ):
        os.close(child)
        said = b""
        try:
            while part := os.read(parent, 1 << 16):
                said += part
        except OSError:  # the last process closed it
            pass
    os.close(parent)
    return said.decode()


def screen(text: str) -> list[str]:
    """The lines that a terminal shows after this text."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[\d*[AJK]|\r\n|\r)", text):
        if part == "\r\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part == "\r":
            lines[row] = lines[row]
        elif part.endswith("A") and part.startswith("\x1b["):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            del lines[row:]
            lines.append("")
        elif part == "\x1b[K":
            lines[row] = ""
        else:
            lines[row] += part
    return [line for line in lines if line]


def test_on_a_terminal_bars_are_redrawn_in_place(tmp_path: Path) -> None:
    said = on_terminal(PROGRAM, tmp_path)
    shown = screen(said)
    assert said.count("\x1b[J") >= 3
    for begin in ("first ▕", "second ▕", "mine ▕"):
        assert sum(line.startswith(begin) for line in shown) == 1, shown
    assert sum("a line of" in line for line in shown) == 4
    assert "[780, 190]" in shown


def test_calls_and_their_mistakes(capfd: pytest.CaptureFixture[str]) -> None:
    with tqdm(total=10, desc="by hand", unit="file") as bar:
        bar.update(4)
        bar.set_description("renamed")
        bar.refresh()
        assert bar.n == 4
    bar.close()
    said = capfd.readouterr().err
    assert said.count("renamed ▕████████            ▏ 4 of 10 file") == 1
    with tqdm(iter([1, 2])) as endless:
        assert list(endless) == [1, 2]
    assert "2 it, " in capfd.readouterr().err
    with pytest.raises(ValueError, match="takes an iterable or a total"):
        tqdm()
    with pytest.raises(ValueError, match="no iterable"):
        list(tqdm(total=3))
    capfd.readouterr()
    _bars.end()


@pytest.mark.parametrize(("share", "bar"), [(0, ""), (0.5, "█" * 10), (0.025, "▌"), (2, "█" * 20)])
def test_a_share_is_drawn_in_eighths(share: float, bar: str) -> None:
    assert _bars.drawn(share) == bar.ljust(20)


def test_lines_that_only_look_like_bars_do_no_harm(
    capfd: pytest.CaptureFixture[str], session: None
) -> None:
    @sundog.remote
    def chatter() -> None:
        print(f"before {_bars.MARK}no json")
        print(f"{_bars.MARK}" + '{"bar": 1}')
        print("the last line")

    sundog.get(chatter.remote())
    said = [""]

    def printed(text: str) -> Callable[[], bool]:
        def look() -> bool:
            said[0] += capfd.readouterr().out
            return text in said[0]

        return look

    until(printed("the last line"), "the output is printed")
    assert "before" in said[0] and "json" not in said[0]
