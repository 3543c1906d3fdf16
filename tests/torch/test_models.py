"""Models by the seed's way: weights as arrays beside a model without them; and what goes wrong."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from networks import Convolutional, Tied, Weights, put_weights_back, take_weights_out
from torch import nn

import sundog

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture(autouse=True)
def torch_may_warn() -> Iterator[None]:
    """torch says of each read-only array that it ignores the flag."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writ.*")
        yield


@sundog.remote
def infer(model_and_weights: Any, x: torch.Tensor, wrap: bool) -> torch.Tensor:
    with torch.no_grad():
        return put_weights_back(*model_and_weights, wrap=wrap)(x)


@sundog.remote
def train(model_and_weights: tuple[nn.Module, Weights], x: torch.Tensor) -> tuple[Any, Any]:
    """One forward pass in training mode, and the running means before and after."""
    model = put_weights_back(*model_and_weights)
    before = [m.running_mean.clone() for m in model.modules() if hasattr(m, "running_mean")]
    with torch.no_grad():
        model.train()(x)
    return before, [m.running_mean for m in model.modules() if hasattr(m, "running_mean")]


@sundog.remote
def to_gpu(model: nn.Module) -> nn.Module:
    return model.to("cuda:0")


@sundog.remote
def ignore(model: nn.Module) -> None:
    pass


@pytest.mark.parametrize("wrap", [True, False], ids=["as Parameters", "direct"])
@pytest.mark.parametrize("kind", ["whole network", "tied"])
def test_outputs_are_equal_after_the_seeds_round_trip(kind: str, wrap: bool) -> None:
    model: nn.Module = Convolutional() if kind == "whole network" else nn.Linear(300, 400)
    x = torch.rand(2, 3, 12, 12) if kind == "whole network" else torch.rand(7, 300)
    model.eval()
    ref = sundog.put(take_weights_out(model))
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(put_weights_back(*sundog.get(ref), wrap=wrap)(x), expected)
        assert torch.equal(sundog.get(infer.remote(ref, x, wrap)), expected)
        assert torch.equal(sundog.get(infer.remote(take_weights_out(model), x, wrap)), expected)


def test_training_mode_writes_private_pages_only() -> None:
    model = Convolutional()
    x = torch.rand(4, 3, 12, 12)
    _, weights = take_weights_out(model)
    ref = sundog.put(take_weights_out(model))
    original = [m.running_mean.clone() for m in model.modules() if hasattr(m, "running_mean")]
    mine = put_weights_back(*sundog.get(ref))
    mine.train()(x)
    for before, after in sundog.get([train.remote(ref, x) for _ in range(6)]):
        assert all(torch.equal(b, o) for b, o in zip(before, original, strict=True))
        assert not any(torch.equal(a, o) for a, o in zip(after, original, strict=True))
    stored = sundog.get(ref)[1]
    for entry, was in zip(stored, weights, strict=True):
        for kind in ("params", "buffers"):
            assert all((entry[kind][name] == was[kind][name]).all() for name in was[kind])
    assert not torch.equal(mine.norm.running_mean, model.norm.running_mean)


def test_training_a_whole_model_leaves_the_store_alone() -> None:
    model = Convolutional()
    ref = sundog.put(model)
    x = torch.rand(4, 3, 12, 12)
    mine, other = sundog.get([ref, ref])
    optimizer = torch.optim.SGD(mine.parameters(), lr=0.5)
    mine.train()(x).sum().backward()
    optimizer.step()
    for seen in (other, sundog.get(ref)):
        states = zip(seen.state_dict().values(), model.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in states)
    assert not torch.equal(mine.head.weight, model.head.weight)
    assert not torch.equal(mine.norm.running_var, model.norm.running_var)


def test_a_model_can_be_loaded_into_another() -> None:
    model, other = Tied(), Tied()
    other.load_state_dict(sundog.get(sundog.put(model.state_dict())))
    assert torch.equal(other.output.weight, model.embedding.weight)


def test_a_class_that_a_worker_cannot_import_is_named() -> None:
    module = types.ModuleType("nobody_elses_models")
    module.Net = type("Net", (nn.Linear,), {"__module__": module.__name__})  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        ref = ignore.remote(module.Net(3, 3))
        with pytest.raises(ModuleNotFoundError) as caught:
            sundog.get(ref)
    finally:
        del sys.modules[module.__name__]
    text = str(caught.value)
    assert "a value needs module 'nobody_elses_models', which this worker cannot import" in text
    assert "sys.path" in text and "main program" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_does_not_exist_is_said_with_what_to_do() -> None:
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA") as caught:
        sundog.get(to_gpu.remote(nn.Linear(3, 3)))
    assert "to_gpu.options(num_gpus=1) asks for one, and this session has 0" in str(
        caught.value.remote_traceback  # type: ignore[attr-defined]
    )


def test_what_torch_refuses_to_pickle_is_refused_in_its_words() -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="__getstate__"):
        sundog.put(scripted)
