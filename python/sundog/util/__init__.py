"""What programs often need around tasks and actors: the weights of networks as dictionaries of
arrays, the names of actors."""

from sundog._actor_names import list_named_actors
from sundog.util._tensorflow import TensorFlowVariables
from sundog.util._torch_variables import TorchVariables

__all__ = ["TensorFlowVariables", "TorchVariables", "list_named_actors"]
