"""A beginner's mistakes, each with what it says: printed for test_errors.py to compare."""

import os
import sys
import threading
import time
import traceback
import types

import numpy as np

import sundog


@sundog.remote
def slow(i):
    return i


@sundog.remote
def f():
    return 1


@sundog.remote
def train(cfg):
    return cfg


@sundog.remote
def divide(a, b):
    return a / b


@sundog.remote
def make_lock():
    return {"result": [threading.Lock()]}


@sundog.remote
def exit_now():
    os._exit(3)


lock = threading.Lock()


@sundog.remote
def use_global_lock():
    with lock:
        return 1


def get_of_old_reference():
    old = sundog.put(1)
    sundog.shutdown()
    sundog.init(num_cpus=2, logging_level="error")
    sundog.get(old)


def send_a_class_of_no_file():
    module = types.ModuleType("my_models")
    module.Net = type("Net", (), {"__module__": "my_models"})
    sys.modules["my_models"] = module
    return sundog.get(train.remote(module.Net()))


def write_to_an_array():
    array = sundog.get(sundog.put(np.zeros(4)))
    array[0] = 1


MISTAKES = {
    "called directly": lambda: slow(3),
    "argument missing": lambda: slow.remote(),
    "too many arguments": lambda: slow.remote(1, 2),
    "unknown keyword": lambda: slow.remote(j=1),
    "get of a number": lambda: sundog.get(5),
    "get of a list with a number": lambda: sundog.get([sundog.put(1), 5]),
    "unknown option": lambda: f.options(num_cpu=2),
    "option of a later version": lambda: f.options(scheduling_strategy="SPREAD"),
    "option in the decorator": lambda: sundog.remote(num_cpus=-1),
    "class as a remote function": lambda: sundog.remote(dict),
    "unpicklable argument": lambda: sundog.get(train.remote({"lock": threading.Lock()})),
    "unpicklable deep inside": lambda: train.remote([1, {"a": [threading.Lock()]}]),
    "unpicklable value": lambda: sundog.put({"lines": (line for line in ())}),
    "unpicklable global": lambda: use_global_lock.remote(),
    "unpicklable result": lambda: sundog.get(make_lock.remote()),
    "no such resource": lambda: sundog.get(f.options(num_gpus=1).remote(), timeout=2),
    "exception in a task": lambda: sundog.get(divide.remote(1, 0)),
    "exception in an argument": lambda: sundog.get(train.remote(divide.remote(1, 0))),
    "class that a worker cannot import": send_a_class_of_no_file,
    "worker that exits": lambda: sundog.get(exit_now.options(max_retries=0).remote()),
    "unknown keyword of init": lambda: sundog.init(num_cpu=2),
    "init of a later version": lambda: sundog.init(runtime_env={}),
    "init twice": lambda: sundog.init(),
    "write to an array": write_to_an_array,
    "put of a reference": lambda: sundog.put(sundog.put(1)),
    "wait of one reference": lambda: sundog.wait(sundog.put(1)),
    "value larger than the store": lambda: sundog.put(np.zeros(300 << 20, dtype="u1")),
    "reference of an old session": get_of_old_reference,
}
SECONDS_MAX = {
    "no such resource": 3.0,
    "worker that exits": 2.0,
    "reference of an old session": 3.0,
}


def main() -> int:
    sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")
    sundog.get([slow.remote(1), train.remote(1)])
    status = 0
    for name, mistake in MISTAKES.items():
        print(f"---- {name}")
        began = time.monotonic()
        try:
            mistake()
            text = "nothing was raised"
        except BaseException as error:
            text = "".join(traceback.format_exception(error)).rstrip()
        took = time.monotonic() - began
        print(text)
        if took > SECONDS_MAX.get(name, 1.0):
            print(f"took {took:.1f} s")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
