"""TorchVariables: weights of modules as arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import Convolutional

import sundog
from sundog.util import TorchVariables


def test_weights_of_one_module_go_to_another() -> None:
    model, other = Convolutional().eval(), Convolutional().eval()
    ours, theirs = TorchVariables(model), TorchVariables(other)
    assert list(ours.variables) == list(model.state_dict())
    images = torch.rand(2, 3, 12, 12)
    assert not torch.equal(model(images), other(images))
    theirs.set_weights(ours.get_weights())
    assert torch.equal(model(images), other(images))
    with torch.no_grad():
        model.head.weight.add_(1)
    theirs.set_flat(ours.get_flat())
    assert torch.equal(model(images), other(images))
    assert ours.get_flat_size() == ours.get_flat().size


def test_arrays_are_copies_and_any_dtype_is_taken() -> None:
    layer = torch.nn.Linear(2, 1)
    variables = TorchVariables(layer)
    variables.get_weights()["bias"][:] = 9
    variables.set_weights({"bias": np.array([4.0])})  # float64
    assert layer.bias.dtype is torch.float32 and layer.bias.item() == 4
    half = TorchVariables(torch.nn.Linear(2, 1).bfloat16())
    assert half.get_weights()["weight"].dtype == np.float32
    half.set_flat([1, 2, 3])
    assert half.get_flat().tolist() == [1, 2, 3]


def test_wrong_weights_are_refused() -> None:
    variables = TorchVariables(torch.nn.Linear(2, 1))
    with pytest.raises(ValueError, match="'bias' has shape"):
        variables.set_weights({"bias": np.zeros(2)})
    with pytest.raises(ValueError, match="none of 'b'"):
        variables.set_weights({"b": np.zeros(1)})
    with pytest.raises(TypeError, match="got int"):
        TorchVariables(3)


@pytest.mark.usefixtures("session")
def test_weights_pass_between_tasks() -> None:
    @sundog.remote
    def shifted(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        variables = TorchVariables(torch.nn.Linear(300, 300))
        variables.set_weights(weights)
        variables.set_flat(variables.get_flat() + 1)
        return variables.get_weights()

    ours = TorchVariables(torch.nn.Linear(300, 300))
    before = ours.get_weights()
    ours.set_weights(sundog.get(shifted.remote(sundog.put(before))))
    for name, value in ours.get_weights().items():
        assert np.array_equal(value, (before[name] + 1).astype(np.float32))
