"""The zygote: a warm, single-threaded interpreter that forks workers in a millisecond or two.

Started by the daemon as ``python -S -E _zygote_start.py CONFIG`` with a SOCK_SEQPACKET socket as
descriptor 3 (docs/design/0001-walls.md gives the packets). It never talks to a driver, never runs
user code but the modules that ``preload`` names, and never starts a thread. When the daemon is
gone it kills the process groups it forked, unlinks the session's socket and exits.

Only modules that cost next to nothing are imported at the top: the first worker waits for them.
"""

from __future__ import annotations

import _socket
import functools
import gc
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal  # which does not import enum

CONTROL_FD = 3
PACKET_BYTES_MAX = 64 * 1024
FDS_PER_FORK = 3  # control, stdout, stderr
OURS = ("sundog", "cloudpickle")
GPUS = ("CUDA_VISIBLE_DEVICES",)  # of the session, whose GPUs are counted in these names
# What all workers of a program have: set before the fork, so that it costs no page of theirs.
SHARED = ("SUNDOG_SESSION", "SUNDOG_ADDRESS", "SUNDOG_DRIVER")
HEAD_START_MS = 50  # of the first workers, before everything else is imported
ENTERED = "--entered"  # the interpreter is the environment's own


def load_config(path: str) -> dict[str, object]:
    """Reads the driver's description of itself; every key is optional.

    ``sys_path`` (list), ``prefixes`` (names of ``sys`` to their values), ``argv`` (list), ``cwd``,
    ``dont_write_bytecode``, ``import_lines`` (what ``.pth`` files run), ``numpy`` and ``asyncio``
    (the driver has them), ``preload`` (module names), ``modules`` (stage 1, in place of ours),
    ``socket`` (path). Of a runtime environment's zygote: ``exec`` (the interpreter's command, if it
    is another one or has other variables), ``environment`` (those), ``preload_first`` (module
    names), ``setup_hook``, ``runtime_env`` (JSON), ``daemon`` (its pid), ``packages`` (the folder
    of its virtual environment), and what of ``sys_path``, ``cwd`` and ``prefixes`` is the
    environment's own (``front_path``, ``site_path``, ``own_cwd``, ``own_prefixes``).
    """
    import marshal  # built in: json would cost the first worker six milliseconds

    with open(path, "rb") as file:
        config = marshal.load(file)
    if not isinstance(config, dict):
        raise TypeError(f"the zygote's configuration {path} is not a JSON object")
    return config


def strings(config: dict[str, object], key: str) -> list[str]:
    """The list of strings under ``key``; empty if it is absent."""
    value = config.get(key)
    return [str(item) for item in value] if isinstance(value, list) else []


def begin_anew(config: dict[str, object], arguments: list[str]) -> None:
    """Becomes the environment's own interpreter, whose variables were there from the start."""
    command = strings(config, "exec")
    if not command or ENTERED in arguments:
        return
    variables = config.get("environment")
    if isinstance(variables, dict):
        os.environ.update(variables)
    os.set_inheritable(CONTROL_FD, True)
    rest = [] if len(command) > 1 else ["-S", "-E"]  # a command with arguments has its own
    folder = config.get("cwd")
    if isinstance(folder, str) and os.path.isdir(folder):
        os.chdir(folder)  # the command may lie there
    try:
        os.execvp(command[0], [*command, *rest, __file__, *arguments, ENTERED])
    except OSError as error:
        complain(f"cannot start {command[0]}: {error.strerror}")
        os._exit(1)


def hold_packages(config: dict[str, object], arguments: list[str]) -> None:
    """Holds the lock of the packages that the environment has, as all workers will: they stay."""
    folder = config.get("packages")
    if not isinstance(folder, str) or ENTERED in arguments:
        return
    import fcntl

    path = f"{folder}.lock"
    try:
        lock = os.open(path, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_SH)
        whole = os.path.samestat(os.fstat(lock), os.stat(path))
        os.stat(os.path.join(folder, "ready"))
    except OSError:
        whole = False
    if not whole:
        complain(f"somebody removed the packages of this environment, {folder}: it is set up anew")
        os._exit(1)
    os.set_inheritable(lock, True)


