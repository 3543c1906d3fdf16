"""Joining a session that runs: which one is meant, whose it is, and what workers need to know."""

from __future__ import annotations

import contextlib
import os
import sys

from sundog import _core, _paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "SUNDOG_ADDRESS"
PRESTART = 1  # workers that are forked while init() still runs
# GPUs are the session's: which a worker sees is counted in the names that its starter has.
NOT_OURS = ("CUDA_VISIBLE_DEVICES",)


def address_of(given: str | None, describes: Mapping[str, object]) -> str | None:
    """What to join; None starts a session.

    Args:
        given: ``init``'s ``address``.
        describes: keywords of ``init`` that say what a new session has; None is not given.

    Raises:
        TypeError: the address is no text.
        ValueError: one of these keywords is given for a session that runs already.
    """
    if given is not None and not isinstance(given, str):
        raise TypeError(f"init(): address is a text, got {given!r}")
    address, source = given, f"address={given!r}"
    if given is None and os.environ.get(VARIABLE):
        address = os.environ[VARIABLE]
        source = f"{VARIABLE}={address}"
    if address is None or address == "local":
        return None
    for name, value in describes.items():
        if value is not None and value is not False:
            raise ValueError(
                f"init(): {name} says what a new session has, and {source} joins one that runs: "
                f"leave out {name}, or type address='local' for a session of its own"
            )
    return address


def names_of(sockets: list[str]) -> str:
    """``ab12 and cd34``."""
    names = [_paths.session_of(socket) for socket in sockets]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def user_name(uid: int) -> str:
    """``'ann' (1000)``."""
    import pwd

    try:
        return f"'{pwd.getpwuid(uid).pw_name}' ({uid})"
    except KeyError:
        return str(uid)


def owner_of(path: str) -> int | None:
    """The user whose file this is, or whose folder keeps us from seeing it; None: there is none."""
    while True:
        try:
            return os.lstat(path).st_uid
        except PermissionError:
            path = os.path.dirname(path)
        except OSError:
            return None


def socket_of(address: str) -> str:
    """The socket of the session that an address means: "auto", a session's name, or a path.

    Raises:
        ConnectionError: no such session runs.
        PermissionError: it is another user's.
        ValueError: the address is none.
    """
    if "/" in address:
        path = os.path.abspath(address)
        owner = owner_of(path)
        if owner is None:
            raise ConnectionError(
                f"no session listens at {path}: it has ended; init() starts one, and "
                "init(address='auto') joins the newest that runs"
            )
        if owner != os.getuid():
            raise PermissionError(
                f"the session at {path} belongs to user {user_name(owner)}, and this process is of "
                f"user {user_name(os.getuid())}: a session serves nobody but who started it; "
                "init() starts one"
            )
        return path
    sockets = _paths.running_sockets()
    if address == "auto":
        if not sockets:
            raise ConnectionError(
                "address='auto': no session of this user runs here; init() starts one"
            )
        return sockets[0]
    for socket in sockets:
        if _paths.session_of(socket) == address:
            return socket
    if len(address) <= 8 and all(digit in "0123456789abcdef" for digit in address) and address:
        running = f"; there is {names_of(sockets)}" if sockets else ""
        raise ConnectionError(f"no session {address} of this user runs here{running}")
    raise ValueError(
        "address is 'auto', 'local', a session's name or the path of its socket in this version, "
        f"got {address!r}"
    )


def umask() -> int:
    """Of this process; asking the system call for it would set it."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o022


def describe(socket: str) -> str:
    """Writes beside the socket what the workers of this program are to look like; the file.

    The daemon renames it when this program has a job.
    """
    import marshal

    from sundog import _session

    path = f"{socket}.{os.getpid()}"
    text = _session.describe_driver()
    text["environment"] = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
    text["umask"] = umask()
    try:
        os.unlink(path)  # of another process that had this number
    except FileNotFoundError:
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        marshal.dump(text, file)
    return path


def check_python(session: _core.Session) -> None:
    """Raises RuntimeError if workers run another Python than this program."""
    import marshal

    try:
        with open(os.path.join(str(session.info()["session_dir"]), "zygote.config"), "rb") as file:
            theirs = marshal.load(file).get("python")
    except (OSError, ValueError, EOFError):
        return  # a session without Python workers
    ours = list(sys.version_info[:2])
    if theirs not in (None, ours):
        raise RuntimeError(
            f"session {session.name} runs Python {theirs[0]}.{theirs[1]}, and this program Python "
            f"{ours[0]}.{ours[1]}: run both with one version, or start a session with init()"
        )


def connect(address: str, namespace: str, job_weight: float) -> _core.Session:
    """Joins the session as a program with tasks of its own.

    Raises:
        ConnectionError: no such session runs.
        PermissionError: it is another user's.
        RuntimeError: its workers run another Python.
        ValueError: the address is none.
    """
    from sundog import _session

    socket = socket_of(address)
    described = describe(socket)
    try:
        session = _core.connect(
            "", [], PRESTART, _session.entry_point(), socket, namespace, job_weight
        )
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(described)
        raise
    try:
        check_python(session)
    except RuntimeError:
        session.close()
        raise
    return session
