"""Hyper-parameter search on scikit-learn's handwritten digits, serial and parallel."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from demo.outcome import Outcome, require
from demo.runtime import session, sundog
from demo.speedup import compare

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)
WIDTHS = (0.001, 0.003, 0.01, 0.03)
FOLDS = 5


def accuracy(images: Any, labels: Any, penalty: float, width: float) -> float:
    """Mean accuracy over FOLDS folds of one support vector machine; it uses one thread."""
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    model = SVC(C=penalty, gamma=width)
    return float(cross_val_score(model, images, labels, cv=FOLDS, n_jobs=1).mean())


remote_accuracy = sundog.remote(accuracy)


def run() -> Outcome:
    """Twenty models, fitted one after the other, then as tasks on one shared data set."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images /= 16.0
    grid = list(itertools.product(PENALTIES, WIDTHS))
    accuracy(images[:200], labels[:200], 1.0, 0.01)  # imports are not part of the figure
    start = time.perf_counter()
    serial = [accuracy(images, labels, *point) for point in grid]
    serial_seconds = time.perf_counter() - start
    preload = ["sklearn.svm", "sklearn.model_selection"]
    with session(num_cpus=len(os.sched_getaffinity(0)), preload=preload, settle=3.0):
        start = time.perf_counter()
        shared = sundog.put(images), sundog.put(labels)
        parallel = sundog.get([remote_accuracy.remote(*shared, *point) for point in grid])
        parallel_seconds = time.perf_counter() - start
    require(serial == parallel, "serial and parallel accuracies differ")
    best, (penalty, width) = max(zip(serial, grid, strict=True))
    remark = f"{len(grid)} models; best {best:.1%} at C={penalty:g}, gamma={width:g}"
    return compare(serial_seconds, parallel_seconds, remark)
