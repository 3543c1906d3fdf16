"""Ways to load BERT-base of random weights: whole, stripped, from_pretrained, torch.load."""

import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.programs.contestant import init, percentile, report, sundog
from bench.programs.models_of import make_model, put_weights_back, take_weights_out

GETS = 50
PUTS = 5
LOADS = 5


def milliseconds(count: int, load: Callable[[], Any]) -> list[float]:
    """Each call's time; what it loaded is gone before the next."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        loaded = load()
        took.append((time.perf_counter() - start) * 1e3)
        del loaded
    return took


def check_same_weights(name: str, model: Any, loaded: Any) -> None:
    """What was loaded has the model's weights; the stripped form has them as arrays."""
    if isinstance(loaded, tuple):
        loaded = put_weights_back(*loaded)
    weights, others = (dict(one.named_parameters()) for one in (model, loaded))
    assert len(weights) == len(others), name
    assert all(torch.equal(tensor, others[key]) for key, tensor in weights.items()), name


def main() -> None:
    warnings.filterwarnings("ignore", message=".*not writ")
    init(num_cpus=2)
    model = make_model()
    puts, firsts = [], []
    for _ in range(PUTS):
        ref: Any = None
        start = time.perf_counter()
        ref = sundog.put(model)
        puts.append((time.perf_counter() - start) * 1e3)
        firsts += milliseconds(1, partial(sundog.get, ref))
    report("... put", percentile(puts, 0.5), "ms")
    report("... first get after put", percentile(firsts, 0.5), "ms")
    kept_ref = ref
    rows: list[tuple[str, int, Callable[[], Any]]] = [
        ("whole model, get", GETS, lambda: sundog.get(kept_ref)),
    ]
    parts = sundog.put(take_weights_out(model))
    rows += [
        ("stripped model, get", GETS, lambda: sundog.get(parts)),
        ("... restored as Parameters", GETS, lambda: put_weights_back(*sundog.get(parts))),
        ("... restored directly", GETS, lambda: put_weights_back(*sundog.get(parts), wrap=False)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        torch.save(model, Path(folder) / "model.pt")
        load = transformers.BertModel.from_pretrained
        rows += [
            ("from_pretrained, local", LOADS, lambda: load(folder)),
            ("torch.load", LOADS, lambda: torch.load(Path(folder) / "model.pt")),
        ]
        for name, count, way in rows:
            check_same_weights(name, model, way())
            report(name, percentile(milliseconds(count, way), 0.5), "ms")


if __name__ == "__main__":
    main()
