"""TorchVariables: the weights of a torch module, by the names of its ``state_dict``."""

from __future__ import annotations

import sys
from collections import OrderedDict

from sundog.util._weights import Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sundog.util._weights import Array


class TorchVariables(Variables):
    """Reads and writes the parameters and persistent buffers of a module as numpy arrays.

    module: a ``torch.nn.Module``, on any device.
    input_variables: name to further tensors to include.

    variables: name to tensor, as ``module.state_dict()`` has them. They are the module's own: what
        is assigned here is there. Values of dtypes that numpy lacks (bfloat16) are read as float32.
    """

    def __init__(self, module: Any, input_variables: Mapping[str, Any] | None = None) -> None:
        if not hasattr(module, "state_dict"):
            raise TypeError(f"TorchVariables takes a torch.nn.Module, got {type(module).__name__}")
        self.variables: OrderedDict[str, Any] = OrderedDict(
            (name, value) for name, value in module.state_dict().items() if hasattr(value, "detach")
        )
        self.variables.update(input_variables or {})

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.variables[name].shape)

    def _read(self) -> dict[str, Array]:
        return {name: as_array(tensor) for name, tensor in self.variables.items()}

    def _write(self, values: dict[str, Array]) -> None:
        import numpy as np

        torch = sys.modules["torch"]
        with torch.no_grad():
            for name, value in values.items():
                # torch refuses read-only and reversed arrays; the copy is small beside assigning.
                self.variables[name].copy_(torch.from_numpy(np.array(value)))


def as_array(tensor: Any) -> Array:
    """A copy of the tensor's values."""
    import numpy as np

    there = tensor.detach().cpu()
    if there.dtype is sys.modules["torch"].bfloat16:
        there = there.float()
    copied: Array = np.array(there.numpy())
    return copied