def become_the_driver(config: dict[str, object]) -> None:
    """Makes this interpreter look like the driver's: its paths, prefixes, folder and finders."""
    if config.get("dont_write_bytecode"):
        sys.dont_write_bytecode = True
    path = strings(config, "sys_path")
    if path:
        sys.path[:] = path
    prefixes = config.get("prefixes")
    if isinstance(prefixes, dict):
        for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix"):
            if name in prefixes:
                setattr(sys, name, str(prefixes[name]))
    if "argv" in config:
        sys.argv[:] = strings(config, "argv")
    if isinstance(config.get("cwd"), str):
        try:
            os.chdir(str(config["cwd"]))
        except OSError as error:
            complain(f"cannot enter the driver's folder: {error}")
    for line in strings(config, "import_lines"):
        try:
            exec(line, {"__name__": "sundog._pth"})
        except Exception as error:
            complain(f"a line of a .pth file failed: {line!r}: {error}")


def become_another_driver(old: dict[str, object], path: str) -> None:
    """Makes a worker look like a program that joined the session, which ``path`` describes."""
    config = load_config(path)
    gone = set(strings(old, "sys_path")) - set(strings(config, "sys_path"))
    # What was imported ahead from folders that this program does not have is none of its modules.
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if os.path.dirname(file) in gone and name.partition(".")[0] not in OURS:
            del sys.modules[name]
    environment = config.get("environment")
    if isinstance(environment, dict):
        kept = {name: os.environ[name] for name in GPUS if name in os.environ}
        os.environ.clear()
        os.environ.update(environment)
        os.environ.update(kept)
    if isinstance(config.get("umask"), int):
        os.umask(int(str(config["umask"])))
    become_the_driver(config)


def hide_main() -> None:
    """Gives programs an empty ``__main__``: this file is none of their business."""
    sys.modules["sundog._zygote"] = sys.modules["__main__"]
    sys.modules["__main__"] = type(sys)("__main__")


def complain(text: str) -> None:
    """Writes one line to the zygote's log."""
    sys.stderr.write(f"sundog zygote: {text}\n")
    sys.stderr.flush()


def import_quietly(name: str) -> bool:
    """Imports a module; a failure is the worker's to meet again, with the user's traceback."""
    try:
        __import__(name)
        return True
    except (Exception, SystemExit) as error:
        complain(f"cannot import {name} ahead of time: {type(error).__name__}: {error}")
        return False


def import_numpy() -> None:
    """Imports numpy with its BLAS held to one thread, so that this process keeps one."""
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        if import_quietly("numpy"):
            import_quietly("numpy.random")
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before


def thread_count() -> int:
    """How many threads this process has, as the kernel sees it."""
    return len(os.listdir("/proc/self/task"))


def reseed() -> None:
    """Gives this process random states of its own; ``uuid4`` and ``secrets`` need nothing."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "torch" in modules:
        modules["torch"].manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
    if "uuid" in modules and getattr(modules["uuid"], "_last_timestamp", None) is not None:
        modules["uuid"]._last_timestamp = None  # type: ignore[attr-defined]


def show_gpus(numbers: str | None) -> None:
    """Lets this process see those of the driver's GPUs that it was given, before user imports."""
    if not numbers:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else []
    shown = [int(number) for number in numbers.split(",")]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(
        names[i].strip() if i < len(names) else str(i) for i in shown
    )


