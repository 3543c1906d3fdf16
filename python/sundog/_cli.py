"""The command ``sundog``."""

from __future__ import annotations

import json
import os
import sys

import sundog
from sundog import _core, _paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

USAGE = """usage: sundog COMMAND [--session NAME]

  doctor               whether this machine has what Sundog needs
  config               every setting: its value, where it comes from, what else sets it
  status               what the running session has, and how much of it is used
  memory               the objects in the store: sizes, references, pins
  list actors          actors: state, process, what they hold, why they ended
  list jobs            programs: state, process, share of the CPUs, command line
  list tasks           tasks: state, process, duration, why they failed
  list objects         … workers, nodes, placement-groups, runtime-envs likewise
  list packages        what pip and uv installed for runtime environments: size, last use
  clean                removes those packages that no session uses
  logs [NAME]          the session's logs, or the last lines of one: --tail N, --follow
  logs task --id ID    what the process of a task, actor (--id) or worker (--pid) printed; --err
  timeline [-o FILE]   tasks as a Chrome trace (ui.perfetto.dev), or as a page (FILE.html)
  start [--block]      a session that stands until stop, for programs that join it;
                       --num-cpus N, --num-gpus N, --resources JSON
  stop [--force]       ends every session of this user, or the one that --session names;
                       --force kills what does not end within 2 s, or --grace-period SECONDS
  debug [PID]          attaches to a task that stopped at breakpoint()
  debug dump           the whole state of the running session, as JSON
  new-cpp DIR          writes a C++ program that builds and runs
  cmake-dir            where find_package(sundog) looks: cmake -Dsundog_DIR=$(sundog cmake-dir)
  --version            versions of everything that matters

A command about a session asks the newest one of this user, or the one that --session names."""
COMMANDS = (
    "clean",
    "cmake-dir",
    "config",
    "debug",
    "doctor",
    "help",
    "list",
    "logs",
    "memory",
    "new-cpp",
    "start",
    "status",
    "stop",
    "timeline",
)
LISTS = ("tasks", "objects", "workers", "nodes", "placement-groups", "runtime-envs")
MEMORY_ROWS_MAX = 50


