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


class Model:
    """A line in a process of its own."""

    def __init__(self, seed: int) -> None:
        self.line = Line()
        self.line.fit(seed)

    def get_weights(self) -> Any:
        """Name to value."""
        return self.line.variables.get_weights()

    def set_weights(self, weights: Any) -> None:
        """A dictionary of arrays."""
        self.line.variables.set_weights(weights)

    def get_flat(self) -> Any:
        """All values as one array."""
        return self.line.variables.get_flat()


ModelActor = sundog.remote(Model)


def run() -> Outcome:
    """Four actors fit a line each, the driver averages their weights, and sets them on all four."""
    with session(num_cpus=4):
        start = time.perf_counter()
        actors = [ModelActor.remote(seed) for seed in range(MODELS)]
        weights = sundog.get([actor.get_weights.remote() for actor in actors])
        names = set(weights[0])
        require(names == {"Variable", "Variable_1"}, f"the variables are called {names}")
        mean: dict[str, Any] = {
            n: np.mean([w[n] for w in weights], axis=0, dtype=np.float64) for n in names
        }
        sundog.get([actor.set_weights.remote(mean) for actor in actors])
        for held in sundog.get([actor.get_weights.remote() for actor in actors]):
            for name in names:
                require(
                    bool((held[name] == mean[name].astype(np.float32)).all()),
                    f"{name} is {held[name]}, not {mean[name]}",
                )
        flat = np.concatenate([mean["Variable"], mean["Variable_1"]])
        for one in sundog.get([actor.get_flat.remote() for actor in actors]):
            require(bool(np.allclose(one, flat)), f"as one array {one}, not {flat}")
        took = time.perf_counter() - start
    slope = float(mean["Variable"][0])
    require(abs(slope - 2) < 0.2, f"the mean slope is {slope}, the line's is 2")
    return Outcome(seconds(took), remark="4 actors, 4 graphs; float64 means set")
