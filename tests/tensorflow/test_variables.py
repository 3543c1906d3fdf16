"""TensorFlowVariables on graphs and Keras models, with the real TensorFlow (make tensorflow)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import sundog
from sundog.util import TensorFlowVariables

v1 = tf.compat.v1


class Line:
    """A line fitted by gradient descent, and a variable that does not matter."""

    def __init__(self) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.x = v1.placeholder(tf.float32, shape=[100])
            self.y = v1.placeholder(tf.float32, shape=[100])
            slope = v1.get_variable("slope", [1], initializer=v1.random_uniform_initializer(-1, 1))
            with v1.variable_scope("more"):
                offset = v1.get_variable("offset", [1], initializer=v1.zeros_initializer())
            v1.get_variable("unrelated", [3])
            self.loss = tf.reduce_mean(tf.square(slope * self.x + offset - self.y))
            self.train = v1.train.GradientDescentOptimizer(0.5).minimize(self.loss)
            # Before the initializer is made or run, as older programs do it.
            self.variables = TensorFlowVariables(self.loss)
            self.init = v1.global_variables_initializer()
        self.sess = v1.Session(graph=self.graph)
        self.sess.run(self.init)
        self.variables.set_session(self.sess)


@pytest.fixture(params=[True, False], ids=["resource variables", "reference variables"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """A line whose variables are of one of TensorFlow's two kinds."""
    before = v1.resource_variables_enabled()
    (v1.enable_resource_variables if request.param else v1.disable_resource_variables)()
    made = Line()
    yield made
    made.sess.close()
    (v1.enable_resource_variables if before else v1.disable_resource_variables)()


def test_names_are_those_of_the_variables_that_matter(line: Line) -> None:
    names = ["slope", "more/offset"]
    assert list(line.variables.variables) == names
    assert list(line.variables.placeholders) == list(line.variables.assignment_nodes) == names
    assert list(line.variables.get_weights()) == names


def test_weights_are_read_and_assigned(line: Line) -> None:
    line.variables.set_weights({"slope": np.array([2.5]), "more/offset": np.array([1])})  # float64
    weights = line.variables.get_weights()
    assert weights["slope"].dtype == np.float32
    assert weights["slope"].tolist() == [2.5] and weights["more/offset"].tolist() == [1.0]
    line.variables.set_weights({"slope": [7.0], "of another network": [1.0]})
    assert line.variables.get_weights()["slope"].tolist() == [7.0]
    assert line.variables.get_weights()["more/offset"].tolist() == [1.0]


def test_flat_weights_are_one_array(line: Line) -> None:
    line.variables.set_flat(np.array([3.0, 4.0]))
    assert line.variables.get_flat_size() == 2
    assert line.variables.get_flat().tolist() == [3.0, 4.0]
    assert line.variables.get_weights()["more/offset"].tolist() == [4.0]


def test_training_changes_what_is_read(line: Line) -> None:
    before = line.variables.get_weights()
    x = np.random.default_rng(0).random(100)
    line.sess.run(line.train, {line.x: x, line.y: 3 * x + 1})
    assert line.variables.get_weights()["slope"] != before["slope"]


def test_wrong_weights_are_refused_and_nothing_is_assigned(line: Line) -> None:
    line.variables.set_flat([1.0, 2.0])
    with pytest.raises(ValueError, match=r"none of 'a' is a variable .* 'slope', 'more/offset'"):
        line.variables.set_weights({"a": [1.0]})
    with pytest.raises(ValueError, match=r"'slope' has shape \(1,\), got \(2,\)"):
        line.variables.set_weights({"more/offset": [9.0], "slope": [1.0, 2.0]})
    with pytest.raises(ValueError, match="has 2 weights, got 3"):
        line.variables.set_flat(np.zeros(3))
    with pytest.raises(TypeError, match="set_flat"):
        line.variables.set_weights(np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="set_weights"):
        line.variables.set_flat({"slope": [1.0]})
    assert line.variables.get_flat().tolist() == [1.0, 2.0]


def test_without_a_session_it_says_what_to_call() -> None:
    with tf.Graph().as_default():
        variables = TensorFlowVariables(v1.get_variable("w", [2]) * 2.0)
    with pytest.raises(RuntimeError, match="set_session"):
        variables.get_weights()


def test_further_variables_and_several_outputs() -> None:
    with tf.Graph().as_default():
        a, b, c = (v1.get_variable(name, [1]) for name in "abc")
        variables = TensorFlowVariables([a + 1.0, b.op], input_variables=[c])
        assert list(variables.variables) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="depends on no variable"):
            TensorFlowVariables(tf.constant(1.0))
    with pytest.raises(TypeError, match="a Keras model, got int"):
        TensorFlowVariables(3)


def network() -> Any:
    """Layers of equal names in two branches, and one with moving averages."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8), keras.layers.BatchNormalization()]
    )
    model.add(keras.layers.Dense(2))
    return model


def test_keras_models_need_no_session() -> None:
    model, other = network(), network()
    variables, theirs = TensorFlowVariables(model), TensorFlowVariables(other)
    assert len(variables.variables) == len(model.weights) == 8
    assert not any(":" in name for name in variables.variables)
    x = np.random.default_rng(0).random((3, 4)).astype("float32")
    assert not np.allclose(model(x), other(x))
    theirs.set_flat(variables.get_flat().astype("float64"))
    assert np.array_equal(model(x), other(x))
    model.layers[0].kernel.assign_add(np.ones((4, 8)))
    theirs.set_weights(dict(zip(theirs.variables, variables.get_weights().values(), strict=True)))
    assert np.array_equal(model(x), other(x))
    with pytest.raises(TypeError, match="needs none"):
        variables.set_session(object())
    plain = TensorFlowVariables([tf.Variable([1.0], name="v"), tf.Variable([2.0], name="v")])
    assert list(plain.variables) == ["v", "v_1"]


def test_weights_pass_between_tasks() -> None:
    """Four models fit four noisy lines; the mean of their weights is set on all of them."""

    @sundog.remote
    def fit(seed: int, weights: Any) -> Any:
        line = Line()
        if weights is not None:
            line.variables.set_weights(weights)
            return line.variables.get_weights()
        noise = np.random.default_rng(seed)
        for _ in range(200):
            x = noise.random(100)
            line.sess.run(line.train, {line.x: x, line.y: 3 * x + 1 + noise.normal(0, 0.1, 100)})
        return line.variables.get_weights()

    sundog.init(num_cpus=2, logging_level="error")
    try:
        fitted = sundog.get([fit.remote(seed, None) for seed in range(4)])
        mean = {name: np.mean([w[name] for w in fitted], axis=0, dtype=float) for name in fitted[0]}
        assert abs(mean["slope"][0] - 3) < 0.2 and abs(mean["more/offset"][0] - 1) < 0.2
        for weights in sundog.get([fit.remote(seed, mean) for seed in range(4)]):
            assert all(np.array_equal(weights[n], mean[n].astype("float32")) for n in mean)
    finally:
        sundog.shutdown()
