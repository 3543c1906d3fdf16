"""``list_logs`` and ``get_log`` of ``sundog.util.state``, and ``sundog logs``."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import until

import sundog
from sundog.util import state


@sundog.remote
def say(*lines: str) -> int:
    print(*lines, sep="\n")
    print("to stderr", file=sys.stderr)
    return os.getpid()


@sundog.remote
class Speaker:
    def say(self, line: str) -> int:
        print(line)
        return os.getpid()


def logs_folder() -> Path:
    return Path(sundog.get_runtime_context().get_temp_dir(), "logs")


def text(**asked: Any) -> str:
    return "".join(state.get_log(**asked))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sundog", "logs", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def test_logs_are_listed_by_kind(session: None) -> None:
    pid = sundog.get(say.remote("hello"))
    found = state.list_logs()
    assert f"worker-{pid}.out" in found["worker_out"]
    assert f"worker-{pid}.err" in found["worker_err"]
    assert {"daemon.log", "zygote.log"} <= set(found["internal"])
    assert set(state.list_logs(glob_filter="*.err")) == {"worker_err"}
    assert state.list_logs(glob_filter="nothing*") == {}
    node = sundog.get_runtime_context().get_node_id()
    assert state.list_logs(node_id=node, node_ip="127.0.0.1") == state.list_logs()
    with pytest.raises(ValueError, match=f"runs on node {node} only"):
        state.list_logs(node_id="ff" * 16)
    with pytest.raises(ValueError, match="on this machine only"):
        state.list_logs(node_ip="192.0.2.1")


def test_a_log_is_found_by_file_task_actor_and_process(session: None) -> None:
    ref = say.remote("hello")
    pid = sundog.get(ref)
    assert text(filename=f"worker-{pid}.out") == "hello\n"
    assert text(task_id=ref.hex()[:32]) == text(pid=pid) == "hello\n"
    assert text(pid=pid, suffix="err") == "to stderr\n"
    speaker = Speaker.remote()
    sundog.get(speaker.say.remote("I am"))
    (actor,) = state.list_actors()
    assert text(actor_id=actor.actor_id, tail=1) == "I am\n"  # its process may have run say()
    assert "daemon starts" in text(filename="daemon.log")
    del speaker


def test_a_task_reads_the_logs_of_its_session(session: None) -> None:
    @sundog.remote
    def look() -> str:
        return "".join(state.get_log(filename="daemon.log"))

    assert "daemon starts" in sundog.get(look.remote())


def test_tail_takes_so_many_lines_from_the_end(session: None) -> None:
    path = logs_folder() / "mine.log"
    path.write_text("".join(f"{i:06}\n" for i in range(30_000)))  # several pieces
    assert text(filename="mine.log", tail=2) == "029998\n029999\n"
    assert text(filename="mine.log", tail=20_000).startswith("010000\n")
    assert text(filename="mine.log", tail=30_000) == text(filename="mine.log") == path.read_text()
    assert text(filename="mine.log", tail=99_999) == path.read_text()
    assert text(filename="mine.log", tail=0) == ""
    path.write_text("one\n\nthree")
    assert text(filename="mine.log", tail=1) == "three"
    assert text(filename="mine.log", tail=2) == "\nthree"


def test_pieces_are_whole_characters_without_escapes_if_asked(session: None) -> None:
    path = logs_folder() / "mine.log"
    path.write_text("a" + "ä" * 60_000 + "\x1b[31mred\x1b[0m")
    pieces = list(state.get_log(filename="mine.log"))
    assert len(pieces) > 1 and "".join(pieces) == path.read_text()
    plain = text(filename="mine.log", filter_ansi_code=True)
    assert plain == "a" + "ä" * 60_000 + "red"
    path.write_bytes(b"x" * (64 * 1024 - 3) + b"\x1b[31mred")  # a sequence in two pieces
    assert text(filename="mine.log", filter_ansi_code=True) == "x" * (64 * 1024 - 3) + "red"
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        text(filename="mine.log")
    assert text(filename="mine.log", errors="replace") == "\ufffd"
    assert list(state.get_log(filename="mine.log", encoding=None)) == [b"\xff"]


def test_only_files_of_the_logs_folder_are_read(session: None, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (logs_folder() / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(logs_folder() / "pipe")
    (logs_folder() / "folder").mkdir()
    assert not {"link", "pipe", "folder"} & {n for v in state.list_logs().values() for n in v}
    for name in ("../zygote.config", "/etc/passwd", "..", "", "a\0b", "logs/../daemon.log"):
        with pytest.raises(ValueError, match="without a folder"):
            state.get_log(filename=name)
    for name in ("link", "pipe", "folder", "nothing"):
        with pytest.raises(state.StateError):
            state.get_log(filename=name)
    with pytest.raises(state.StateError, match=r"did you mean 'daemon.log'\?"):
        state.get_log(filename="deamon.log")


def test_wrong_questions_say_what_is_wrong(session: None) -> None:
    with pytest.raises(ValueError, match=r"wants one of filename, .* got none of them"):
        state.get_log()
    with pytest.raises(ValueError, match="got filename and pid"):
        state.get_log(filename="a", pid=1)
    with pytest.raises(ValueError, match="suffix is 'out' or 'err', got 'log'"):
        state.get_log(pid=1, suffix="log")
    with pytest.raises(ValueError, match="number of lines, or -1 for all, got -2"):
        state.get_log(pid=1, tail=-2)
    with pytest.raises(ValueError, match="leave out submission_id"):
        state.get_log(submission_id="raysubmit_1")
    with pytest.raises(state.StateError, match=f"knows no task {'ab' * 16}"):
        state.get_log(task_id="ab" * 16)
    with pytest.raises(state.StateError, match="knows no task not hexadecimal"):
        state.get_log(task_id="not hexadecimal")
    with pytest.raises(state.StateError, match="knows no actor"):
        state.get_log(actor_id="ab" * 20)
    ref = say.remote("hello")
    sundog.get(ref)
    with pytest.raises(state.StateError, match="attempt 3"):
        state.get_log(task_id=ref.hex()[:32], attempt_number=3)


def test_following_goes_on_until_it_is_closed_or_the_session_ends(session: None) -> None:
    path = logs_folder() / "mine.log"
    path.write_text("one\n")
    following = state.get_log(filename="mine.log", follow=True, tail=1, _interval=0.01)
    assert next(following) == "one\n"
    with path.open("a") as file:
        file.write("two\n")
    assert next(following) == "two\n"
    following.close()
    following = state.get_log(filename="mine.log", follow=True, _interval=0.01)
    assert next(following) == "one\ntwo\n"
    sundog.shutdown()
    assert list(following) == []


def test_the_command_lists_shows_and_refuses(session: None) -> None:
    pid = sundog.get(say.remote("hello", "world"))
    name = sundog.get_runtime_context().get_session_name()
    listed = command().stdout.splitlines()
    assert listed[-1].startswith(f"{len(listed) - 1} logs of session {name}, in ")
    assert f"worker-{pid}.out" in " ".join(listed)
    assert [line.split()[1] for line in command("zyg*").stdout.splitlines()[:-1]] == ["zygote.log"]
    assert command(f"worker-{pid}.out").stdout == "hello\nworld\n"
    assert command("worker", "--pid", str(pid), "--tail", "1").stdout == "world\n"
    assert command("worker", "--pid", str(pid), "--err").stdout == "to stderr\n"
    for words, said in {
        ("worker",): "logs worker wants --pid: sundog list workers shows them",
        ("task", "--id"): "--id wants a value",
        ("../zygote.config",): "without a folder",
        ("daemon.log", "--tail", "x"): "--tail wants a number of lines",
        ("daemon.log", "--pid", "1"): "follow actor, task or worker",
        ("--session", "none"): "no session none of this user is on this machine",
    }.items():
        done = command(*words)
        assert (done.returncode, said in done.stderr) == (2, True), (words, done)
    done = command("nothing.log")
    assert done.returncode == 1 and "has no log 'nothing.log'" in done.stderr


def test_the_command_shows_the_logs_of_a_session_that_ended(session: None) -> None:
    pid = sundog.get(say.remote("hello"))
    name = sundog.get_runtime_context().get_session_name()
    sundog.shutdown()
    assert command("--session", name, f"worker-{pid}.out").stdout == "hello\n"
    os.utime(Path(os.environ["SUNDOG_HOME"], "sessions", name), (2e9, 2e9))
    done = command(f"worker-{pid}.out")
    assert done.stdout == "hello\n"
    assert done.stderr == f"sundog: no session runs; these are the logs of {name}\n"


def test_the_command_follows_until_ctrl_c(session: None) -> None:
    path = logs_folder() / "mine.log"
    path.write_text("one\n")
    with subprocess.Popen(
        [sys.executable, "-m", "sundog", "logs", "mine.log", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "one\n"
        with path.open("a") as file:
            file.write("two\n")
        assert follower.stdout.readline() == "two\n"
        follower.send_signal(signal.SIGINT)
        until(lambda: follower.poll() is not None, "it ends")
    assert follower.returncode == 0
