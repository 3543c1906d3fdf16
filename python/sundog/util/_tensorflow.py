"""TensorFlowVariables: the weights of a TensorFlow graph or of a Keras model.

TensorFlow is never imported before its user did: whoever has a tensor or a model has it.
"""

from __future__ import annotations

import sys
from collections import OrderedDict

from sundog.util._weights import Variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sundog.util._weights import Array

# Operations of a graph that hold a variable.
VARIABLE_KINDS = frozenset({"Variable", "VariableV2", "AutoReloadVariable", "VarHandleOp"})


class TensorFlowVariables(Variables):
    """Reads and writes the variables that a tensor of a graph depends on, or those of a model.

    output: a tensor or operation of a graph (``tf.compat.v1``), such as the loss, or a list of
        them; or a Keras model, or anything else that has its variables in ``variables``.
    sess: the session in which the graph runs; ``set_session`` gives it later. Not for models.
    input_variables: further variables to include.

    It may be made before the variables are initialized: it adds placeholders and assignments to the
    graph and reads nothing.

    variables: name to variable, in the order in which they were made. A name has no ":0".
    placeholders, assignment_nodes: name to placeholder, and to the operation that assigns it; empty
        for models.
    """

    def __init__(
        self, output: Any, sess: Any = None, input_variables: Iterable[Any] | None = None
    ) -> None:
        self.sess = sess
        self.variables: OrderedDict[str, Any] = OrderedDict()
        self.placeholders: OrderedDict[str, Any] = OrderedDict()
        self.assignment_nodes: OrderedDict[str, Any] = OrderedDict()
        further = list(input_variables or ())
        outputs = list(output) if isinstance(output, (list, tuple)) else [output]
        operations = [operation_of(one) for one in outputs]
        self._graph: Any = None
        if operations and all(operation is not None for operation in operations):
            self._graph = operations[0].graph
            self._take_graph(operations, further)
        else:
            if sess is not None:
                raise TypeError(
                    "TensorFlowVariables: a model that runs eagerly needs no session; leave out "
                    "`sess`, or give a tensor of the graph that the session runs"
                )
            self._take_model(output, further)
        if not self.variables:
            raise ValueError(f"TensorFlowVariables: {output!r} depends on no variable")

    def set_session(self, sess: Any) -> None:
        """The session to read and assign in from now on."""
        if self._graph is None:
            raise TypeError("set_session(): these are the variables of a model that needs none")
        self.sess = sess

    def _take_graph(self, operations: list[Any], further: list[Any]) -> None:
        v1 = sys.modules["tensorflow"].compat.v1
        below = variable_names_below(operations) | {name_of(v) for v in further}
        with self._graph.as_default():
            for variable in v1.global_variables():
                name = name_of(variable)
                if name in below:
                    self.variables[name] = variable
            for name, variable in self.variables.items():
                place = v1.placeholder(
                    variable.dtype.base_dtype, variable.get_shape(), name=f"Placeholder_{name}"
                )
                self.placeholders[name] = place
                self.assignment_nodes[name] = variable.assign(place).op

    def _take_model(self, output: Any, further: list[Any]) -> None:
        held = getattr(output, "weights", None)
        if held is None:
            held = getattr(output, "variables", output)
        if not isinstance(held, (list, tuple)):
            raise TypeError(
                "TensorFlowVariables takes a tensor of a graph or a Keras model, got "
                f"{type(output).__name__}"
            )
        for variable in [*held, *further]:
            name = unused_name(name_of(variable), self.variables)
            self.variables[name] = variable

    def _session(self) -> Any:
        if self.sess is None:
            raise RuntimeError(
                "TensorFlowVariables has no session yet: call set_session(sess) before reading or "
                "assigning weights"
            )
        return self.sess

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in self.variables[name].shape)

    def _read(self) -> dict[str, Array]:
        import numpy as np

        if self._graph is not None:
            read: dict[str, Array] = self._session().run(dict(self.variables))
            return {name: np.array(read[name]) for name in self.variables}
        return {name: np.array(v.numpy()) for name, v in self.variables.items()}

    def _write(self, values: dict[str, Array]) -> None:
        if self._graph is None:
            for name, value in values.items():
                variable = self.variables[name]
                variable.assign(value.astype(numpy_dtype_of(variable)))
            return
        self._session().run(
            [self.assignment_nodes[name] for name in values],
            feed_dict={
                self.placeholders[name]: value.astype(self.placeholders[name].dtype.as_numpy_dtype)
                for name, value in values.items()
            },
        )


def operation_of(output: Any) -> Any:
    """The operation of a graph that makes the output; None for what is not in a graph."""
    graph = getattr(output, "graph", None)
    if graph is None or not hasattr(graph, "as_default"):
        return None
    return output if hasattr(output, "node_def") else getattr(output, "op", None)


def variable_names_below(operations: list[Any]) -> set[str]:
    """Names of the variables that any of the operations depends on."""
    names: set[str] = set()
    seen: set[str] = set()
    waiting = list(operations)
    while waiting:
        operation = waiting.pop()
        if operation is None or operation.name in seen:
            continue
        seen.add(operation.name)
        if operation.type in VARIABLE_KINDS:
            names.add(operation.name)
        waiting.extend(tensor.op for tensor in operation.inputs)
        waiting.extend(operation.control_inputs)
    return names


def name_of(variable: Any) -> str:
    """``dense/kernel``: unique within a model, without the output's number."""
    name = getattr(variable, "path", None) or variable.name
    return str(name).split(":")[0]


def unused_name(name: str, taken: OrderedDict[str, Any]) -> str:
    """The name itself, or with _1, _2, ... as TensorFlow numbers equal names."""
    number, unique = 0, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def numpy_dtype_of(variable: Any) -> Any:
    """A variable's dtype for numpy; Keras names it by a string, TensorFlow by a type."""
    dtype = variable.dtype
    if isinstance(dtype, str):
        dtype = sys.modules["tensorflow"].as_dtype(dtype)
    return dtype.as_numpy_dtype
