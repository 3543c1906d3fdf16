"""Several programs at once: who gets the CPUs, who finds whom, and what one leaves behind."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sundog


class Program:
    """A program that runs beside the test, saved as a file of its own."""

    def __init__(self, folder: Path, name: str, code: str, *words: str, **environment: str) -> None:
        """Starts it."""
        self.path = folder / f"{name}.py"
        self.path.write_text(textwrap.dedent(code))
        path = os.pathsep.join(p for p in sys.path if p)
        self.process = subprocess.Popen(
            [sys.executable, str(self.path), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )

    def line(self) -> str:
        """The next line that it prints; fails with its errors if it ended instead."""
        assert self.process.stdout is not None and self.process.stderr is not None
        text = self.process.stdout.readline()
        if not text:
            pytest.fail(f"{self.path.name} ended:\n{self.process.stderr.read()}")
        return text.strip()

    def go_on(self) -> None:
        """It waits in ``input()``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Its last output, once it ended well."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, f"{self.path.name}:\n{out}\n{err}"
        return out

    def close(self) -> None:
        """Ends it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Begin = Callable[..., Program]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts programs; those that still run at the end of the test are killed."""
    programs: list[Program] = []

    def start(name: str, code: str, *words: str, **environment: str) -> Program:
        programs.append(Program(tmp_path, name, code, *words, **environment))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def test_a_second_program_is_not_behind_the_backlog_of_the_first(begin: Begin) -> None:
    backlog, wanted = 20_000, 60
    with sundog.init(num_cpus=2, logging_level="warning"):

        @sundog.remote
        def spin(count: int) -> int:
            return sum(range(count))

        sundog.get([spin.remote(1) for _ in range(4)])
        refs = [spin.remote(40_000) for _ in range(backlog)]  # about a millisecond each
        sundog.wait(refs, num_returns=50)
        second = begin(
            "second",
            """
            import sys, sundog

            sundog.init(address="auto", logging_level="warning")

            @sundog.remote
            def spin(count):
                return sum(range(count))

            sundog.get([spin.remote(40_000) for _ in range(int(sys.argv[1]))])
            print("done", flush=True)
            """,
            str(wanted),
        )
        assert second.line() == "done"
        ready, _ = sundog.wait(refs, num_returns=len(refs), timeout=0)
        assert len(ready) < backlog, "the first program's tasks all came before"
        second.end()


def test_weights_are_ratios(begin: Begin, tmp_path: Path) -> None:
    log = tmp_path / "order"
    program = """
        import os, sys, sundog

        name, weight, count, path = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
        sundog.init(address="auto", job_weight=weight, logging_level="warning")

        @sundog.remote
        def spin(note):
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, note)
            os.close(file)
            return sum(range(100_000))

        sundog.get(spin.remote(b""))
        print("ready", flush=True)
        input()
        refs = [spin.remote(name.encode()) for _ in range(count)]
        sundog.wait(refs, num_returns=1)
        print("begun", flush=True)
        sundog.get(refs)
    """
    with sundog.init(num_cpus=1, logging_level="warning"):
        light = begin("light", program, "l", "0.5", "4000", str(log))
        heavy = begin("heavy", program, "h", "8", "300", str(log))
        assert (heavy.line(), light.line()) == ("ready", "ready")
        light.go_on()
        assert light.line() == "begun"
        heavy.go_on()
        heavy.end()
        order = log.read_bytes()
        meanwhile = order[order.index(b"h") : order.rindex(b"h")]
        # By their weights a sixteenth; equal shares would make it as many as the other's.
        assert 0 < meanwhile.count(b"l") < 100, meanwhile
