"""``sundog start`` and ``ray start --head``: a session that stands until ``stop``.

Programs join it with ``init(address="auto")``.

A session ends with its last program, so one is kept: a process in the background that runs nothing.
It waits for the daemon's end, and ends then.
"""

from __future__ import annotations

import json
import os
import sys

from sundog import _cli, _paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = "standing"  # a file in the session's folder
NUMBERS = {
    "--num-cpus": ("num_cpus", float),
    "--num-gpus": ("num_gpus", float),
    "--object-store-memory": ("object_store_memory", int),
    "--memory": ("_memory", int),
}
TEXTS = {"--resources": "resources", "--labels": "labels"}
# Of Ray's command: what there is nothing of, with the sentence that says so.
DASHBOARD = "there is no dashboard"
NETWORK = "nothing listens on a network"
ABSENT = {
    "--address": "one machine has one daemon, and programs join it: init(address='auto')",
    "--port": NETWORK,
    "--node-ip-address": NETWORK,
    "--ray-client-server-port": NETWORK,
    "--dashboard-host": DASHBOARD,
    "--dashboard-port": DASHBOARD,
    "--include-dashboard": DASHBOARD,
}


def start(words: list[str], name: str = "sundog") -> int:
    """``start [--num-cpus N] [--num-gpus N] [--resources JSON] ... [--block]``; the exit status.

    Raises UsageError for a wrong command line.
    """
    import signal
    import subprocess

    options, block = options_of(words, name)
    keeper = subprocess.Popen(
        [sys.executable, "-c", "from sundog import _cli_start; _cli_start.keep()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if block else subprocess.DEVNULL,  # who reads this command's waits for its end
        text=True,
        start_new_session=not block,
        env={**os.environ, "PYTHONPATH": path_of_package()},
    )
    if block:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the keeper's; we wait for its end
    assert keeper.stdin is not None and keeper.stdout is not None
    keeper.stdin.write(json.dumps(options) + "\n")
    keeper.stdin.flush()
    said = keeper.stdout.readline()
    told = json.loads(said) if said else {"error": "the process that keeps the session ended"}
    if "error" in told:
        keeper.stdin.close()
        keeper.stdout.close()
        keeper.wait()
        print(f"{name}: start: {told['error']}", file=sys.stderr)
        return 1
    session = told["session"]
    print(
        f"session {session} runs until it is told to stop.\n"
        "  a program joins it:  sundog.init(address='auto')\n"
        f"  in a shell:          sundog status, {name} stop"
    )
    sys.stdout.flush()
    if block:
        return keeper.wait()
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.returncode = 0  # it is to outlive this process, which need not wait for it
    return 0


def path_of_package() -> str:
    """PYTHONPATH with which the keeper finds this package."""
    own = os.path.dirname(_paths.package_folder())
    return os.pathsep.join(part for part in (own, os.environ.get("PYTHONPATH", "")) if part)


def options_of(words: list[str], name: str) -> tuple[dict[str, Any], bool]:
    """``init``'s keywords, and whether to stay in the foreground."""
    rest = [part for word in words for part in (word.split("=", 1) if word[:2] == "--" else [word])]
    options: dict[str, Any] = {}
    block = "--block" in rest
    rest = [word for word in rest if word not in ("--block", "--head")]
    for option, (keyword, kind) in NUMBERS.items():
        text = _cli.take_value(rest, option)
        if text is not None:
            try:
                options[keyword] = kind(text)
            except ValueError:
                raise _cli.UsageError(f"start: {option} wants a number, got '{text}'") from None
    for option, keyword in TEXTS.items():
        text = _cli.take_value(rest, option)
        if text is not None:
            try:
                options[keyword] = json.loads(text)
            except ValueError:
                raise _cli.UsageError(
                    f"start: {option} is a JSON object like '{{\"licence\": 1}}', got '{text}'"
                ) from None
    for word in rest:
        if word in ABSENT:
            raise _cli.UsageError(f"start: leave out {word}: {ABSENT[word]}")
    _cli.expect_nothing("start", rest)
    if name == "ray" and "--head" not in words:
        raise _cli.UsageError("start wants --head: there is one machine, and it is the head")
    return options, block


def keep() -> None:
    """The process that keeps the session: what it is told and what it says is JSON, a line each."""
    import select
    import signal

    import sundog
    from sundog import _cli_stop

    asked = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w")  # the daemon inherits 0, 1 and 2
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    sys.argv = ["sundog", "start"]  # what `sundog list jobs` calls it
    if os.getpgrp() == os.getpid():  # in the background: hanging up is not meant for it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
    try:
        sundog.init(address="local", logging_level="warning", log_to_driver=False, **asked)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        answer.write(json.dumps({"error": str(error)}) + "\n")
        answer.close()
        return
    context = sundog.get_runtime_context()
    session = context.get_session_name()
    with open(os.path.join(context.get_temp_dir(), MARK), "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    daemon = _cli_stop.daemon_of(os.path.join(_paths.socket_folder(), f"{session}.sock"))
    try:
        answer.write(json.dumps({"session": session}) + "\n")
        answer.close()
        select.select([daemon.fd] if daemon else [], [], [])
    except KeyboardInterrupt:  # of start --block
        pass
    sundog.shutdown()


def standing() -> str | None:
    """The socket of the newest session of this user that was started to stand."""
    for socket in _paths.running_sockets():
        folder = os.path.join(_paths.sessions(), _paths.session_of(socket))
        if os.path.exists(os.path.join(folder, MARK)):
            return socket
    return None
