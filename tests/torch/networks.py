"""Networks that the tests send; in a file of their own, so that workers can import them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn


class Convolutional(nn.Module):
    """Convolutions with batch normalization, which writes its running statistics in training."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 64, 3)
        )
        self.norm = nn.BatchNorm2d(64)
        self.register_buffer("scale", torch.full((1,), 0.5), persistent=False)
        self.head = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (n, 3, h, w); the result is (n, 10)."""
        found = self.norm(self.features(images)).mean(dim=(2, 3))
        return self.head(found * self.scale)


class Tied(nn.Module):
    """An output layer that uses the weights of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(500, 64)
        self.output = nn.Linear(64, 500, bias=False)
        self.output.weight = self.embedding.weight


class Measured(torch.Tensor):
    """A subclass with an attribute, pickled as torch pickles any subclass."""

    unit = "m"


class OwnWay(torch.Tensor):
    """A subclass that says itself how it is pickled."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return make_own_way, (self.as_subclass(torch.Tensor), "made by make_own_way")


def make_own_way(plain: torch.Tensor, note: str) -> torch.Tensor:
    """What OwnWay is made again by."""
    made = plain.as_subclass(OwnWay)
    made.note = note  # type: ignore[attr-defined]
    return made


Weights = list[dict[str, dict[str, np.ndarray]]]


def take_weights_out(model: nn.Module) -> tuple[nn.Module, Weights]:
    """A copy of the model without weights, and its weights as arrays, one entry a module."""
    weights: Weights = [
        {
            "params": {n: p.detach().numpy().copy() for n, p in m.named_parameters(recurse=False)},
            "buffers": {n: b.numpy().copy() for n, b in m.named_buffers(recurse=False)},
        }
        for m in model.modules()
    ]
    skeleton = copy.deepcopy(model).eval()
    for module in skeleton.modules():
        for name in [*module._parameters, *module._buffers]:
            setattr(module, name, None)
    return skeleton, weights


def put_weights_back(skeleton: nn.Module, weights: Weights, wrap: bool = True) -> nn.Module:
    """Wraps the arrays in tensors without a copy; `wrap`: as Parameters."""
    for module, arrays in zip(skeleton.modules(), weights, strict=True):
        for name, array in arrays["params"].items():
            tensor = torch.as_tensor(array)
            module._parameters[name] = nn.Parameter(tensor) if wrap else tensor  # type: ignore[assignment]
        for name, array in arrays["buffers"].items():
            module.register_buffer(name, torch.as_tensor(array))
    return skeleton
