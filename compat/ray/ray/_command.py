"""The command ``ray``: what of it Sundog does is handed to the command ``sundog``."""

from __future__ import annotations

import os
import sys
import tempfile
import time

from sundog import _cli, _paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """usage: ray COMMAND

  start      --head: a session that stands until stop; programs join it
  status     what the running session has, and how much of it is used
  memory     the objects in the store: sizes, references, pins
  list       tasks, actors, objects, workers, nodes, jobs, placement-groups, runtime-envs
  get        one of them by its id
  summary    how many tasks, actors or objects are in which state
  logs       the session's logs, or what one of them has: ray logs worker --pid 4711
  debug      attaches to a task that stopped at breakpoint()
  timeline   tasks as a Chrome trace, into a file (ui.perfetto.dev)
  stop       ends every session of this user on this machine; --force kills what does not end
  --version

This is Sundog under Ray's name; the command sundog has more."""
HANDED_ON = ("start", "status", "memory", "stop", "logs", "debug")
LISTS = ("list", "get", "summary")
REFUSED = {
    "up": "there is no cluster launcher",
    "down": "there is no cluster launcher",
    "exec": "there is no cluster launcher",
    "attach": "there is no cluster launcher",
    "submit": "there is no cluster launcher",
    "stack": "it is not in this version",
    "job": "it is not in this version: run the program itself",
    "kill-actor": "it is not in this version: ray.kill(handle) ends an actor",
    "metrics": "it is not in this version",
    "microbenchmark": "Sundog's benchmarks are in its source tree: make bench",
    "check-open-ports": "nothing listens on a network",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the command line without the program's name; None takes that of this process.

    Returns:
        The exit status: 0, 1 if something is not well, 2 for a wrong command line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["-V"], ["version"]):
        import ray

        print(f"ray, version {ray.__version__}")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if words else 2
    command, rest = words[0], words[1:]
    if command == "timeline":
        return timeline(rest)
    if command in LISTS:
        from sundog import _cli_lists

        return _cli_lists.main([command, *without_address(rest)])
    if command == "start":
        from sundog import _cli_start

        try:
            return _cli_start.start(rest, "ray")
        except _cli.UsageError as error:
            print(f"ray: {error}", file=sys.stderr)
            return 2
    if command == "stop" and not _paths.running_sockets():
        print("Did not find any session of this user on this machine.")
        return 0
    if command in HANDED_ON:
        return _cli.main([command, *without_address(rest)])
    if command in REFUSED:
        print(f"ray {command}: {REFUSED[command]}.", file=sys.stderr)
        return 2
    from sundog._options import did_you_mean

    near = did_you_mean(command, [*HANDED_ON, *LISTS, "timeline", *REFUSED])
    print(f"ray: no command '{command}'{near}", file=sys.stderr)
    return 2


def without_address(rest: Sequence[str]) -> list[str]:
    """The words without ``--address auto``, which is what is asked anyway."""
    words = [word for word in rest if word != "--address=auto"]
    if "--address" in words and words[words.index("--address") + 1 :][:1] == ["auto"]:
        at = words.index("--address")
        del words[at : at + 2]
    return words


def timeline(rest: list[str]) -> int:
    """Ray's command writes a file in the temporary folder unless it is told another."""
    if not rest:
        name = time.strftime("ray-timeline-%Y-%m-%d_%H-%M-%S.json")
        rest = ["-o", os.path.join(tempfile.gettempdir(), name)]
    return _cli.main(["timeline", *rest])


if __name__ == "__main__":
    sys.exit(main())