class UsageError(Exception):
    """A wrong command line; the text says what to type."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the command line without the program's name; None takes that of this process.

    Returns:
        The exit status: 0, 1 if something is not well, 2 for a wrong command line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(words)
    except UsageError as error:
        print(f"sundog: {error}", file=sys.stderr)
        return 2
    except (sundog.exceptions.SundogError, OSError) as error:
        print(f"sundog: {error}", file=sys.stderr)
        return 1


def run(words: list[str]) -> int:
    """Chooses the command."""
    if words in (["--version"], ["-V"], ["version"]):
        print(version())
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if words else 2
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        from sundog._options import did_you_mean

        raise UsageError(f"no command '{command}'{did_you_mean(command, COMMANDS)}")
    if command == "doctor":
        expect_nothing(command, rest)
        return doctor()
    if command == "config":
        expect_nothing(command, rest)
        return config()
    if command == "cmake-dir":
        from sundog import _new_cpp

        expect_nothing(command, rest)
        print(_new_cpp.cmake_folder())
        return 0
    if command == "start":
        from sundog import _cli_start

        return _cli_start.start(rest)
    if command == "new-cpp":
        return new_cpp(rest)
    if command == "clean":
        expect_nothing(command, rest)
        return clean()
    session = take_value(rest, "--session")
    if command == "debug":
        expect_nothing("debug", rest[1:])
        return debug_dump(session) if rest == ["dump"] else debug(session, rest)
    if command == "list":
        if rest[:1] and rest[0] in LISTS:
            from sundog import _cli_lists

            return _cli_lists.show(session, rest)
        if rest[:1] not in (["actors"], ["jobs"], ["packages"]):
            raise UsageError(
                "list has as subjects "
                f"{', '.join(('actors', 'jobs', 'packages', *LISTS))}: sundog list tasks"
            )
        expect_nothing(f"list {rest[0]}", rest[1:])
        if rest == ["packages"]:
            if session is not None:
                raise UsageError("list packages: they are of all sessions, leave out --session")
            return list_packages()
        return list_actors(session) if rest == ["actors"] else list_jobs(session)
    if command == "stop":
        from sundog import _cli_stop

        return _cli_stop.stop(session, rest)
    if command == "logs":
        from sundog import _cli_logs

        return _cli_logs.show(session, rest)
    output = take_value(rest, "-o", "--output") if command == "timeline" else None
    expect_nothing(command, rest)
    if command == "timeline":
        return timeline(session, output)
    return status(session) if command == "status" else memory(session)


def new_cpp(rest: Sequence[str]) -> int:
    """``sundog new-cpp DIR``."""
    from sundog import _new_cpp

    if len(rest) != 1 or rest[0].startswith("-"):
        raise UsageError("new-cpp wants the folder to write into: sundog new-cpp hello")
    print(_new_cpp.write(rest[0]))
    return 0


def take_value(words: list[str], *names: str) -> str | None:
    """Takes ``--name VALUE`` out of the words."""
    for name in names:
        if name in words:
            at = words.index(name)
            if at + 1 == len(words):
                raise UsageError(f"{name} wants a value")
            value = words[at + 1]
            del words[at : at + 2]
            return value
    return None


def expect_nothing(command: str, rest: Sequence[str]) -> None:
    """Refuses words that no command reads."""
    if rest:
        raise UsageError(f"{command} does not understand '{rest[0]}'")


def version() -> str:
    """``sundog 0.1.0 (commit), protocol 1, CPython 3.11, Linux 6.1 x86_64, glibc 2.36``."""
    import platform

    try:
        from sundog import _build_info
    except ImportError:
        commit = "unknown"
    else:
        commit = _build_info.COMMIT or "unknown"
    system = os.uname()
    release = ".".join(system.release.split(".")[:2])
    libc, libc_version = platform.libc_ver()
    python = f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}"
    return (
        f"sundog {sundog.__version__} ({commit}), protocol {_core.PROTOCOL}, {python}, "
        f"{system.sysname} {release} {system.machine}, {libc} {libc_version}"
    )


def doctor() -> int:
    """One line for each thing that matters."""
    from sundog import _doctor

    findings = _doctor.examine()
    for finding in findings:
        print(finding)
    return 0 if all(finding.ok for finding in findings) else 1


def config() -> int:
    """One line for each setting."""
    from sundog import _settings

    try:
        print(_settings.report())
    except ValueError as error:  # a variable that cannot be read
        print(f"sundog: {error}", file=sys.stderr)
        return 1
    return 0


def sockets_of(session: str | None) -> list[str]:
    """The sockets of the running sessions, newest first, or of the one with this name."""
    sockets = _paths.running_sockets()
    if session is not None:
        sockets = [p for p in sockets if _paths.session_of(p) == session]
    if not sockets:
        what = "no session" if session is None else f"no session {session}"
        raise UsageError(f"{what} of this user runs on this machine")
    return sockets


def ask(session: str | None, question: int) -> Any:
    """Joins a running session for one question; the answer."""
    socket = sockets_of(session)[0]
    joined = _core.connect("", [], 0, "sundog " + " ".join(sys.argv[1:]), socket, only_asks=True)
    try:
        return json.loads(joined.query(question))
    finally:
        joined.close()


def debug_dump(session: str | None) -> int:
    """The core's state as JSON."""
    from sundog import _explain

    print(json.dumps(ask(session, _explain.DUMP), indent=2))
    return 0


def debug(session: str | None, rest: Sequence[str]) -> int:
    """Attaches to a stopped task: the one that is named, or the only one."""
    from sundog import _debugger

    if rest and not rest[0].isdigit():
        raise UsageError("debug takes the pid of a stopped task, or dump")
    folder = os.path.join(_paths.sessions(), _paths.session_of(sockets_of(session)[0]))
    stopped = _debugger.waiting(folder)
    pids = [int(rest[0])] if rest else stopped
    if not stopped or pids[0] not in stopped:
        raise UsageError(
            "no task waits at a breakpoint" + (f" in worker {rest[0]}" if rest else "")
        )
    if len(pids) > 1:
        raise UsageError(f"several tasks wait; name one: sundog debug {pids[0]} (or {pids[1:]})")
    _debugger.attach(folder, pids[0])
    return 0


def timeline(session: str | None, output: str | None) -> int:
    """The trace, into a file or to stdout."""
    from sundog import _explain

    trace = ask(session, _explain.TIMELINE)
    if output is None:
        json.dump(trace, sys.stdout)
        return 0
    if output.endswith((".html", ".htm")):
        from sundog import _timeline

        _timeline.write_page(output, json.dumps(trace), "Sundog: tasks")
        print(f"{output}: open it in a browser")
        return 0
    with open(output, "w", encoding="utf-8") as file:
        json.dump(trace, file)
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    print(f"{output}: {len(events)} events; open it in ui.perfetto.dev")
    return 0


