"""What ``init`` returns."""

from __future__ import annotations

from collections.abc import Mapping

from sundog import _session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sundog import _core

UNIT = 10_000


class Context(Mapping[str, object]):
    """What ``init`` returns: a mapping that describes the session, and a context manager that
    ends it. Parts that do not run are None."""

    def __init__(self, session: _core.Session) -> None:
        """Describes ``session``."""
        info = session.info()
        self.session_name = str(info["session"])
        self.address_info: dict[str, object] = {
            "node_ip_address": "127.0.0.1",
            "raylet_ip_address": None,
            "redis_address": None,
            "object_store_address": None,
            "raylet_socket_name": None,
            "webui_url": None,
            "session_dir": info["session_dir"],
            "metrics_export_port": None,
            "node_id": info["node"],
            "address": self.session_name,  # another program joins it by init(address=...)
        }
        self.dashboard_url = None
        cpus, gpus = (float(str(info[name])) / UNIT for name in ("num_cpus", "num_gpus"))
        self._facts = [
            ("Session", self.session_name),
            ("CPUs, GPUs", f"{cpus:g}, {gpus:g}"),
            ("Object store", f"{float(str(info['store_bytes'])) / 1e9:.1f} GB"),
            ("Dashboard", self.dashboard_url or "not in this version"),
            ("Logs", f"{info['session_dir']}/logs"),
        ]

    def __getitem__(self, key: str) -> object:
        """One part of the description."""
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        """The parts' names."""
        return iter(self.address_info)

    def __len__(self) -> int:
        """How many parts there are."""
        return len(self.address_info)

    def __repr__(self) -> str:
        """As a mapping."""
        return repr(self.address_info)

    def _repr_html_(self) -> str:
        """As a small table for notebooks, with the mapping behind it."""
        import html

        rows = "".join(
            f"<tr><td style='text-align:left;opacity:.65'>{name}</td>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self._facts
        )
        return (
            f"<table>{rows}</table><details><summary style='opacity:.65;cursor:pointer'>mapping"
            f"</summary><code>{html.escape(repr(self))}</code></details>"
        )

    def __enter__(self) -> Context:
        """The session runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the session."""
        _session.end()

    def disconnect(self) -> None:
        """Ends the session."""
        _session.end()
