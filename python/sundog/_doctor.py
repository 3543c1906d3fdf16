"""``sundog doctor``: whether this machine has what Sundog needs, one line each."""

from __future__ import annotations

import os
import resource
import sys
import tempfile

from sundog import _machine, _paths

OPEN_FILES_WANTED = 4096


class Finding:
    """One line: whether it is well, of what, and what was found."""

    __slots__ = ("ok", "subject", "text")

    def __init__(self, ok: bool, subject: str, text: str) -> None:
        """``text`` says what was found, and what to do if it is not well."""
        self.ok = ok
        self.subject = subject
        self.text = text

    def __str__(self) -> str:
        """``ok    cpus            2 (affinity 2, cgroup quota none)``."""
        return f"{'ok' if self.ok else 'BAD':<6}{self.subject:<16}{self.text}"


def shared_memory() -> Finding:
    """Arenas are memfds."""
    try:
        os.close(os.memfd_create("sundog-doctor"))
    except OSError as error:
        return Finding(
            False, "shared memory", f"memfd_create fails: {error.strerror}; Linux 5.4 is needed"
        )
    return Finding(True, "shared memory", "memfd; /dev/shm is not used")


def memory() -> Finding:
    """What there is, and what the store takes of it."""
    try:
        store = _machine.store().value
    except ValueError as error:
        return Finding(False, "memory", str(error))
    limit = _machine.memory_limit()
    shown = "none" if limit is None else f"{limit / 1e9:.1f} GB"
    text = (
        f"{_machine.physical_memory() / 1e9:.1f} GB, limit of this cgroup: {shown}; "
        f"object store default {store / 1e9:.1f} GB"
    )
    return Finding(True, "memory", text)


def cpus() -> Finding:
    """What a session takes by default."""
    quota = _machine.cpu_quota()
    affinity = len(os.sched_getaffinity(0))
    detail = f"affinity {affinity}, cgroup quota {'none' if quota is None else f'{quota:g}'}"
    try:
        count = _machine.cpus()
    except ValueError as error:
        return Finding(False, "cpus", str(error))
    if count.reason == "SUNDOG_NUM_CPUS":
        detail += ", SUNDOG_NUM_CPUS is set"
    return Finding(True, "cpus", f"{count.value:g} ({detail})")


def open_files() -> Finding:
    """The daemon holds some descriptors for each worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_FILES_WANTED:
        return Finding(
            False,
            "open files",
            f"limit {soft}, at most {hard}: raise the hard limit to {OPEN_FILES_WANTED} or more "
            "(ulimit -Hn, or LimitNOFILE)",
        )
    raised = "which is enough" if soft >= hard else f"which the daemon raises to {hard}"
    return Finding(True, "open files", f"limit {soft}, {raised}")


def file_size() -> Finding | None:
    """Only worth a line when it is too small: the kernel counts the store's memfd as a file."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        store = _machine.store().value
    except ValueError:  # memory() says so
        return None
    if limit == resource.RLIM_INFINITY or limit >= store:
        return None
    return Finding(
        False,
        "file size",
        f"limit {limit:,} bytes, and the object store is {store:,.0f}: raise it (ulimit -f "
        "unlimited), or start with a smaller object_store_memory",
    )


def session_folders() -> Finding | None:
    """Only worth a line when a session could not write there."""
    for folder in (_paths.home(), _paths.socket_folder()):
        there = folder
        while not os.path.exists(there) and os.path.dirname(there) != there:
            there = os.path.dirname(there)
        try:
            os.rmdir(tempfile.mkdtemp(prefix=".sundog-doctor-", dir=there))
        except OSError as error:
            return Finding(
                False,
                "folders",
                f"no folder can be made in {there} ({error.strerror}): set SUNDOG_HOME for "
                "sessions and their logs, XDG_RUNTIME_DIR for their sockets",
            )
    return None


def gpus() -> Finding:
    """GPUs that tasks may use."""
    try:
        found = _machine.gpus()
    except ValueError as error:
        return Finding(False, "gpus", str(error))
    return Finding(True, "gpus", f"{found.value:g} ({found.reason})" if found.value else "none")


def daemon() -> Finding | None:
    """Only worth a line when it is missing."""
    try:
        _paths.daemon()
    except FileNotFoundError as error:
        return Finding(False, "daemon", str(error))
    return None


def leftovers() -> Finding:
    """Sockets and processes of sessions that are gone."""
    folder = _paths.socket_folder()
    running = set(_paths.running_sockets())
    try:
        sockets = [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".sock")]
    except OSError:
        sockets = []
    dead = [path for path in sockets if path not in running]
    if dead:
        return Finding(
            False,
            "leftovers",
            f"{len(dead)} socket{'' if len(dead) == 1 else 's'} of sessions that are gone; the "
            f"next session removes them, or type: rm {' '.join(dead)}",
        )
    return Finding(True, "leftovers", "none")


def distributions(names: tuple[str, ...]) -> set[str]:
    """Which of these pip has installed on this interpreter's path."""
    found = set()
    for folder in sys.path:
        try:
            entries = os.listdir(folder or os.curdir)
        except OSError:
            continue
        metadata = [entry for entry in entries if entry.endswith((".dist-info", ".egg-info"))]
        found |= {entry.split("-")[0] for entry in metadata} & set(names)
    return found


def import_name() -> Finding | None:
    """Ray and sundog-ray write into one folder: whichever was installed last is half there."""
    if distributions(("ray", "sundog_ray")) != {"ray", "sundog_ray"}:
        return None
    return Finding(
        False,
        "import ray",
        "'ray' and 'sundog-ray' are both installed; pip uninstall ray, then pip install "
        "--force-reinstall sundog-ray",
    )


def examine() -> list[Finding]:
    """All findings, in the order in which they are shown."""
    found = [shared_memory(), memory(), cpus(), open_files(), gpus(), daemon()]
    found += [file_size(), session_folders(), import_name(), leftovers()]
    return [finding for finding in found if finding is not None]


def with_what_is_wrong(text: str) -> str:
    """A sentence about a session that did not start, and what the doctor finds on this machine."""
    found = [f"{finding.subject}: {finding.text}" for finding in examine() if not finding.ok]
    return "; ".join([text, *found])
