"""Exercise 11: weights of a TensorFlow graph between processes, by name, averaged, set again."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from demo.outcome import Outcome, require, seconds
from demo.runtime import session, sundog

MODELS = 4
STEPS = 200


class Line:
    """y = w x + b in a graph of its own, fitted by gradient descent."""

    def __init__(self) -> None:
        import tensorflow.compat.v1 as tf

        from sundog.util import TensorFlowVariables

        graph = tf.Graph()
        with graph.as_default():
            self.x = tf.placeholder(tf.float32, [100])
            self.y = tf.placeholder(tf.float32, [100])
            w = tf.Variable(tf.random_uniform([1], -1.0, 1.0))
            b = tf.Variable(tf.zeros([1]))
            loss = tf.reduce_mean(tf.square(w * self.x + b - self.y))
            self.train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
            initialize = tf.global_variables_initializer()
            self.sess = tf.Session()
            self.variables = TensorFlowVariables(loss, self.sess)
            self.sess.run(initialize)

    def fit(self, seed: int) -> None:
        """Fits y = 2 x + 1 with noise."""
        random = np.random.default_rng(seed)
        for _ in range(STEPS):
            x = random.random(100)
            self.sess.run(self.train, {self.x: x, self.y: 2 * x + 1 + random.normal(0, 0.1, 100)})


@sundog.remote
def fitted(seed: int) -> Any:
    """The weights of a line that this process fitted."""
    line = Line()
    line.fit(seed)
    return line.variables.get_weights()


@sundog.remote
def holding(weights: Any, flat: Any) -> tuple[Any, Any]:
    """What a line holds after its weights were set by name, and then as one array."""
    line = Line()
    line.variables.set_weights(weights)
    by_name = line.variables.get_weights()
    line.variables.set_flat(flat)
    return by_name, line.variables.get_flat()


def run() -> Outcome:
    """Four processes fit, the driver averages, four processes hold the average."""
    with session(num_cpus=4):
        start = time.perf_counter()
        weights = sundog.get([fitted.remote(seed) for seed in range(MODELS)])
        names = set(weights[0])
        require(names == {"Variable", "Variable_1"}, f"the variables are called {names}")
        mean: dict[str, Any] = {
            n: np.mean([w[n] for w in weights], axis=0, dtype=np.float64) for n in names
        }
        flat = np.concatenate([mean["Variable"], mean["Variable_1"]])
        for by_name, as_one in sundog.get([holding.remote(mean, flat) for _ in range(MODELS)]):
            for name in names:
                require(
                    bool((by_name[name] == mean[name].astype(np.float32)).all()),
                    f"{name} is {by_name[name]}, not {mean[name]}",
                )
            require(bool(np.allclose(as_one, flat)), f"one array: {as_one}, not {flat}")
        took = time.perf_counter() - start
    slope = float(mean["Variable"][0])
    require(abs(slope - 2) < 0.2, f"the mean slope is {slope}, the line's is 2")
    return Outcome(seconds(took), remark="4 graphs, names without ':0', float64 set")
