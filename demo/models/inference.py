"""Seed 003: inference on shared weights, here and in tasks; and a network that writes to them."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from demo.models import networks
from demo.models.loading import times
from demo.outcome import Outcome, require, seconds
from demo.runtime import session, sundog

ROUNDS = 15
SHARED_TO_PRIVATE_MAX = 1.1


def infer(model: Any, tokens: dict[str, torch.Tensor]) -> Any:
    """The last hidden state, (1, tokens, 768)."""
    with torch.no_grad():
        return model(**tokens).last_hidden_state


def local() -> Outcome:
    """On the model that made the weights, and on one that came from the store, in turn."""
    tokens = networks.some_tokens()
    with session(num_cpus=2):
        model = networks.bert()
        shared = sundog.get(sundog.put(model))
        took: dict[str, list[float]] = {"private": [], "shared": []}
        for _ in range(ROUNDS + 2):
            for name, used in (("private", model), ("shared", shared)):
                took[name].append(times(1, partial(infer, used, tokens)).best)
        require(torch.equal(infer(model, tokens), infer(shared, tokens)), "outputs differ")
    private, ours = (min(took[name][2:]) for name in ("private", "shared"))
    require(
        ours <= private * SHARED_TO_PRIVATE_MAX,
        f"on shared weights it takes {seconds(ours)}, on private ones {seconds(private)}",
    )
    return Outcome(
        seconds(ours),
        f"<= {SHARED_TO_PRIVATE_MAX:g} x private",
        "55.2 ms",
        f"private {seconds(private)}, both at best",
    )


@sundog.remote
def infer_by_task(model: Any, tokens: dict[str, torch.Tensor]) -> Any:
    return infer(model, tokens)


class Server:
    """An actor that keeps a model of its own, as one would without a shared store."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model)

    def infer(self, tokens: dict[str, torch.Tensor]) -> Any:
        """One request."""
        return infer(self.model, tokens)


ServerActor = sundog.remote(Server)


def by_actor_and_by_task() -> Outcome:
    """A task that gets the whole model for each request; an actor that keeps one, in turn."""
    tokens = networks.some_tokens()
    took: dict[str, list[float]] = {"actor": [], "task": []}
    with session(num_cpus=2):
        model = networks.bert()
        ref = sundog.put(model)
        server = ServerActor.remote(ref)
        ways: dict[str, Callable[[], Any]] = {
            "actor": lambda: sundog.get(server.infer.remote(tokens)),
            "task": lambda: sundog.get(infer_by_task.remote(ref, tokens)),
        }
        expected = infer(model, tokens)
        for way in ways.values():  # their processes import torch, and touch what they use
            require(torch.equal(way(), expected), "outputs differ")
        for _ in range(ROUNDS):
            for name, way in ways.items():
                took[name].append(times(1, way).best)
    actor, task = min(took["actor"]), min(took["task"])
    return Outcome(
        seconds(task), seed="72 ms", remark=f"actor {seconds(actor)} (seed 63.9 ms), both at best"
    )


@sundog.remote
def train_once(parts: Any, images: torch.Tensor) -> tuple[Any, Any]:
    """A forward pass in training mode; the running means that it found and left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says of each array that it ignores "read-only"
        model = networks.put_weights_back(*parts)
    before = model.norm.running_mean.clone()
    model.train()
    with torch.no_grad():
        model(images)
    return before, model.norm.running_mean


def training_mode() -> Outcome:
    """BatchNorm writes to the shared weights: nobody else sees it, and nothing crashes."""
    start = time.perf_counter()
    with session(num_cpus=2):
        model = networks.Convolutional()
        images = torch.rand(4, 3, 16, 16)
        parts, whole = sundog.put(networks.take_weights_out(model)), sundog.put(model)
        for before, after in sundog.get([train_once.remote(parts, images) for _ in range(8)]):
            require(torch.equal(before, model.norm.running_mean), "a task saw another one's write")
            require(not torch.equal(before, after), "training mode wrote nothing")
        mine = sundog.get(whole)
        mine.train()
        mine(images).sum().backward()
        torch.optim.SGD(mine.parameters(), lr=0.1).step()
        states = zip(
            sundog.get(whole).state_dict().values(), model.state_dict().values(), strict=True
        )
        require(all(torch.equal(a, b) for a, b in states), "the stored model changed")
        model.eval()
        again = networks.put_weights_back(*sundog.get(parts))
        require(torch.equal(again(images), model(images)), "outputs differ")
    took = time.perf_counter() - start
    return Outcome(seconds(took), remark="8 tasks train, the store is unchanged")
