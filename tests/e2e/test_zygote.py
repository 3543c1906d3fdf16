"""The zygote alone: a socket pair in place of the daemon, a small module in place of the worker."""

import array
import contextlib
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import until

ZYGOTE = Path(__file__).parents[2] / "python" / "sundog" / "_zygote_start.py"
PACKET_BYTES_MAX = 64 * 1024
PATIENCE_S = 20  # a stuck test fails after this long

WORKER = """
import os, sys
def prepare():
    pass
def main(control_fd, job, runtime_env, token):
    import socket
    control = socket.socket(fileno=control_fd)
    while True:
        code = control.recv(65536).decode()
        if not code:
            return
        names = {"os": os, "sys": sys, "args": (job, runtime_env, token)}
        control.send(repr(eval(code, names)).encode())
"""


def fds_of(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors of a packet."""
    fds = array.array("i")
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


class Worker:
    """A forked worker as the daemon sees it."""

    def __init__(self, pid: int, pidfd: int, control: socket.socket, out: int, err: int) -> None:
        """Takes over all descriptors."""
        self.pid, self.pidfd, self.control, self.out, self.err = pid, pidfd, control, out, err

    def ask(self, code: str) -> object:
        """Evaluates an expression in the worker."""
        self.control.send(code.encode())
        return eval(self.control.recv(PACKET_BYTES_MAX), {})

    def ended(self) -> bool:
        """Waits until the process is gone."""
        return bool(select.select([self.pidfd], [], [], PATIENCE_S)[0])

    def close(self) -> None:
        """Closes what is ours."""
        self.control.close()
        for fd in (self.pidfd, self.out, self.err):
            os.close(fd)


class Daemon:
    """The daemon's side of the zygote's socket."""

    def __init__(self, folder: Path, **config: object) -> None:
        """Starts a zygote whose ``sundog._worker`` is the module above."""
        package = folder / "sundog"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "_worker.py").write_text(WORKER)
        (package / "_threads.py").symlink_to(ZYGOTE.parent / "_threads.py")
        for extension in ZYGOTE.parent.glob("_core.*.so"):
            (package / extension.name).symlink_to(extension)
        self.socket_path = folder / "session.sock"
        self.socket_path.write_text("")
        settings = {"sys_path": [str(folder), *sys.path], "socket": str(self.socket_path)}
        path = folder / "zygote.config"
        path.write_bytes(marshal.dumps(settings | config))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE_S)
        self.control = ours
        self.process = subprocess.Popen(
            [sys.executable, "-c", SPAWNER, str(theirs.fileno()), str(ZYGOTE), str(path)],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.token = 0
        self.workers: list[Worker] = []

    def packet(self) -> tuple[list[str], list[int]]:
        """The zygote's next packet."""
        data, ancillary, _, _ = self.control.recvmsg(PACKET_BYTES_MAX, 256)
        return data.decode().split("\n"), fds_of(ancillary)

    def await_stage(self, number: int) -> None:
        """Waits until a stage of the warm-up is done."""
        while (fields := self.packet()[0]) != ["stage", str(number)]:
            assert fields[0] in ("stage", "forked")

    def fork(self, *environment: str) -> Worker:
        """Asks for one worker and waits for it."""
        self.token += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE_S)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        text = "\n".join(["fork", str(self.token), "7", "99", *environment])
        socket.send_fds(self.control, [text.encode()], [theirs.fileno(), out_write, err_write])
        theirs.close()
        os.close(out_write)
        os.close(err_write)
        fields, fds = self.packet()
        while fields[0] == "stage":
            fields, fds = self.packet()
        assert fields[:2] == ["forked", str(self.token)], fields
        worker = Worker(int(fields[2]), fds[0], ours, out_read, err_read)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        """Ends the zygote by hanging up; its guard ends the workers."""
        self.control.close()
        self.process.wait(PATIENCE_S)
        for worker in self.workers:
            worker.close()


# The tests' process is not the workers' new parent: this one is, as the daemon would be. It ends
# when the zygote does.
SPAWNER = """
import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
control, zygote, config = int(sys.argv[1]), sys.argv[2], sys.argv[3]
pid = os.fork()
if pid == 0:
    if control != 3:
        os.dup2(control, 3)
        os.close(control)
    os.execv(sys.executable, [sys.executable, "-S", "-E", zygote, config])
os.close(control)
while True:
    ended, status = os.wait()
    if ended == pid:
        break
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
os._exit(0)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A zygote without a second stage."""
    with contextlib.closing(Daemon(tmp_path)) as started:
        yield started


def test_a_worker_gets_its_job_its_environment_and_its_name(daemon: Daemon) -> None:
    worker = daemon.fork("CUDA_VISIBLE_DEVICES=1", "EMPTY=")
    assert worker.ask("args") == (7, 99, 1)
    assert worker.ask("os.environ['CUDA_VISIBLE_DEVICES'], os.environ['EMPTY']") == ("1", "")
    assert worker.ask("os.getpid()") == worker.pid
    assert worker.ask("os.environ['OMP_NUM_THREADS']") == "1"
    assert worker.ask("hasattr(sys.modules['__main__'], 'Zygote')") is False


