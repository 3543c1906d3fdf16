"""Starting and ending sessions."""

from __future__ import annotations

import _thread
import os
import sys

from sundog import _core, _interactive, _log, _machine, _output, _paths, _settings
from sundog._core import public
from sundog.exceptions import SundogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from sundog._context import Context
    from sundog._function import FunctionCode
    from sundog._logging_config import LoggingConfig
    from sundog.job_config import JobConfig

UNIT = 10_000
PRESTART_MAX = 64
STORE_BYTES_MIN = 1 << 20
JOB_WEIGHT_MIN, JOB_WEIGHT_MAX = 0.01, 100  # model/limits.h
INIT_OPTIONS = (
    "address",
    "num_cpus",
    "num_gpus",
    "resources",
    "object_store_memory",
    "_memory",
    "ignore_reinit_error",
    "include_dashboard",
    "logging_level",
    "logging_config",
    "logging_format",
    "configure_logging",
    "log_to_driver",
    "namespace",
    "preload",
    "cpp_worker",
    "local_mode",
    "job_weight",
    "runtime_env",
    "labels",
    "job_config",
)
# Ray's other keywords with Ray's defaults: those are accepted, for they ask for nothing; any other
# value is refused.
LATER: dict[str, object] = {
    "_driver_object_store_memory": None,
    "_enable_object_reconstruction": False,
    "_metrics_export_port": None,
    "_node_ip_address": None,
    "_node_name": None,
    "_object_spilling_directory": None,
    "_plasma_directory": None,
    "_redis_password": None,
    "_redis_username": None,
    "_system_config": None,
    "_temp_dir": None,
    "_tracing_startup_hook": None,
    "cgroup_path": None,
    "dashboard_host": "127.0.0.1",
    "dashboard_port": None,
    "enable_resource_isolation": False,
    "proxy_server_url": None,
    "system_reserved_cpu": None,
    "system_reserved_memory": None,
}

_hooks_installed = False
starts_refused = ""  # why no session may be started here now
_forked = False
_starts = _thread.allocate_lock()  # held by the thread that starts one by default
_pickles_ahead = 0  # the thread that pickles a function while its session starts
_cell_options: tuple[object, ...] = ()  # what the running session was asked for


class Plan:
    """What a session is started with."""

    __slots__ = ("cpp_worker", "cpus", "gpus", "memory", "preload", "resources", "store")

    def __init__(self, options: Mapping[str, object]) -> None:
        """Takes ``init``'s checked keywords; what is None is determined from the machine."""
        from sundog import _options

        def given(name: str, determine: Callable[[], _machine.Amount]) -> _machine.Amount:
            value = options.get(name)
            if value is None:
                return determine()
            _options.amount(name, value)
            assert isinstance(value, (int, float))
            return _machine.Amount(value, "given")

        self.cpus = given("num_cpus", _machine.cpus)
        self.gpus = given("num_gpus", _machine.gpus)
        check_visible_gpus(self.gpus)
        self.store = given("object_store_memory", _machine.store)
        if self.store.value < STORE_BYTES_MIN:
            raise ValueError(
                f"init(): object_store_memory is in bytes, at least {STORE_BYTES_MIN:,}, got "
                f"{self.store.value:,}: for 2 GB type object_store_memory=2_000_000_000"
            )
        self.memory = given("_memory", lambda: _machine.memory_beside(self.store.value))
        self.resources = _options.resource_amounts(
            {"num_cpus": 0, "resources": options.get("resources")}
        )
        if self.gpus.value:
            from sundog import _accelerators

            found = _accelerators.resources(self.gpus.value)
            self.resources = {name: round(a * UNIT) for name, a in found.items()} | self.resources
        self.preload = list_of_names("preload", options.get("preload"))
        self.cpp_worker = program("cpp_worker", options.get("cpp_worker"))

    def describe(self) -> str:
        """``4 CPUs, 0 GPUs, store 7.2 GB``."""
        cpus, gpus = self.cpus.value, self.gpus.value
        return (
            f"{cpus:g} CPU{'' if cpus == 1 else 's'}, {gpus:g} GPU{'' if gpus == 1 else 's'}, "
            f"store {self.store.value / 1e9:.1f} GB"
        )

    def arguments(self, name: str, folder: str, socket: str) -> list[str]:
        """The daemon's flags."""
        flags = [
            "--session", name, "--session-dir", folder, "--socket", socket,
            "--num-cpus", f"{self.cpus.value:g}", "--num-gpus", f"{self.gpus.value:g}",
            "--store-bytes", str(int(self.store.value)),
            "--memory-bytes", str(int(self.memory.value)),
            "--python", sys.executable,
            "--zygote", os.path.join(_paths.package_folder(), "_zygote_start.py"),
            "--zygote-config", os.path.join(folder, "zygote.config"),
        ]  # fmt: skip
        if self.cpp_worker:
            flags += ["--cpp-worker", self.cpp_worker]
        for resource, amount in self.resources.items():
            flags += ["--resource", f"{resource}={amount // UNIT}.{amount % UNIT:04d}"]
        return flags


