"""Actors by their types' names: ``ActorHandle`` for annotations, ``exit_actor``."""

from sundog._actor import ActorClass, ActorHandle, ActorMethod
from sundog._actor_names import exit_actor
from sundog._actor_options import method

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "exit_actor", "method"]
