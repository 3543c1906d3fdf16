"""The networks of the demo, and the seed's way to send one: weights as arrays beside a skeleton."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

Weights = list[dict[str, dict[str, Any]]]


def bert() -> Any:
    """BERT-base by its default configuration: 438 MB of random weights, ready for inference."""
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    return transformers.BertModel(transformers.BertConfig()).eval()


def some_tokens(count: int = 14) -> dict[str, torch.Tensor]:
    """What a tokenizer makes of a short sentence; the numbers do not matter here."""
    numbers = torch.arange(1000, 1000 + count).reshape(1, count)
    return {"input_ids": numbers, "attention_mask": torch.ones_like(numbers)}


class Convolutional(nn.Module):  # type: ignore[misc]
    """Two convolutions with batch normalization, whose running means training mode writes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 128, 3)
        )
        self.norm = nn.BatchNorm2d(128)
        self.head = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> Any:
        """images: (n, 3, height, width); the result is (n, 10)."""
        return self.head(self.norm(self.layers(images)).mean(dim=(2, 3)))


def take_weights_out(model: Any) -> tuple[Any, Weights]:
    """A copy of the model without its tensors, and the tensors as arrays, one entry a module."""
    weights: Weights = []
    for module in model.modules():
        weights.append(
            {
                "params": {n: p.detach().numpy().copy() for n, p in direct_parameters(module)},
                "buffers": {n: b.numpy().copy() for n, b in module.named_buffers(recurse=False)},
            }
        )
    skeleton = copy.deepcopy(model)
    for module in skeleton.modules():
        for name, _ in [*direct_parameters(module), *module.named_buffers(recurse=False)]:
            setattr(module, name, None)
    return skeleton.eval(), weights


def direct_parameters(module: Any) -> list[tuple[str, Any]]:
    """The module's own parameters, without those of modules inside it."""
    return list(module.named_parameters(recurse=False))


def put_weights_back(skeleton: Any, weights: Weights) -> Any:
    """Registers tensors over the arrays; nothing is copied."""
    for module, arrays in zip(skeleton.modules(), weights, strict=True):
        for name, array in arrays["params"].items():
            module.register_parameter(name, nn.Parameter(torch.as_tensor(array)))
        for name, array in arrays["buffers"].items():
            module.register_buffer(name, torch.as_tensor(array))
    return skeleton


def put_weights_back_directly(skeleton: Any, weights: Weights) -> Any:
    """The same without Parameter objects, past the module's checks."""
    for module, arrays in zip(skeleton.modules(), weights, strict=True):
        for name, array in arrays["params"].items():
            module._parameters[name] = torch.as_tensor(array)
        for name, array in arrays["buffers"].items():
            module.register_buffer(name, torch.as_tensor(array))
    return skeleton