def check_visible_gpus(asked: _machine.Amount) -> None:
    """Raises ValueError if CUDA_VISIBLE_DEVICES names some GPUs, and more are asked for: two tasks
    would be given the same one. Where it names none they are pretended."""
    visible = _machine.visible_gpus()
    if visible and asked.value > len(visible):
        what = "num_gpus" if asked.reason == "given" else asked.reason
        raise ValueError(
            f"init(): {what} is {asked.value:g}, and CUDA_VISIBLE_DEVICES={','.join(visible)} "
            f"names {len(visible)}: ask for at most that many, or name more"
        )


def program(option: str, value: object) -> str:
    """The absolute path of a program; empty if there is none.

    Raises TypeError or ValueError that names the option.
    """
    if value is None:
        return ""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"init(): {option} is the path of a program, got {value!r}")
    path = os.path.abspath(os.fspath(value))
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise ValueError(f"init(): {option} is {value}, which is no program that can be started")
    return path


def list_of_names(option: str, value: object) -> list[str]:
    """A list of module names."""
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise TypeError(f"{option} is a list of module names, got {value!r}")
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"{option} is a list of module names, got {name!r} in it")
    return list(value)


def describe_driver() -> dict[str, object]:
    """This process, for those that are to look like it."""
    path = [entry if entry else os.getcwd() for entry in sys.path]
    return {
        "sys_path": path,
        "prefixes": {
            name: getattr(sys, name)
            for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix")
        },
        "argv": sys.argv,
        "cwd": os.getcwd(),
        "dont_write_bytecode": sys.dont_write_bytecode,
        "import_lines": pth_import_lines(path),
        "python": list(sys.version_info[:2]),
    }


def write_zygote_config(folder: str, socket: str, preload: Iterable[str]) -> None:
    """Describes this process to the one that forks workers."""
    config = describe_driver() | {
        "numpy": "numpy" in sys.modules,
        "asyncio": "asyncio" in sys.modules,
        "preload": list(preload),
        "socket": socket,
    }
    import marshal  # built in: the module json costs 10 ms, and the daemon waits for this file

    with open(os.path.join(folder, "zygote.config"), "wb") as file:
        marshal.dump(config, file)


def pth_import_lines(path: Iterable[str]) -> list[str]:
    """Lines of ``.pth`` files that installed finders (editable installs); none if none did."""
    builtin = {"BuiltinImporter", "FrozenImporter", "PathFinder", "DistutilsMetaFinder"}
    builtin.add("AbsentModules")  # of compat/ray: it finds nothing
    names = {getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path}
    if names <= builtin:
        return []
    lines = []
    for folder in path:
        if not folder.endswith(("site-packages", "dist-packages")):
            continue
        try:
            files = sorted(name for name in os.listdir(folder) if name.endswith(".pth"))
        except OSError:
            continue
        for name in files:
            text = _machine.read(os.path.join(folder, name))
            lines += [line for line in text.splitlines() if line.startswith("import ")]
    return lines


def install_hooks() -> None:
    """At exit and at fork; once a process."""
    global _hooks_installed
    if _hooks_installed:
        return
    _hooks_installed = True
    import atexit

    atexit.register(end)
    os.register_at_fork(
        before=_core.before_fork,
        after_in_parent=_core.after_fork_in_parent,
        after_in_child=after_fork_in_child,
    )


def after_fork_in_child() -> None:
    """This process is no client: its parent's session goes on without it."""
    global _forked, _starts
    _starts = _thread.allocate_lock()  # its holder is not here
    if _core.current_session() is not None:
        _forked = True
        _core.after_fork_in_child()
        _output.forget()
        if "sundog._bars" in sys.modules:
            sys.modules["sundog._bars"].forget()
        if "sundog._future" in sys.modules:
            sys.modules["sundog._future"].forget()


def entry_point() -> str:
    """The command line of the program, for people; a long one is cut."""
    words = [(sys.argv[0] if sys.argv else "") or "-c", *sys.argv[1:]]
    line = " ".join(w if w and not any(c.isspace() for c in w) else repr(w) for w in words)
    return line.encode("utf-8", "replace").decode()  # a word may be no text


