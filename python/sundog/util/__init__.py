"""What programs often need around tasks: the weights of networks as dictionaries of arrays."""

from sundog.util._tensorflow import TensorFlowVariables
from sundog.util._torch_variables import TorchVariables

__all__ = ["TensorFlowVariables", "TorchVariables"]
