"""Where things lie: the daemon, sessions, sockets."""

from __future__ import annotations

import os

SOCKET_PATH_BYTES_MAX = 100


def package_folder() -> str:
    """The folder of this package."""
    return os.path.dirname(os.path.abspath(__file__))


def daemon() -> str:
    """The daemon that belongs to this package.

    Raises:
        FileNotFoundError: there is none.
    """
    beside = os.path.join(package_folder(), "_bin", "sundogd")
    if os.path.exists(beside):
        return beside
    try:
        from sundog import _build_info
    except ImportError:
        built = ""
    else:
        built = _build_info.DAEMON
    if built and os.path.exists(built):
        return built
    raise FileNotFoundError(
        f"the daemon sundogd is not in {os.path.dirname(beside)}: install the wheel again, or in "
        "a source tree type: make build"
    )


def home() -> str:
    """Where sessions keep their logs: SUNDOG_HOME, else ~/.sundog."""
    return os.environ.get("SUNDOG_HOME") or os.path.join(os.path.expanduser("~"), ".sundog")


def sessions() -> str:
    """The folder of all sessions' folders."""
    return os.path.join(home(), "sessions")


def socket_folder() -> str:
    """The folder of this user's sockets."""
    name = f"sundog-{os.getuid()}"
    longest = os.path.join(name, "12345678.sock")
    for root in (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR")):
        if not root or not os.path.isdir(root) or not os.access(root, os.W_OK):
            continue
        if len(os.fsencode(os.path.join(root, longest))) < SOCKET_PATH_BYTES_MAX:
            return os.path.join(root, name)
    return os.path.join("/tmp", name)


def private_folder(path: str) -> str:
    """Makes the folder, mode 0700, and checks that it is ours alone.

    Raises:
        PermissionError: it belongs to somebody else.
        OSError: it cannot be made.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"cannot make the folder {path} ({error.strerror}): sessions keep their logs in "
            "SUNDOG_HOME, else in ~/.sundog, and their sockets in XDG_RUNTIME_DIR, TMPDIR or /tmp",
        ) from None
    status = os.lstat(path)
    if status.st_uid != os.getuid() or not os.path.isdir(path) or os.path.islink(path):
        raise PermissionError(f"{path} does not belong to this user alone; remove it")
    if status.st_mode & 0o077:
        os.chmod(path, 0o700)
    return path


def new_session() -> tuple[str, str, str]:
    """A free name, the new session's folder, and the path for its socket."""
    folder = private_folder(home()) and private_folder(sessions())
    sockets = private_folder(socket_folder())
    digits = 2
    while True:
        name = os.urandom(digits).hex()
        path = os.path.join(folder, name)
        try:
            os.mkdir(path, mode=0o700)
        except FileExistsError:
            digits = min(digits + 1, 4)
            continue
        return name, path, os.path.join(sockets, f"{name}.sock")


def running_sockets() -> list[str]:
    """The sockets of this user's sessions on which somebody listens, newest first."""
    import socket

    folder = socket_folder()
    try:
        paths = [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".sock")]
    except OSError:
        return []
    alive = []
    for path in paths:
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            probe.connect(path)
            alive.append((os.stat(path).st_mtime, path))
        except OSError:
            continue
        finally:
            probe.close()
    return [path for _, path in sorted(alive, reverse=True)]


def session_of(socket: str) -> str:
    """The name of the session that listens there."""
    return os.path.basename(socket).removesuffix(".sock")