def prepare_first_call(code: FunctionCode | None) -> None:
    """While the daemon starts: what the first call of a remote function would wait for. ``code`` is
    its, if that call starts the session."""
    try:
        from sundog import _cloudpickle, _logs, _pickling  # noqa: F401
    except ImportError:  # that call says so
        return
    if code is not None:
        global _pickles_ahead
        _pickles_ahead = _thread.get_ident()
        try:
            code.pickle_ahead()
        finally:
            _pickles_ahead = 0
    else:
        import dis  # noqa: F401  # cloudpickle looks through functions with it
        import linecache  # noqa: F401


def start(
    options: Mapping[str, object], explain: bool, code: FunctionCode | None = None
) -> _core.Session:
    """Starts a daemon and a session; ``explain`` says how the defaults came about; ``code`` is of
    the function whose call starts it."""
    if starts_refused:
        raise RuntimeError(starts_refused)
    options = {name: _settings.given(name, value) for name, value in options.items()}
    plan = Plan(options)
    daemon = _paths.daemon()
    name, folder, socket = _paths.new_session()
    write_zygote_config(folder, socket, plan.preload)
    if options.get("labels"):
        from sundog import _strategy

        _strategy.write(folder, options["labels"])  # type: ignore[arg-type]
    local = bool(options.get("local_mode"))
    prestart = 0 if local else min(max(1, int(plan.cpus.value)), PRESTART_MAX)
    environment = options.get("runtime_env")
    try:
        session = _core.connect(
            daemon,
            plan.arguments(name, folder, socket),
            0 if environment else prestart,
            entry_point(),
            "",
            str(options.get("namespace", "")),
            checked_weight(options.get("job_weight")),
            meanwhile=lambda: prepare_first_call(code),
        )
    except SundogError as error:
        from sundog import _doctor

        error.args = (_doctor.with_what_is_wrong(str(error)),)
        raise
    opened(options.get("log_to_driver") is not False)
    begin_environment(session, environment, prestart)
    text = f"session {session.name}: {plan.describe()}"
    if local:
        from sundog import _local

        _local.begin(str(session.info()["namespace"]))
        text += "; local mode: tasks and actors run in this process, one after the other"
    if explain:
        text += f" (CPUs: {plan.cpus.reason}; store: {plan.store.reason})"
    _log.info(text)
    return session


def begin_environment(session: _core.Session, asked: object, prestart: int) -> None:
    """The job's runtime environment, if it has one."""
    if not asked:
        return
    from sundog import _environment

    assert isinstance(asked, dict)
    try:
        _environment.begin_job(session, asked, prestart)
    except BaseException:
        end()
        raise


def namespace_of(given: str | None) -> str:
    """What ``init`` or SUNDOG_NAMESPACE was told; empty if neither was told anything."""
    given = _settings.given("namespace", given)
    if given is None:
        return ""
    from sundog import _actor_options

    return _actor_options.checked_namespace(given) or ""


def checked_weight(value: object) -> float:
    """``job_weight``; 1 if neither ``init`` nor SUNDOG_JOB_WEIGHT was told one."""
    value = _settings.given("job_weight", value)
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"init(): job_weight is a number, got {value!r}")
    if not JOB_WEIGHT_MIN <= value <= JOB_WEIGHT_MAX:
        raise ValueError(
            f"init(): job_weight is a number from {JOB_WEIGHT_MIN} to {JOB_WEIGHT_MAX}, got "
            f"{value!r}: a program of weight 2 gets twice the CPU time of one of weight 1 while "
            "both have tasks waiting"
        )
    return float(value)


def join(
    address: str, print_output: bool, namespace: str = "", job_weight: float = 1.0
) -> _core.Session:
    """Joins a running session of this user."""
    from sundog import _join

    session = _join.connect(address, namespace, job_weight)
    opened(print_output)
    _log.info(f"session {session.name}: joined")
    return session


def opened(print_output: bool) -> None:
    """What follows a connection."""
    global _forked
    _forked = False
    install_hooks()
    _output.start(print_output)
    _interactive.opened()


def end() -> None:
    """Ends the current session, if there is one and it is this process's own."""
    global _cell_options
    session = _core.current_session()
    if session is None or _forked or session.is_worker:
        return
    from sundog import _explain

    try:
        session.query(_explain.OUTPUT)  # what tasks printed comes before the end
    except Exception:  # the session is broken already
        pass
    session.close()
    _cell_options = ()
    if "sundog._environment" in sys.modules:
        sys.modules["sundog._environment"].forget()
    if "sundog._future" in sys.modules:
        sys.modules["sundog._future"].end()
    if "sundog._local" in sys.modules:
        sys.modules["sundog._local"].end()
    if "sundog._bars" in sys.modules:
        sys.modules["sundog._bars"].end()
    if "sundog.util.metrics" in sys.modules:
        sys.modules["sundog.util.metrics"].end()
    _output.stop()
    _log.set_level(_log.INFO)
    if "sundog._logging_setup" in sys.modules:
        sys.modules["sundog._logging_setup"].end()