def status(session: str | None) -> int:
    """One line a subject."""
    from sundog import _explain

    told = ask(session, _explain.STATUS)
    print(f"session {told['session']}, node {told['node'][:8]}")
    for name, total in sorted(told["total"].items()):
        free = told["available"].get(name, 0)
        if name == "memory":
            print(f"  memory  {(total - free) / 1e9:.1f} of {total / 1e9:.1f} GB reserved")
        else:
            print(f"  {name:<7} {total - free:g} of {total:g} used")
    store = told["store"]
    print(
        f"  store   {store['used_bytes'] / 1e6:.1f} of {store['capacity_bytes'] / 1e6:.1f} MB "
        f"used by {store['objects']} objects, {store['pinned_objects']} of them pinned"
    )
    print(f"  tasks   {told['tasks']['live']} live, {told['tasks']['ready']} waiting for resources")
    print(f"  clients {told['workers']} workers, {told['drivers']} drivers")
    return 0


def memory(session: str | None) -> int:
    """The largest objects and who holds them."""
    from sundog import _explain

    objects = sorted(ask(session, _explain.MEMORY), key=lambda item: -item["bytes"])
    print(f"{'object':<40}  {'bytes':>14}  held by")
    for item in objects[:MEMORY_ROWS_MAX]:
        held = [f"pid {h['pid']}: {h['count']} references" for h in item["refs"]]
        held += [f"pid {h['pid']}: {h['count']} views" for h in item["pins"]]
        if item.get("internal_refs"):
            held.append(f"the session: {item['internal_refs']}")
        print(f"{item['object']}  {item['bytes']:>14,}  {'; '.join(held)}")
    hidden = len(objects) - MEMORY_ROWS_MAX
    if hidden > 0:
        print(f"… and {hidden} smaller ones")
    print(f"{len(objects)} objects, {sum(item['bytes'] for item in objects):,} bytes")
    return 0


def print_table(rows: Sequence[tuple[str, ...]], below: Sequence[str] = ()) -> None:
    """Rows in columns; below each what is said of it."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row, note in zip(rows, below or [""] * len(rows), strict=True):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print(line.rstrip() + (f"\n    {note}" if note else ""))


def list_jobs(session: str | None) -> int:
    """Programs of the session, one line each; those that ended too."""
    import time

    from sundog import _explain

    jobs = ask(session, _explain.JOBS)
    rows = [("job", "state", "pid", "weight", "began", "namespace", "command")]
    for j in jobs:
        began = time.strftime("%H:%M:%S", time.localtime(j["began_ms"] / 1000))
        weight = f"{j['weight']:g}"
        command = j["entry_point"]
        rows.append((j["job"], j["state"], str(j["pid"]), weight, began, j["namespace"], command))
    print_table(rows)
    running = sum(j["state"] == "RUNNING" for j in jobs)
    print(
        f"{running} programs run"
        + (f", {len(jobs) - running} ended" if running < len(jobs) else "")
    )
    return 0


def list_packages() -> int:
    """What is kept for runtime environments, one line each; what was used last comes last."""
    import time

    from sundog import _environment_cache

    found = [entry for entry in _environment_cache.entries() if entry.used]
    rows = [("id", "MB", "last asked for", "state", "packages")]
    for entry in found:
        last = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        state = "in use" if entry.in_use() else "kept"
        name, size = os.path.basename(entry.folder)[:8], f"{entry.bytes / 1e6:,.0f}"
        rows.append((name, size, last, state, " ".join(entry.asked)))
    print_table(rows)
    total = sum(entry.bytes for entry in found) / 1e6
    print(f"{len(found)} environments, {total:,.0f} MB in {_environment_cache.cache_folder()}")
    return 0


def clean() -> int:
    """Removes what nobody uses of it, and what interrupted builds left."""
    from sundog import _environment_cache

    removed = [e for e in _environment_cache.entries() if _environment_cache.remove(e)]
    left = len(_environment_cache.entries())
    total = sum(entry.bytes for entry in removed) / 1e6
    print(f"{len(removed)} removed, {total:,.0f} MB; {left} left, which somebody uses")
    return 0


def list_actors(session: str | None) -> int:
    """Actors, one line each; below a dead one, why it ended."""
    from sundog import _explain

    actors = ask(session, _explain.ACTORS)
    rows = [("actor", "class", "state", "pid", "name", "holds")]
    for a in actors:
        name = f"{a['namespace']}/{a['name']}" if a["name"] else ""
        holds = ", ".join(f"{amount:g} {what}" for what, amount in a["resources"].items())
        pid = str(a["pid"]) if a["pid"] else ""
        rows.append((a["actor"], a["class_name"], a["state"], pid, name, holds))
    print_table(rows, ["", *(a["cause"] for a in actors)])
    dead = sum(a["state"] == "DEAD" for a in actors)
    print(f"{len(actors) - dead} actors" + (f", and {dead} that have ended" if dead else ""))
    return 0
