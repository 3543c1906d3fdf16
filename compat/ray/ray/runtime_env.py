"""``ray.runtime_env``: what programs import of runtime environments."""

from ray import _absent
from sundog.runtime_env import RuntimeEnv, RuntimeEnvConfig

__getattr__ = _absent.attribute_of("ray.runtime_env")
__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