def start_by_default(callee: object = None) -> None:
    """The first use of a session without ``init``; ``callee`` is what is called, if it is that."""
    if _pickles_ahead == _thread.get_ident():
        # The function is pickled again once the session is there.
        raise RuntimeError("a value uses the session that is being started when it is pickled")
    with _starts:  # threads may make their first calls at once
        if _core.current_session() is None:
            start_session(callee)


def start_session(callee: object) -> None:
    """Starts or joins one as the environment says."""
    _log.set_level(_log.level_of(_settings.given("logging_level", None) or "info"))
    if os.environ.get("SUNDOG_ADDRESS", "local") not in ("", "local"):
        shown = _settings.given("log_to_driver", None) is not False
        join(os.environ["SUNDOG_ADDRESS"], shown, namespace_of(None), checked_weight(None))
        return
    unsaid = dict.fromkeys(("log_to_driver", "preload", "cpp_worker", "job_weight"))
    code: FunctionCode | None = getattr(callee, "_code", None)
    try:
        start({**unsaid, "namespace": namespace_of(None)}, explain=False, code=code)
    except BaseException:
        if code is not None:
            code.take_ahead(())  # a later call is of the function as it is then
        raise


def check_options(options: Mapping[str, object]) -> None:
    """Raises for what ``init`` does not have."""
    from sundog import _options

    for name, value in options.items():
        if name in LATER:
            if _options.asks_for_nothing(value, LATER[name]):
                continue
            raise ValueError(f"init(): '{name}' is not in this version: leave it out")
        raise ValueError(f"init() has no '{name}'{_options.did_you_mean(name, INIT_OPTIONS)}")


def checked_environment(asked: object, local_mode: bool) -> dict[str, object] | None:
    """``init``'s runtime_env."""
    if asked is None:
        return None
    from sundog._environment_checks import checked

    environment = checked(asked)
    if environment and local_mode:
        raise ValueError(
            "init(): runtime_env is for workers, and local_mode has none: set up this process"
        )
    return environment