def keep_environment(config: dict[str, object]) -> None:
    """A runtime environment stays as it is, whichever program a worker is to look like."""
    if "runtime_env" not in config:
        return
    variables, prefixes = config.get("environment"), config.get("own_prefixes")
    if isinstance(variables, dict):
        os.environ.update(variables)
    if isinstance(prefixes, dict):
        for name, prefix in prefixes.items():
            setattr(sys, name, prefix)
    ends = ("site-packages", "dist-packages")
    at = next((i for i, entry in enumerate(sys.path) if entry.endswith(ends)), len(sys.path))
    sys.path[at:at] = strings(config, "site_path")
    sys.path[:0] = strings(config, "front_path")
    if isinstance(config.get("own_cwd"), str):
        os.chdir(str(config["own_cwd"]))


def programs_beside(socket: str) -> list[str]:
    """The files in which programs that joined the session describe themselves."""
    folder, name = os.path.split(socket)
    try:
        return [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(f"{name}.")]
    except OSError:
        return []


def prepare_workers() -> None:
    """Output, signals and threads of all workers, before the first is forked."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hold_threads()
    if "sundog._worker" in sys.modules:  # else the worker meets the same error, and shows it
        sys.modules["sundog._worker"].prepare()


def hold_threads(again: bool = False) -> None:
    """Numeric libraries have one thread; ``again``: those that were loaded since, too."""
    if "sundog._worker" not in sys.modules:
        return
    from sundog import _threads

    if again:
        _threads.begin_loaded()
    else:
        _threads.begin()


class ForkRequest:
    """One ``fork`` packet: what the worker serves, and the descriptors it gets."""

    def __init__(self, fields: list[str], fds: list[int]) -> None:
        """Takes the packet's fields after its name, and its descriptors."""
        self.token = int(fields[0])
        self.job = int(fields[1])
        self.runtime_env = int(fields[2])
        self.environment = dict(item.split("=", 1) for item in fields[3:] if "=" in item)
        self.control, self.stdout, self.stderr = fds


