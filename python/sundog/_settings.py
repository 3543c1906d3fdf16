"""Every setting in one table: for ``init``, for ``sundog config``, and for docs/settings.md.

A keyword of ``init`` comes first, then the variable of the environment, then the default. Nothing
here is kept: a variable counts when a session starts.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")


class Setting:
    """One row; what a row does not have is empty.

    keyword: of ``sundog.init``. variable: of the environment. flag: of ``sundogd``, which ``init``
    starts with it. kind: number, text, names or switch: how the variable is read; path: it is
    read elsewhere. default: in words. meaning: in one sentence.
    """

    __slots__ = ("default", "flag", "keyword", "kind", "meaning", "variable")

    def __init__(
        self, keyword: str, variable: str, flag: str, kind: str, default: str, meaning: str
    ) -> None:
        """A row of the table below."""
        self.keyword = keyword
        self.variable = variable
        self.flag = flag
        self.kind = kind
        self.default = default
        self.meaning = meaning


TABLE = (
    Setting("num_cpus", "SUNDOG_NUM_CPUS", "--num-cpus", "number",
            "CPUs of the affinity mask, or the control group's quota if that is less",
            "CPUs that tasks and actors may use"),
    Setting("num_gpus", "SUNDOG_NUM_GPUS", "--num-gpus", "number",
            "GPUs of CUDA_VISIBLE_DEVICES, else those that NVML or the driver's files tell",
            "GPUs that tasks and actors may use"),
    Setting("object_store_memory", "SUNDOG_OBJECT_STORE_MEMORY", "--store-bytes", "number",
            "30 % of the memory, or of the control group's limit",
            "bytes of the object store"),
    Setting("_memory", "", "--memory-bytes", "", "what the object store leaves of the memory",
            "bytes that tasks and actors may ask for with memory=, all together"),
    Setting("resources", "", "--resource", "", "none", "custom resources and their amounts"),
    Setting("namespace", "SUNDOG_NAMESPACE", "", "text", "one of the program's own",
            "where names of actors are given and looked up"),
    Setting("job_weight", "SUNDOG_JOB_WEIGHT", "", "factor", "1",
            "the program's share of the CPUs beside other programs of the session, as a ratio"),
    Setting("logging_level", "SUNDOG_LOGGING_LEVEL", "", "text", "info",
            "what Sundog itself prints: debug, info, warning, error"),
    Setting("logging_config", "", "", "", "none",
            "a LoggingConfig: how lines of logging look in the program and its workers"),
    Setting("logging_format", "", "", "", "sundog: and the message",
            "how Sundog's own lines look, as logging.Formatter has it"),
    Setting("configure_logging", "", "", "", "on",
            "off: the program configures the logger sundog itself"),
    Setting("log_to_driver", "SUNDOG_LOG_TO_DRIVER", "", "switch", "on",
            "whether the program prints what its tasks print"),
    Setting("preload", "SUNDOG_PRELOAD", "", "names", "none",
            "modules that workers have imported before they are asked for, with commas between"),
    Setting("cpp_worker", "SUNDOG_CPP_WORKER", "--cpp-worker", "text", "none",
            "program of the C++ workers, started as tasks and actors of C++ need them"),
    Setting("local_mode", "", "", "", "off",
            "tasks run in the program's own process, for a debugger"),
    Setting("runtime_env", "", "", "", "none",
            "what the workers have that the program does not: packages, folders, variables"),
    Setting("labels", "", "", "", "none", "names and values of the machine, for label_selector="),
    Setting("job_config", "", "", "", "none",
            "namespace, runtime environment and metadata of the program in one object"),
    Setting("address", "SUNDOG_ADDRESS", "", "text", "a session of its own",
            "\"auto\", a session's name or its socket: join it; \"local\": a session of its own"),
    Setting("ignore_reinit_error", "", "", "", "off",
            "a second init returns the running session instead of raising"),
    Setting("", "SUNDOG_HOME", "", "path", "~/.sundog",
            "where sessions keep their logs, of Python and C++ programs"),
    Setting("", "XDG_CACHE_HOME", "", "path", "~/.cache",
            "where packages of runtime environments (pip, uv) are kept"),
    Setting("", "SUNDOG_PACKAGES_BYTES_MAX", "", "factor", "1e10",
            "bytes of those packages that are kept; beyond, the longest unused go after a build"),
    Setting("", "SUNDOG_PACKAGES_DAYS_MAX", "", "factor", "30",
            "days that packages are kept that no runtime environment asks for"),
    Setting("", "XDG_RUNTIME_DIR", "", "path", "TMPDIR, else /tmp",
            "where the sockets of this user's sessions are"),
    Setting("", "SUNDOG_BLOCKED_LOOP_SECONDS", "", "path", "2",
            "how long a method may block an asynchronous actor's loop untold; 0: for ever"),
    Setting("", "SUNDOG_RAY_WAIT_MS", "", "path", "off",
            "1: ray.wait counts its timeout in milliseconds, as in 2018"),
)  # fmt: skip
# What a worker finds in its environment; it is told there, and set by nobody else.
TOLD = (
    ("SUNDOG_SESSION", "the name of the session"),
    ("SUNDOG_ADDRESS", "the path of its socket"),
    ("SUNDOG_DRIVER", "the process of the program whose tasks it runs"),
    ("SUNDOG_GPUS", "the numbers of the GPUs that the task or actor holds"),
    ("SUNDOG_CPP_ENVIRONMENT", "of a C++ worker: the number of its runtime environment"),
)
KEYWORDS = {row.keyword: row for row in TABLE if row.keyword}


def parsed(row: Setting, text: str) -> Any:
    """The value of a variable.

    Raises:
        ValueError: it cannot be read.
    """
    if row.kind in ("number", "factor"):
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{row.variable} is a number, got {text!r}") from None
    if row.kind == "names":
        return [name for part in text.split(",") if (name := part.strip())]
    if row.kind == "switch":
        if text.lower() not in TRUE + FALSE:
            raise ValueError(f"{row.variable} is 1 or 0, got {text!r}")
        return text.lower() in TRUE
    return text


def given(keyword: str, value: Any) -> Any:
    """The keyword's value; where that is None, its variable's; None if neither is given.

    Numbers of the machine are left to `_machine`, which says where they come from.

    Raises:
        ValueError: the variable cannot be read.
    """
    row = KEYWORDS.get(keyword)
    if value is not None or row is None or not row.variable or row.kind == "number":
        return value
    text = os.environ.get(row.variable, "")
    return parsed(row, text) if text else None


def value_now(row: Setting) -> tuple[str, str]:
    """What ``init()`` without keywords would take, and where that comes from."""
    from sundog import _machine, _paths

    text = os.environ.get(row.variable, "") if row.variable else ""
    measured = {
        "num_cpus": _machine.cpus,
        "num_gpus": _machine.gpus,
        "object_store_memory": _machine.store,
    }.get(row.keyword)
    if measured is not None:
        amount = measured()
        return f"{amount.value:,.0f}" if amount.value >= 1e6 else f"{amount.value:g}", amount.reason
    if row.variable == "SUNDOG_HOME":
        return _paths.home(), row.variable if text else "default"
    if row.variable == "XDG_RUNTIME_DIR":
        return _paths.socket_folder(), row.variable if text else "default"
    if not text:
        return row.default, "default"
    value = parsed(row, text)
    if row.kind == "switch":
        return "on" if value else "off", row.variable
    return ", ".join(value) if isinstance(value, list) else text, row.variable


def report() -> str:
    """What ``sundog config`` prints."""
    rows = [("setting", "value now", "from", "keyword", "variable", "flag of sundogd")]
    for row in TABLE:
        name = row.keyword or row.variable
        value, origin = value_now(row)
        rows.append((name, value, origin, row.keyword, row.variable, row.flag))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip()
        for r in rows
    ]
    return "\n".join([*lines, "", "A keyword of init() comes first, then the variable, then this."])


def page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Every setting of a session, from one table in the source: this page, `init`, and",
        "`sundog config`, which prints the value of each and where it comes from, have the same",
        "rows.",
        "",
        "A keyword of `sundog.init` comes first, then the variable of the environment, then the",
        "default. Variables count when a session starts. Flags are those that `init` gives to the",
        "daemon `sundogd`; whoever starts one by hand types them. C++ programs read `SUNDOG_HOME`",
        "and `XDG_RUNTIME_DIR`, and have the rest in `sundog::InitOptions`.",
        "",
        "| keyword of `init` | variable | flag | default | what it is |",
        "|---|---|---|---|---|",
    ]
    for row in TABLE:
        cells = (f"`{cell}`" if cell else "" for cell in (row.keyword, row.variable, row.flag))
        lines.append(f"| {' | '.join(cells)} | {row.default} | {row.meaning} |")
    lines += [
        "",
        "Switches are `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`. A variable that",
        "cannot be read is an error that names it.",
        "",
        "What a worker finds in its environment; it tells, and setting it changes nothing:",
        "",
        "| variable | what it tells |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in TOLD]
    return "\n".join(lines) + "\n"
