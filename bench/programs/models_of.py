"""The model of the model rows, and the seed's way to take its weights out and put them back."""

import copy
from typing import Any

import torch
import transformers


def make_model() -> Any:
    """BERT-base by its default configuration, weights random."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return transformers.BertModel(transformers.BertConfig()).eval()


def take_weights_out(model: Any) -> tuple[Any, list[Any]]:
    """A copy without tensors, and for each module its parameters and buffers as arrays."""
    weights = [
        (
            {n: p.detach().numpy().copy() for n, p in module.named_parameters(recurse=False)},
            {n: b.numpy().copy() for n, b in module.named_buffers(recurse=False)},
        )
        for module in model.modules()
    ]
    skeleton = copy.deepcopy(model)
    for module in skeleton.modules():
        for name in [*module._parameters, *module._buffers]:
            setattr(module, name, None)
    return skeleton, weights


def put_weights_back(skeleton: Any, weights: list[Any], wrap: bool = True) -> Any:
    """Tensors over the arrays; `wrap`: as Parameters."""
    for module, (parameters, buffers) in zip(skeleton.modules(), weights, strict=True):
        for name, array in parameters.items():
            tensor = torch.as_tensor(array)
            if wrap:
                module.register_parameter(name, torch.nn.Parameter(tensor))
            else:
                module._parameters[name] = tensor
        for name, array in buffers.items():
            module.register_buffer(name, torch.as_tensor(array))
    return skeleton
