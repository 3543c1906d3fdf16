"""Nine models in the store, four workers, requests for any of them: nine copies of memory, not 36.

    python examples/nine_models.py [REQUESTS]

Each request is a task that gets the model it needs, runs it and forgets it: no worker is tied to a
model, and no model is copied. Needs torch.
"""

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import torch

import sundog

LANGUAGES = ("English", "French", "Korean")
TASKS = ("intent", "sentiment", "topic")
WIDTH, LAYERS = 1024, 12  # 50 MB a model
WORKERS = 4


def make_model(seed: int) -> torch.nn.Module:
    """A stack of layers with weights of its own."""
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for _ in range(LAYERS):
        layers += [torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers).eval()


@sundog.remote
def answer(model: torch.nn.Module, request: torch.Tensor) -> tuple[int, float]:
    """One request; the model arrives as it was put, its weights are the store's own pages."""
    with torch.no_grad():
        return os.getpid(), float(model(request).sum())


@sundog.remote
def private_megabytes() -> tuple[int, float]:
    """This worker, and the memory that is its own, the modules it imported among it."""
    torch.zeros(1)
    time.sleep(0.05)  # so that every worker takes one
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return os.getpid(), (sizes["Private_Clean:"] + sizes["Private_Dirty:"]) / 1024


def memory_of_workers() -> dict[int, float]:
    """Process to megabytes."""
    found: dict[int, float] = {}
    while len(found) < WORKERS:
        found.update(sundog.get([private_megabytes.remote() for _ in range(2 * WORKERS)]))
    return found


def main() -> None:
    """Serves the requests and compares every answer with the original model's."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    torch.set_num_threads(1)
    sundog.init(num_cpus=WORKERS)
    names = [f"{language} {task}" for language in LANGUAGES for task in TASKS]
    models = {name: make_model(seed) for seed, name in enumerate(names)}
    size = sum(p.numel() * p.element_size() for p in models[names[0]].parameters()) / 1e6
    stored = {name: sundog.put(model) for name, model in models.items()}
    print(f"{len(names)} models of {size:.0f} MB are in the store")

    chosen = [random.choice(names) for _ in range(requests)]
    inputs = [torch.rand(1, WIDTH) for _ in chosen]
    before = memory_of_workers()
    start = time.perf_counter()
    refs = [answer.remote(stored[n], x) for n, x in zip(chosen, inputs, strict=True)]
    answers = sundog.get(refs)
    took = time.perf_counter() - start

    with torch.no_grad():
        for name, x, (_, total) in zip(chosen, inputs, answers, strict=True):
            if total != float(models[name](x).sum()):
                sys.exit(f"{name} answered {total}")
    served = Counter(pid for pid, _ in answers)
    print(f"{requests} requests in {took:.2f} s by {len(served)} workers, every answer is right")
    after = memory_of_workers()
    grown = [after[pid] - before[pid] for pid in sorted(served) if pid in before and pid in after]
    shown = ", ".join(f"{megabytes:+.0f}" for megabytes in grown)
    print(f"memory of its own that each worker took meanwhile: {shown} MB")
    if not grown or max(grown) > size / 2:
        sys.exit(f"a worker has a copy of a model, {size:.0f} MB")


if __name__ == "__main__":
    main()