def test_a_worker_leads_its_own_session_and_the_daemon_is_its_parent(daemon: Daemon) -> None:
    worker = daemon.fork()
    assert worker.ask("(os.getsid(0), os.getpgid(0))") == (worker.pid, worker.pid)
    assert worker.ask("os.getppid()") == daemon.process.pid


def test_output_arrives_line_by_line(daemon: Daemon) -> None:
    worker = daemon.fork()
    worker.ask("(print('to stdout'), print('to stderr', file=sys.stderr))")
    assert os.read(worker.out, 100) == b"to stdout\n"
    assert os.read(worker.err, 100) == b"to stderr\n"


def test_a_worker_holds_only_its_own_descriptors(daemon: Daemon) -> None:
    daemon.fork()
    worker = daemon.fork()
    # 0, 1, 2, its control socket, and the folder being listed
    assert len(worker.ask("os.listdir('/proc/self/fd')")) == 5  # type: ignore[arg-type]


def test_random_states_differ_between_workers(tmp_path: Path) -> None:
    with contextlib.closing(Daemon(tmp_path, numpy=True)) as daemon:
        daemon.await_stage(2)
        workers = [daemon.fork() for _ in range(8)]
        for code in (
            "__import__('random').random()",
            "__import__('numpy').random.rand()",
            "__import__('uuid').uuid4().hex",
        ):
            assert len({worker.ask(code) for worker in workers}) == 8
        threads = "len(os.listdir('/proc/self/task'))"
        assert all(worker.ask(threads) == 1 for worker in workers)
        assert workers[0].ask("'numpy' in sys.modules") is True


def test_the_first_workers_do_not_wait_for_numpy(tmp_path: Path) -> None:
    with contextlib.closing(Daemon(tmp_path, numpy=True)) as daemon:
        worker = daemon.fork()
        assert worker.ask("'numpy' in sys.modules") is False


def test_a_preloaded_module_with_threads_is_not_forked(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    with contextlib.closing(Daemon(tmp_path, preload=["threaded"])) as daemon:
        daemon.await_stage(1)
        daemon.await_stage(1)  # it started over
        worker = daemon.fork()
        assert worker.ask("'threaded' in sys.modules") is False
        assert worker.ask("len(os.listdir('/proc/self/task'))") == 1


def test_the_guard_ends_groups_and_unlinks_the_socket_when_the_daemon_is_gone(
    tmp_path: Path,
) -> None:
    daemon = Daemon(tmp_path)
    worker = daemon.fork()
    grandchild = worker.ask("__import__('subprocess').Popen(['sleep', '1000']).pid")
    assert isinstance(grandchild, int)
    pidfd = os.pidfd_open(grandchild)
    daemon.control.close()  # what the zygote sees when the daemon is killed
    assert worker.ended()
    assert select.select([pidfd], [], [], PATIENCE_S)[0]
    os.close(pidfd)
    daemon.process.wait(PATIENCE_S)
    assert not daemon.socket_path.exists()
    worker.close()


def test_the_guard_does_not_wait_for_an_import(tmp_path: Path) -> None:
    mark = tmp_path / "importing"
    (tmp_path / "endless.py").write_text(
        f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(1000)\n"
    )
    daemon = Daemon(tmp_path, preload=["endless"])
    daemon.await_stage(1)
    until(mark.exists, "the module is being imported")
    daemon.control.send(b"ended\n1")  # a packet is no reason to end, and is not lost
    assert daemon.process.poll() is None
    daemon.control.close()
    daemon.process.wait(PATIENCE_S)
    assert not daemon.socket_path.exists()


def test_a_group_that_ended_is_not_killed_later(daemon: Daemon) -> None:
    worker = daemon.fork()
    worker.control.send(b"os._exit(3)")
    assert worker.ended()
    daemon.control.send(f"ended\n{worker.pid}".encode())
    assert daemon.fork().ask("1 + 1") == 2


def test_a_worker_dies_with_its_parent_even_without_the_guard(daemon: Daemon) -> None:
    worker = daemon.fork()
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    zygote = int(children.read_text().split()[0])
    os.kill(zygote, signal.SIGSTOP)
    daemon.process.kill()
    assert worker.ended()
    os.kill(zygote, signal.SIGKILL)


def test_an_exception_in_the_worker_ends_it_with_a_traceback(daemon: Daemon) -> None:
    worker = daemon.fork()
    worker.control.send(b"1 / 0")
    assert worker.ended()
    with open(worker.err, "rb", closefd=False) as err:
        assert b"ZeroDivisionError" in err.read()


def test_an_unknown_packet_is_survived(daemon: Daemon) -> None:
    daemon.control.send(b"nonsense")
    assert daemon.fork().ask("2 + 2") == 4
