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


@sundog.remote
class Counter:
    """Counts."""

    def __init__(self, start):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value

    def fail(self):
        raise KeyError(self.value)

    def exit(self):
        os._exit(4)


@sundog.remote
class Broken:
    def __init__(self, path):
        self.size = os.stat(path).st_size

    def read(self):
        return 1


class Waiting:
    async def fetch(self):
        return 1


def counter():
    """One actor for all mistakes; it is made when it is first asked for."""
    return Counter.options(name="counter", get_if_exists=True).remote(1)


def call_of_broken_actor():
    broken = Broken.remote("/no/such/file")
    sundog.get(broken.read.remote())


def call_after_kill():
    killed = Counter.remote(1)
    sundog.get(killed.increment.remote())
    sundog.kill(killed)
    sundog.get(killed.increment.remote())


def call_of_actor_that_exits():
    sundog.get(Counter.remote(1).exit.remote())


def call_of_old_handle():
    old = counter()
    sundog.shutdown()
    sundog.init(num_cpus=2, logging_level="error")
    old.increment.remote()


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
    "actor class called directly": lambda: Counter(3),
    "actor's argument missing": lambda: Counter.remote(),
    "method called directly": lambda: counter().increment(3),
    "method's argument unknown": lambda: counter().increment.remote(to=3),
    "method of the class": lambda: Counter.increment(3),
    "no such method": lambda: counter().incremnt.remote(),
    "attribute of an actor": lambda: counter().value,
    "unknown option of an actor": lambda: Counter.options(max_restart=1),
    "option of a method": lambda: counter().increment.options(num_cpus=1),
    "asynchronous actor": lambda: sundog.remote(Waiting),
    "name that is taken": lambda: (counter(), Counter.options(name="counter").remote(1)),
    "no actor of this name": lambda: (counter(), sundog.get_actor("countre")),
    "kill of a reference": lambda: sundog.kill(sundog.put(1)),
    "exit_actor in a program": lambda: sundog.actor.exit_actor(),
    "get of an actor": lambda: sundog.get(counter()),
    "unpicklable argument of a method": lambda: counter().increment.remote(threading.Lock()),
    "exception in a method": lambda: sundog.get(counter().fail.remote()),
    "constructor that raises": call_of_broken_actor,
    "call of a killed actor": call_after_kill,
    "actor that exits": call_of_actor_that_exits,
    "handle of an old session": call_of_old_handle,
    "reference of an old session": get_of_old_reference,
}
SECONDS_MAX = {
    "no such resource": 3.0,
    "worker that exits": 2.0,
    "actor that exits": 2.0,
    "handle of an old session": 3.0,
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