@public
def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    object_store_memory: int | None = None,
    _memory: int | None = None,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    logging_level: int | str | None = None,
    logging_config: LoggingConfig | None = None,
    logging_format: str | None = None,
    configure_logging: bool = True,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    preload: Iterable[str] | None = None,
    cpp_worker: str | os.PathLike[str] | None = None,
    local_mode: bool = False,
    job_weight: float | None = None,
    runtime_env: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    job_config: JobConfig | dict[str, Any] | None = None,
    **unknown: object,
) -> Context:
    """Starts a session on this machine. Without it, the first use of Sundog starts one.

    What is not given here is taken from the environment (``sundog config`` shows every setting),
    then from the machine.

    Args:
        address: None starts a session, unless SUNDOG_ADDRESS names one; "auto" joins this user's
            newest one, which makes a forked child a client; the name of a session, or the path of
            its socket, joins that one; "local" starts one whatever SUNDOG_ADDRESS says.
        num_cpus: CPUs that tasks may use; by default SUNDOG_NUM_CPUS, else what affinity mask
            and control group allow.
        num_gpus: GPUs that tasks may use; by default SUNDOG_NUM_GPUS, else those that are visible.
        resources: custom resources and their amounts.
        object_store_memory: bytes of the object store; by default 30 % of the memory.
        _memory: bytes that tasks and actors may ask for with ``memory=``, all together; by default
            what the object store leaves of the machine's or container's memory.
        ignore_reinit_error: return the running session's description instead of raising.
        include_dashboard: None or False; there is no dashboard in this version.
        logging_level: what Sundog itself prints: "debug", "info", "warning", "error"; by default
            SUNDOG_LOGGING_LEVEL, else "info". Not used if ``configure_logging`` is False.
        logging_config: a ``sundog.LoggingConfig``: how lines of ``logging`` look here and in
            workers, until the session ends.
        logging_format: how Sundog's own lines look, here and in workers, as ``logging.Formatter``
            has it; they are of the logger "sundog".
        configure_logging: False leaves Sundog's own lines to this program's own configuration of
            the logger "sundog", whatever ``logging_level`` says.
        log_to_driver: False hides what tasks print.
        namespace: where names of actors are looked up and given; programs that join one session
            with the same namespace share them. By default this program has one of its own.
        preload: modules that workers import before they are asked for.
        cpp_worker: the program of C++ workers, for ``cpp_function`` and ``cpp_actor_class``; it is
            started as often as their tasks and actors need it.
        local_mode: True runs tasks and methods of actors in this process, where they are called,
            for a debugger.
        job_weight: this program's share of the CPUs beside other programs of the session, while
            several have tasks waiting: one of weight 2 gets twice the CPU time of one of weight 1,
            which is the default. From 0.01 to 100.
        runtime_env: what the program's workers have that this process does not, as
            ``sundog.runtime_env.RuntimeEnv`` lists it; tasks and actors may add to it.
        labels: names and values of this machine, for ``label_selector=`` of tasks and actors.
        job_config: a ``sundog.job_config.JobConfig``: namespace, runtime environment and metadata
            of this program in one object; what is given here besides goes before it.
        unknown: refused, by name.

    Returns:
        A mapping that describes the session; as a context manager it ends the session.

    Raises:
        ConnectionError: the session to join does not run.
        PermissionError: it is another user's.
        RuntimeError: a session runs already, or the one to join runs another version of Python.
        ValueError: a keyword that does not exist or is not in this version, or one that describes
            a new session where a running one is joined.
    """
    from sundog import _logging_config
    from sundog._context import Context

    check_options(unknown)
    if job_config is not None:
        from sundog.job_config import checked_config

        job_config = checked_config(job_config)
        namespace = job_config.ray_namespace if namespace is None else namespace
        runtime_env = job_config.runtime_env or None if runtime_env is None else runtime_env
    if labels is not None:
        from sundog import _strategy

        labels = _strategy.checked_labels(labels)
    if include_dashboard:
        raise ValueError("init(): include_dashboard=True is not in this version")
    space = namespace_of(namespace)
    weight = checked_weight(job_weight)
    environment = checked_environment(runtime_env, local_mode)
    level = _settings.given("logging_level", logging_level)
    logging = _logging_config.checked(logging_config, logging_format, configure_logging, level)
    session = _core.current_session()
    described = num_cpus, num_gpus, resources, object_store_memory, _memory, address, labels
    of_the_job = job_weight, runtime_env, job_config
    if session is not None and not _forked:
        if session.is_worker:
            return Context(session)
        if session.connected:
            asked = (*described, preload, cpp_worker, namespace, local_mode, *of_the_job)
            if ignore_reinit_error or is_same_cell(asked):
                _log.info(f"session {session.name} is already running")
                return Context(session)
            raise RuntimeError(
                f"session {session.name} is running already: call sundog.shutdown() first, or "
                "init(ignore_reinit_error=True)"
            )
        end()
    _logging_config.begin(logging)
    from sundog import _join

    describes = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "resources": resources,
        "object_store_memory": object_store_memory,
        "_memory": _memory,
        "preload": preload,
        "cpp_worker": cpp_worker,
        "local_mode": local_mode,
        "labels": labels,
    }
    address = _join.address_of(address, describes)
    if address is not None:
        shown = _settings.given("log_to_driver", log_to_driver) is not False
        session = join(address, shown, space, weight)
        begin_environment(session, environment, 1)
        if job_config is not None:
            job_config.keep(session)
        return Context(session)
    options = describes | {
        "log_to_driver": log_to_driver,
        "namespace": space,
        "job_weight": weight,
        "runtime_env": environment,
    }
    global _cell_options
    _cell_options = (*described, preload, cpp_worker, namespace, local_mode, *of_the_job)
    session = start(options, explain=True)
    if job_config is not None:
        job_config.keep(session)
    return Context(session)


def is_same_cell(asked: tuple[object, ...]) -> bool:
    """Whether a person ran the cell again that began the session: no reason to complain."""
    return _interactive.shell() is not None and asked == _cell_options


@public
def shutdown(*, wait_for_processes: bool = True) -> None:
    """Ends the session and its processes; does nothing without one.

    Arrays that ``get`` returned stay readable; ObjectRefs of the session do not.

    Args:
        wait_for_processes: has no meaning here, because shutdown always waits for the daemon.

    Raises:
        SundogError: this process is a worker: the session is its driver's to end.
    """
    del wait_for_processes
    session = _core.current_session()
    if session is not None and session.is_worker:
        raise SundogError(
            "a task cannot shut down the session that runs it: call shutdown() in the driver"
        )
    end()


@public
def is_initialized() -> bool:
    """Whether this process has a session."""
    session = _core.current_session()
    return session is not None and not _forked and session.connected
