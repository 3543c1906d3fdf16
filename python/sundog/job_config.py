"""What a program is to its session, in one object: ``init(job_config=JobConfig(...))``."""

from __future__ import annotations

import json
import os

from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sundog import _core

NAMES = ("runtime_env", "metadata", "ray_namespace")
# Ray's other parameters, with the values that ask for nothing.
NOTHING: dict[str, tuple[object, ...]] = {
    "jvm_options": (None, []),
    "code_search_path": (None, []),
    "_client_job": (False,),
    "default_actor_lifetime": ("non_detached",),
    "_disable_job_level_lineage_reconstruction": (False,),
    "_py_driver_sys_path": (None, []),
}


class JobConfig:
    """Namespace, runtime environment and metadata of a program."""

    @public
    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: dict[str, Any] | None = None,
        _client_job: bool = False,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        _disable_job_level_lineage_reconstruction: bool = False,
        _py_driver_sys_path: list[str] | None = None,
    ) -> None:
        """Checks what is given.

        Args:
            jvm_options: refused: nothing here runs Java.
            code_search_path: refused: nothing here runs Java.
            runtime_env: as ``init`` has it.
            _client_job: refused: there is one client protocol.
            metadata: texts that ``sundog.util.state.list_jobs`` shows with the program.
            ray_namespace: as ``init`` has ``namespace``.
            default_actor_lifetime: "non_detached"; give a lifetime to each actor that needs one.
            _disable_job_level_lineage_reconstruction: refused: nothing is rebuilt on one machine.
            _py_driver_sys_path: refused: workers have the driver's ``sys.path``.

        Raises:
            ValueError: a parameter that has no meaning here is given.
            TypeError: a parameter of a wrong type.
        """
        given = {
            "jvm_options": jvm_options,
            "code_search_path": code_search_path,
            "_client_job": _client_job,
            "default_actor_lifetime": default_actor_lifetime,
            "_disable_job_level_lineage_reconstruction": _disable_job_level_lineage_reconstruction,
            "_py_driver_sys_path": _py_driver_sys_path,
        }
        for name, value in given.items():
            refuse(name, value)
        self.runtime_env: dict[str, Any] = {}
        self.metadata: dict[str, str] = {}
        self.ray_namespace: str | None = None
        if runtime_env is not None:
            self.set_runtime_env(runtime_env)
        if metadata is not None:
            if not isinstance(metadata, dict):
                raise TypeError(f"metadata is a dictionary of texts, got {metadata!r}")
            for key, text in metadata.items():
                self.set_metadata(key, text)
        if ray_namespace is not None:
            self.set_ray_namespace(ray_namespace)

    def set_runtime_env(self, runtime_env: dict[str, Any] | None, validate: bool = False) -> None:
        """Takes another runtime environment; it is checked at once if ``validate`` says so."""
        self.runtime_env = dict(runtime_env or {})
        if validate:
            from sundog._environment_checks import checked

            checked(self.runtime_env)

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Takes another namespace."""
        from sundog._actor_options import checked_namespace

        self.ray_namespace = checked_namespace(ray_namespace)

    @public
    def set_metadata(self, key: str, value: str) -> None:
        """Adds a text.

        Args:
            key: what it is.
            value: the text.

        Raises:
            TypeError: one of them is no text.
        """
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata is a dictionary of texts, got {key!r}: {value!r}")
        self.metadata[key] = value

    @public
    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """Refuses what is not "non_detached".

        Args:
            default_actor_lifetime: "non_detached".

        Raises:
            ValueError: it is another one.
        """
        refuse("default_actor_lifetime", default_actor_lifetime)

    @classmethod
    def from_json(cls, job_config_json: dict[str, Any]) -> JobConfig:
        """Of a dictionary of its parameters."""
        return cls(**job_config_json)

    def __eq__(self, other: object) -> bool:
        """Equal parts."""
        return isinstance(other, JobConfig) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def keep(self, session: _core.Session) -> None:
        """Leaves the metadata with the session, for who lists its programs."""
        if not self.metadata:
            return
        info = session.info()
        job = info["job"]
        assert isinstance(job, int)
        path = metadata_path(str(info["session_dir"]), job.to_bytes(4, "little").hex())
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.metadata, file)


def refuse(name: str, value: object) -> None:
    """Raises ValueError unless it asks for nothing."""
    if value not in NOTHING[name]:
        raise ValueError(
            f"JobConfig: {name}={value!r} has no meaning here: leave it out; what works is "
            + ", ".join(NAMES)
        )


def checked_config(given: object) -> JobConfig:
    """``init``'s ``job_config``: one, or a dictionary of its parameters."""
    if isinstance(given, JobConfig):
        return given
    if isinstance(given, dict):
        return JobConfig(**given)
    raise TypeError(f"init(): job_config is a JobConfig or a dictionary, got {given!r}")


def metadata_path(folder: str, job: str) -> str:
    """Where the metadata of a job lies."""
    return os.path.join(folder, f"job-{job}.json")


def metadata_of(folder: str, job: str) -> dict[str, str]:
    """The metadata of a job; empty if it has none."""
    try:
        with open(metadata_path(folder, job), encoding="utf-8") as file:
            found: dict[str, str] = json.load(file)
    except FileNotFoundError:
        return {}
    return found
