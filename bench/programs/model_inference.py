"""Inference of BERT-base here and remotely: private and shared weights, an actor and a task."""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch

from bench.programs.contestant import init, percentile, report, sundog
from bench.programs.models_of import make_model

ROUNDS = 15
TOKENS = 14


def infer(model: Any, tokens: Any) -> Any:
    """The last hidden state."""
    with torch.no_grad():
        return model(tokens).last_hidden_state


@sundog.remote
def infer_by_task(model: Any, tokens: Any) -> Any:
    return infer(model, tokens)


class Server:
    """Keeps a model of its own."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model)

    def infer(self, tokens: Any) -> Any:
        """One request."""
        return infer(self.model, tokens)


ServerActor = sundog.remote(Server)


def main() -> None:
    init(num_cpus=2)
    model = make_model()
    ref = sundog.put(model)
    shared = sundog.get(ref)
    server = ServerActor.remote(ref)
    tokens = torch.arange(1000, 1000 + TOKENS).reshape(1, TOKENS)
    ways: dict[str, Callable[[], Any]] = {
        "inference here, private weights": lambda: infer(model, tokens),
        "inference here, shared weights": lambda: infer(shared, tokens),
        "inference by an actor": lambda: sundog.get(server.infer.remote(tokens)),
        "inference by a task": lambda: sundog.get(infer_by_task.remote(ref, tokens)),
    }
    expected = infer(model, tokens)
    for way in ways.values():
        assert torch.equal(way(), expected)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            took[name].append((time.perf_counter() - start) * 1e3)
    middle = {name: percentile(samples, 0.5) for name, samples in took.items()}
    for name, value in middle.items():
        report(name, value, "ms")
    private, shared_weights, actor, task = middle.values()
    report("... shared to private", shared_weights / private, "x")
    report("... task to actor", task / actor, "x")


if __name__ == "__main__":
    main()
