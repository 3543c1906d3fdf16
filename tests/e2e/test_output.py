"""What tasks print appears at the driver."""

import re
from pathlib import Path

from conftest import run_program

PROGRAM = """
    import sys, sundog
    sundog.init(num_cpus=2, logging_level="warning"{options})

    @sundog.remote
    def talk(n):
        for i in range(n):
            print("line", i)
            print("error", i, file=sys.stderr)

    sundog.get(talk.remote({n}))
    sundog.shutdown()
    print("the end")
"""


def test_lines_come_in_order_with_name_and_pid(tmp_path: Path) -> None:
    done = run_program(PROGRAM.format(n=500, options=""), tmp_path)
    lines = done.stdout.splitlines()
    assert lines[-1] == "the end"
    bare = [re.sub(r"^\(talk pid=\d+\) ", "", line) for line in lines[:-1]]
    assert bare == [f"line {i}" for i in range(500)]
    assert all(re.match(r"\(talk pid=\d+\) ", line) for line in lines[:-1])
    errors = [re.sub(r"^\(talk pid=\d+\) ", "", line) for line in done.stderr.splitlines()]
    assert errors == [f"error {i}" for i in range(500)]


def test_output_can_be_hidden(tmp_path: Path) -> None:
    done = run_program(PROGRAM.format(n=3, options=", log_to_driver=False"), tmp_path)
    assert (done.stdout, done.stderr) == ("the end\n", "")


def test_output_of_a_task_comes_while_it_runs(tmp_path: Path) -> None:
    program = """
        import os, sys, time, sundog
        sundog.init(num_cpus=1, logging_level="warning")

        class Watch:
            def __init__(self, stream):
                self.stream = stream
            def write(self, text):
                if "hello" in text:
                    open("seen", "w").close()
                return self.stream.write(text)
            def flush(self):
                self.stream.flush()

        sys.stdout = Watch(sys.stdout)

        @sundog.remote
        def wait_until_seen():
            print("hello")
            while not os.path.exists("seen"):
                time.sleep(0.002)
            return "seen while it ran"

        print(sundog.get(wait_until_seen.remote(), timeout=20))
    """
    folder = f"import os; os.chdir({str(tmp_path)!r})\n"
    path = tmp_path / "folder.py"
    path.write_text(folder)
    done = run_program("import folder\n" + program.replace("\n        ", "\n"), tmp_path)
    assert done.stdout.splitlines()[-1] == "seen while it ran"