class Zygote:
    """The loop: fork on request, warm up between requests, guard the groups that were forked."""

    def __init__(self, config: dict[str, object], config_path: str, groups: set[int]) -> None:
        """Adopts descriptor 3; ``groups`` are process groups to guard from the start."""
        self.config = config
        self.config_path = config_path
        self.socket = _socket.socket(fileno=CONTROL_FD)
        own = config.get("daemon")  # py_executable may have put a process between
        self.daemon = own if isinstance(own, int) else os.getppid()
        self.groups = groups
        self.environment = dict(os.environ)  # as it was, for a zygote that starts over
        self.warm = False  # numpy and what else was asked for is imported

    # ---- packets

    def send(self, *fields: object, fds: tuple[int, ...] = ()) -> None:
        """Sends one packet to the daemon, which may be gone already."""
        data = "\n".join(str(field) for field in fields).encode("utf-8", "surrogateescape")
        control = []
        if fds:
            rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
            control = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
        try:
            self.socket.sendmsg([data], control, _socket.MSG_NOSIGNAL)
        except OSError as error:
            complain(f"the daemon does not take a {fields[0]} packet: {error}")

    def receive(self) -> tuple[list[str], list[int]] | None:
        """The next packet's fields and descriptors; None when the daemon is gone."""
        room = _socket.CMSG_SPACE(FDS_PER_FORK * 4)
        try:
            data, control, _, _ = self.socket.recvmsg(PACKET_BYTES_MAX, room)
        except ConnectionError:
            return None
        fds: list[int] = []
        for level, kind, rights in control:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                usable = len(rights) - len(rights) % 4
                fds += [
                    int.from_bytes(rights[i : i + 4], sys.byteorder) for i in range(0, usable, 4)
                ]
        if not data:
            return None
        return data.decode("utf-8", "surrogateescape").split("\n"), fds

    def pending(self, patience_ms: int) -> bool:
        """Whether a packet (or the daemon's end) waits, or comes within so many milliseconds."""
        waiter = select.poll()
        waiter.register(CONTROL_FD, select.POLLIN)
        return bool(waiter.poll(patience_ms))

    # ---- life

    def run(self, preload: bool) -> None:
        """Stage 1, then requests; stage 2 as soon as the first workers had time to begin."""
        gc.disable()  # much is made and nothing thrown away: a tenth of the time
        for name in strings(self.config, "modules") or ["sundog._worker"]:
            import_quietly(name)
        gc.enable()
        if "runtime_env" in self.config:
            import_quietly("sundog._environment")
        for name in strings(self.config, "preload_first") if preload else ():
            self.while_the_daemon_lives(functools.partial(import_quietly, name))
        if preload and strings(self.config, "preload_first") and thread_count() != 1:
            self.start_over("a preloaded module started threads")
        self.settle(1)
        # The daemon asks for the first workers before this process is up: serve them first, and
        # leave the processors to them.
        self.serve_pending(HEAD_START_MS)
        for step in [*self.rest_of_ours(), *(self.warm_up() if preload else [])]:
            self.while_the_daemon_lives(step)
            self.serve_pending()
        if preload and thread_count() != 1:
            self.start_over("a preloaded module started threads")
        self.warm = True
        self.settle(2)
        while True:
            self.serve_one()

    def while_the_daemon_lives(self, step: Callable[[], object]) -> None:
        """Imports something, which may take seconds: the daemon's end is heard by a signal
        meanwhile. No worker is forked here, so none inherits what this sets."""
        import fcntl

        quiet = fcntl.fcntl(CONTROL_FD, fcntl.F_GETFL)
        signal.signal(signal.SIGIO, lambda *_: self.look_after_the_daemon())
        fcntl.fcntl(CONTROL_FD, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(CONTROL_FD, fcntl.F_SETFL, quiet | os.O_ASYNC)
        self.look_after_the_daemon()  # its end may have come before
        try:
            step()
        finally:
            fcntl.fcntl(CONTROL_FD, fcntl.F_SETFL, quiet)
            signal.signal(signal.SIGIO, signal.SIG_DFL)

    def look_after_the_daemon(self) -> None:
        """Ends this process if the daemon is gone; leaves packets where they are."""
        waiter = select.poll()
        waiter.register(CONTROL_FD, select.POLLRDHUP)
        if waiter.poll(0):
            self.guard()

    def rest_of_ours(self) -> list[Callable[[], object]]:
        """What workers need for all but plain functions; in steps, for requests wait for each."""
        names = getattr(sys.modules.get("sundog._worker"), "NEXT", ())
        return [functools.partial(import_quietly, name) for name in names]

    def warm_up(self) -> list[Callable[[], object]]:
        """What else the driver has or asked for, one import each."""
        steps: list[Callable[[], object]] = []
        if self.config.get("numpy"):
            steps.append(import_numpy)
        if self.config.get("asyncio"):
            steps.append(functools.partial(import_quietly, "sundog._async_actor"))
        for name in strings(self.config, "preload"):
            steps.append(functools.partial(import_quietly, name))
        return steps

    def settle(self, stage: int) -> None:
        """Moves what was imported out of the collector's sight and tells the daemon."""
        if stage > 1:
            gc.collect()  # the first workers do not wait for it: little garbage, many objects
        else:
            prepare_workers()
        gc.freeze()
        self.send("stage", stage)

    def serve_pending(self, patience_ms: int = 0) -> None:
        """Serves what waits, and what comes within so many milliseconds."""
        end = time.monotonic() + patience_ms / 1000
        while self.pending(max(0, round((end - time.monotonic()) * 1000))):
            self.serve_one()

    def serve_one(self) -> None:
        """Waits for one packet and does what it says."""
        packet = self.receive()
        if packet is None:
            self.guard()
            return
        fields, fds = packet
        if fields[0] == "fork" and len(fields) >= 4 and len(fds) == FDS_PER_FORK:
            self.fork(ForkRequest(fields[1:], fds))
        elif fields[0] == "ended" and len(fields) == 2:
            self.groups.discard(int(fields[1]))
        elif fields[0] == "adopt":
            self.groups.update(int(field) for field in fields[1:] if field)
        else:
            complain(f"the daemon sent a packet that I do not know: {fields[0]!r}")
        for fd in fds:
            os.close(fd)

    def guard(self) -> None:
        """The daemon is gone: ends what it left behind, then this process."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
        socket = str(self.config.get("socket") or "")
        for path in (socket, self.config_path, *programs_beside(socket)):
            try:
                os.unlink(path)
            except OSError:
                pass
        os._exit(0)

    def start_over(self, reason: str) -> None:
        """Becomes a fresh zygote without preloading: a fork of a process with threads may hang."""
        complain(f"{reason}; going on without preloading")
        os.set_inheritable(CONTROL_FD, True)
        groups = ",".join(str(group) for group in sorted(self.groups))
        arguments = ["-S", "-E", __file__, self.config_path, "--no-preload", groups, ENTERED]
        os.execve(sys.executable, [sys.executable, *arguments], self.environment)

    # ---- forking

    def fork(self, request: ForkRequest) -> None:
        """Forks a worker whose parent is the daemon: nobody is ours to reap."""
        if thread_count() != 1:
            self.send("failed", request.token, "the zygote has more than one thread")
            return
        own = self.share_environment(request)
        joined = f"{self.config.get('socket')}.job-{request.job}"
        described = joined if os.access(joined, os.F_OK) else None
        gc.freeze()
        try:
            from sundog import _core

            worker = _core.fork_worker(
                CONTROL_FD,
                request.token,
                self.daemon,
                request.control,
                request.stdout,
                request.stderr,
            )
        except Exception as error:  # of an installation that is spoilt; we live on
            self.send("failed", request.token, f"{error}")
            return
        if worker == 0:
            self.be_worker(request, own, described)
        self.groups.add(worker)

    def share_environment(self, request: ForkRequest) -> dict[str, str]:
        """Sets the variables that this worker has like those forked before; returns the others."""
        for name in SHARED:
            value = request.environment.get(name)
            if os.environ.get(name) == value:
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        return {name: v for name, v in request.environment.items() if name not in SHARED}

    def be_worker(self, request: ForkRequest, own: dict[str, str], described: str | None) -> None:
        """Turns this process into a worker; never returns. Our sockets are closed already."""
        code = 1
        try:
            self.prepare_worker(request, own, described)
            from sundog import _worker

            _worker.main(request.control, request.job, request.runtime_env, request.token)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except (Exception, KeyboardInterrupt):
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def prepare_worker(
        self, request: ForkRequest, own: dict[str, str], described: str | None
    ) -> None:
        """Environment and random states of a new worker; what all have was there before."""
        if described is not None:
            become_another_driver(self.config, described)
            keep_environment(self.config)
            os.environ.update(request.environment)
            hold_threads()
        else:
            os.environ.update(own)
            if self.warm:
                hold_threads(again=True)
        show_gpus(request.environment.get("SUNDOG_GPUS"))
        reseed()
        gc.enable()
        runtime_env = self.config.get("runtime_env")
        if isinstance(runtime_env, str):
            from sundog import _environment  # imported before the fork

            _environment.begin(runtime_env)
            hook = self.config.get("setup_hook")
            if isinstance(hook, str) and hook:
                _environment.run_hook(hook)


def main(arguments: list[str]) -> None:
    """``CONFIG [--no-preload [GROUP,GROUP…]]``."""
    gc.disable()
    config = load_config(arguments[0])
    hold_packages(config, arguments)
    begin_anew(config, arguments)
    arguments = [argument for argument in arguments if argument != ENTERED]
    become_the_driver(config)
    hide_main()
    groups = arguments[2] if len(arguments) > 2 else ""
    zygote = Zygote(config, arguments[0], {int(g) for g in groups.split(",") if g})
    zygote.run(preload="--no-preload" not in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
