"""Seed 003: how long it takes until a model of 438 MB can be used."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from demo.models import networks
from demo.outcome import Outcome, require, seconds
from demo.runtime import session, sundog

LOADS = 100
SLOW_LOADS = 5
WHOLE_SECONDS_MAX = 5e-3
STRIPPED_SECONDS_MAX = 3e-3
MB = 1 << 20
FLAT_BYTES_MAX = 16 * MB


@dataclass(frozen=True)
class Times:
    """Seconds of repeated calls: the middle one, and the best, which neighbours disturbed least."""

    median: float
    best: float


def times(count: int, load: Callable[[], Any]) -> Times:
    """Times `load`; what it loaded is gone before the next call."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        loaded = load()
        took.append(time.perf_counter() - start)
        del loaded
    return Times(sorted(took)[count // 2], min(took))


def outcome(took: Times, limit: float, what: str, seed: str) -> Outcome:
    """Shows the median and checks the best call: a shared machine wanders by a factor of three."""
    require(took.best <= limit, f"{what} took {seconds(took.best)} at best")
    must = f"best <= {limit * 1e3:g} ms"
    return Outcome(seconds(took.median), must, seed, f"best {seconds(took.best)}")


@contextmanager
def model_in_store(stripped: bool = False) -> Iterator[tuple[Any, Any]]:
    """A session, the model, and a reference to it."""
    with session(num_cpus=2):
        model = networks.bert()
        yield model, sundog.put(networks.take_weights_out(model) if stripped else model)


def same_outputs(model: Any, other: Any) -> None:
    """Requires that both models give exactly the same."""
    with torch.no_grad():
        tokens = networks.some_tokens()
        expected, got = model(**tokens), other(**tokens)
    require(
        torch.equal(expected.last_hidden_state, got.last_hidden_state),
        "the loaded model's outputs differ from the original's",
    )


def from_pretrained() -> Outcome:
    """The library's own way, from a local folder."""
    import transformers

    model = networks.bert()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        took = times(SLOW_LOADS, lambda: transformers.BertModel.from_pretrained(folder))
        same_outputs(model, transformers.BertModel.from_pretrained(folder))
    return Outcome(seconds(took.median), "", "1.393 s", f"best {seconds(took.best)}")


def torch_load() -> Outcome:
    """A whole module saved by torch.save."""
    model = networks.bert()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save(model, path)
        options = {} if torch.__version__ < "1.14" else {"weights_only": False}
        took = times(SLOW_LOADS, lambda: torch.load(path, **options))
        same_outputs(model, torch.load(path, **options))
    return Outcome(seconds(took.median), "", "0.106 s", f"best {seconds(took.best)}")


def whole() -> Outcome:
    """put(model), get: no code of the user's."""
    with model_in_store() as (model, ref):
        took = times(LOADS, lambda: sundog.get(ref))
        same_outputs(model, sundog.get(ref))
    return outcome(took, WHOLE_SECONDS_MAX, "get", "0.180 s")


def stripped() -> Outcome:
    """The seed's way: get the skeleton and the arrays, make Parameters over them."""
    with model_in_store(stripped=True) as (model, ref):
        took = times(LOADS, lambda: networks.put_weights_back(*sundog.get(ref)))
        same_outputs(model, networks.put_weights_back(*sundog.get(ref)))
    return outcome(took, STRIPPED_SECONDS_MAX, "get and restoring", "4.21 ms")


def direct() -> Outcome:
    """The same past the checks of torch."""
    with model_in_store(stripped=True) as (model, ref):
        took = times(LOADS, lambda: networks.put_weights_back_directly(*sundog.get(ref)))
        same_outputs(model, networks.put_weights_back_directly(*sundog.get(ref)))
    return outcome(took, STRIPPED_SECONDS_MAX, "get and restoring", "3.92 ms")


def first_and_tenth() -> Outcome:
    """The first get after a put costs what the tenth does."""
    first, tenth = [], []
    with session(num_cpus=2):
        model = networks.bert()
        for _ in range(5):
            ref = sundog.put(model)
            first.append(times(1, partial(sundog.get, ref)).best)
            times(8, partial(sundog.get, ref))
            tenth.append(times(1, partial(sundog.get, ref)).best)
            del ref
    took = Times(sorted(first)[2], min(first))
    shown = outcome(took, WHOLE_SECONDS_MAX, "the first get", "")
    return replace(shown, remark=f"{shown.remark}, tenth {seconds(min(tenth))}")


def flat_memory() -> Outcome:
    """A hundred loads that are each used once leave memory as it was."""

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with model_in_store() as (_, ref):

        def use() -> float:
            model = sundog.get(ref)
            return float(sum(p.view(-1)[0] for p in model.parameters()))

        for _ in range(10):
            use()
        before = resident()
        for _ in range(LOADS):
            use()
        grown = resident() - before
    require(grown <= FLAT_BYTES_MAX, f"memory grew by {grown / MB:.0f} MB in {LOADS} loads")
    return Outcome(f"{grown / MB:+.1f} MB", f"<= {FLAT_BYTES_MAX // MB} MB", remark="100 loads")
