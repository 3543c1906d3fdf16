"""What the weights of every library have in common: names, one flat array, and checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Variables(ABC):
    """The variables of a network by name, read and written as numpy arrays."""

    variables: OrderedDict[str, Any]

    @abstractmethod
    def _shape(self, name: str) -> tuple[int, ...]:
        """The variable's shape."""

    @abstractmethod
    def _read(self) -> dict[str, Array]:
        """Copies of all values, in the order of ``variables``."""

    @abstractmethod
    def _write(self, values: dict[str, Array]) -> None:
        """Assigns checked values; converts them to the variables' dtypes."""

    def get_weights(self) -> dict[str, Array]:
        """Name to value of every variable; the arrays are copies, in the variables' dtypes."""
        return self._read()

    def set_weights(self, new_weights: Mapping[str, Any]) -> None:
        """Assigns the values of ``get_weights``, or of some of the variables.

        new_weights: name to array of the variable's shape, of any dtype that converts to its own.
            Names that the network does not have are passed over, as long as it has one of them.

        Raises TypeError for anything but a mapping, ValueError if no name is known or a shape is
        wrong; then nothing was assigned.
        """
        import numpy as np

        if not hasattr(new_weights, "keys"):
            raise TypeError(
                f"set_weights() takes a dictionary of arrays, got {type(new_weights).__name__}; "
                "set_flat() takes one array"
            )
        known = {
            name: np.asarray(new_weights[name]) for name in self.variables if name in new_weights
        }
        if not known:
            raise ValueError(
                f"set_weights(): none of {_few(new_weights)} is a variable of this network, which "
                f"has {_few(self.variables)}"
            )
        for name, value in known.items():
            if value.shape != self._shape(name):
                raise ValueError(
                    f"set_weights(): '{name}' has shape {self._shape(name)}, got {value.shape}"
                )
        self._write(known)

    def get_flat_size(self) -> int:
        """How many numbers ``get_flat`` returns."""
        return sum(_count(self._shape(name)) for name in self.variables)

    def get_flat(self) -> Array:
        """All weights as one array of shape (get_flat_size(),), in the order of ``variables``.

        Its dtype is the smallest that holds those of all variables.
        """
        import numpy as np

        parts = [value.reshape(-1) for value in self._read().values()]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def set_flat(self, new_weights: Any) -> None:
        """Assigns all weights from one array as ``get_flat`` returns it.

        Raises TypeError for a dictionary, ValueError for a wrong number of weights; then nothing
        was assigned.
        """
        import numpy as np

        if hasattr(new_weights, "keys"):
            raise TypeError("set_flat() takes one array; set_weights() takes a dictionary")
        flat = np.asarray(new_weights).reshape(-1)
        if flat.size != self.get_flat_size():
            raise ValueError(
                f"set_flat(): this network has {self.get_flat_size()} weights, got {flat.size}"
            )
        values = {}
        begin = 0
        for name in self.variables:
            shape = self._shape(name)
            end = begin + _count(shape)
            values[name] = flat[begin:end].reshape(shape)
            begin = end
        self._write(values)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _few(names: Mapping[str, object]) -> str:
    """Up to four names, for a sentence."""
    shown = [f"'{name}'" for name in list(names)[:4]]
    return ", ".join(shown) + (", …" if len(names) > 4 else "") if shown else "no names"
