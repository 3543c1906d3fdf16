"""A beginner's mistakes, each with what it says: printed for test_errors.py to compare."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types

import numpy as np

import sundog
from sundog.util import metrics
from sundog.util.multiprocessing import Pool

# Of a runtime environment that cannot be had.
NO_PYTHON = {"py_executable": "/there/is/no/python"}


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


@sundog.remote(num_returns=2)
def one_of_two():
    return 1


@sundog.remote
def end_the_session():
    sundog.shutdown()


@sundog.remote
def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


@sundog.remote
def import_what_is_not_there():
    import no_such_module  # noqa: F401


@sundog.remote
def nap(seconds):
    time.sleep(seconds)


class AwkwardError(Exception):
    def __init__(self, text, *, lock):
        super().__init__(text)
        self.lock = lock


@sundog.remote
def raise_what_cannot_travel():
    raise AwkwardError("odd", lock=threading.Lock())


@sundog.remote
def get_inside():
    return sundog.get(divide.remote(1, 0))


@sundog.remote
def write_to(array):
    array[0] = 1


@sundog.remote
def use_a_name_of_elsewhere(key):
    return cache[key]  # noqa: F821


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


async def fetch():
    return 1


async def fetch_all():
    yield 1


@sundog.remote(concurrency_groups={"io": 2, "compute": 1}, max_pending_calls=1)
class Grouped:
    async def stay(self):
        import asyncio

        await asyncio.Event().wait()

    def read(self):
        return 1


def counter():
    """One actor for all mistakes; it is made when it is first asked for."""
    return Counter.options(name="counter", get_if_exists=True).remote(1)


def call_in_no_group():
    grouped = Grouped.remote()
    sundog.get(grouped.read.remote())  # it runs: its process is known
    sundog.get(grouped.read.options(concurrency_group="net").remote())


def too_many_calls():
    grouped = Grouped.remote()
    kept = grouped.stay.remote()
    grouped.stay.remote()
    del kept


@sundog.remote
def to_gpu():
    """As torch does it where it finds no GPU."""
    sys.modules["torch"] = types.SimpleNamespace(
        cuda=types.SimpleNamespace(is_available=lambda: False)
    )
    raise RuntimeError("Found no NVIDIA driver on your system.")


# What another program of this session is; a notebook's kernel is one.
OF_ANOTHER = """
import sundog, sys
sundog.init("auto", namespace=sys.argv[1], logging_level="error")

@sundog.remote
class Server:
    def ask(self): return 1

server = Server.options(name="server").remote()
sundog.get(server.ask.remote())
print(flush=True)
sys.stdin.read()
"""


def call_after_its_program_was_killed():
    space = sundog.get_runtime_context().namespace
    words = [sys.executable, "-c", OF_ANOTHER, space]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as kernel:
        kernel.stdout.readline()
        server = sundog.get_actor("server")
        kernel.kill()
    while True:  # until the daemon has seen the end
        sundog.get(server.ask.remote(), timeout=2)


def import_ray_beside_a_real_one():
    import ray  # noqa: F401


def beside_a_real_ray():
    """Both are installed, as pip leaves them."""
    ours = os.path.join(os.path.dirname(__file__), "..", "..", "compat", "ray")
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "ray-2.60.0.dist-info"))
        path, sys.path = sys.path, [os.path.abspath(ours), folder, *sys.path]
        try:
            import_ray_beside_a_real_one()
        finally:
            sys.path = path


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


def wait_for_one_twice():
    ref = sundog.put(1)
    sundog.wait([ref, ref])


def count_up():
    yield 1


def stream_that_is_sent():
    stream = sundog.remote(count_up).remote()
    train.remote(stream)


def value_into_a_stream():
    sundog.remote(count_up).remote().send(1)


def cpp_function_without_workers():
    sundog.get(sundog.cpp_function("add").remote(1, 2), timeout=0.1)


def get_of_cancelled():
    earlier = nap.remote(30)
    ref = nap.remote(earlier)  # cannot have begun
    sundog.cancel(ref)
    sundog.cancel(earlier)
    sundog.get(ref)


def get_of_another_node():
    strategy = sundog.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        "f" * 32, soft=False
    )
    return sundog.get(slow.options(scheduling_strategy=strategy).remote(1))


def join_anew(address, **options):
    sundog.shutdown()
    return sundog.init(address, logging_level="error", **options)


def init_anew(**options):
    sundog.shutdown()
    return sundog.init(**{"num_cpus": 2, "logging_level": "error", **options})


def get_without_a_daemon():
    init_anew()
    ref = nap.remote(60)
    os.kill(sundog._core.current_session().info()["daemon_pid"], signal.SIGKILL)
    sundog.get(ref)


def pool_with_a_context():
    Pool(1, context="spawn")


def no_database():
    raise RuntimeError("no database")


def pool_whose_initializer_raises():
    with Pool(1, initializer=no_database) as pool:
        pool.apply(divide, (1, 2))


def send_a_lock_to_a_pool():
    with Pool(1) as pool:
        pool.apply(len, (threading.Lock(),))


def group_of(*bundles, **options):
    return sundog.util.placement_group(list(bundles), **options)


def call_in_a_removed_group():
    group = group_of({"CPU": 1})
    sundog.util.remove_placement_group(group)
    sundog.get(f.options(placement_group=group).remote())


def call_too_large_for_its_group():
    group = group_of({"CPU": 1})
    try:
        f.options(placement_group=group, num_cpus=2).remote()
    finally:
        sundog.util.remove_placement_group(group)


def count_with_an_unknown_tag():
    metrics.Counter("requests", tag_keys=("path",)).inc(tags={"paht": "/"})


def init_with_a_wrong_variable():
    os.environ["SUNDOG_NUM_GPUS"] = "many"
    try:
        init_anew()
    finally:
        del os.environ["SUNDOG_NUM_GPUS"]


def ask_without_a_session():
    sundog.shutdown()
    sundog.available_resources()


def call_in_a_fork():
    init_anew()
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            sundog.put(1)
        except sundog.exceptions.SundogError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.wait()
    os.close(writing)
    with os.fdopen(reading) as told:
        raise sundog.exceptions.SundogError(told.read())


def write_to_an_array():
    array = sundog.get(sundog.put(np.zeros(4)))
    array[0] = 1


def environment_for_each_call():
    """As if all that may be were asked for already."""
    from sundog import _environment

    before = {(0, str(i)): 1 for i in range(_environment.DEFINED_MAX)}
    _environment._defined.update(before)
    try:
        f.options(runtime_env={"env_vars": {"NUMBER": "one more"}}).remote()
    finally:
        for key in before:
            del _environment._defined[key]


NO_PATTERN = {"working_dir": ".", "excludes": ["[z-a]"]}
MISTAKES = {
    "called directly": lambda: slow(3),
    "argument missing": lambda: slow.remote(),
    "too many arguments": lambda: slow.remote(1, 2),
    "unknown keyword": lambda: slow.remote(j=1),
    "get of a number": lambda: sundog.get(5),
    "get of a list with a number": lambda: sundog.get([sundog.put(1), 5]),
    "unknown option": lambda: f.options(num_cpu=2),
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
    "device that does not exist": lambda: sundog.get(to_gpu.remote()),
    "real Ray beside the name ray": beside_a_real_ray,
    "worker that exits": lambda: sundog.get(exit_now.options(max_retries=0).remote()),
    "unknown keyword of init": lambda: sundog.init(num_cpu=2),
    "init of a later version": lambda: sundog.init(dashboard_host="0.0.0.0"),
    "a format that is left to the program": lambda: sundog.init(
        logging_format="%(message)s", configure_logging=False
    ),
    "a logging configuration of another encoding": lambda: sundog.LoggingConfig(encoding="XML"),
    "a logging configuration of Python's": lambda: sundog.init(logging_config={"version": 1}),
    "a job's virtual machine": lambda: sundog.job_config.JobConfig(jvm_options=["-Xmx1g"]),
    "a label of the session's own": lambda: sundog.init(labels={"ray.io/node-id": "a"}),
    "a selector without its bracket": lambda: slow.options(label_selector={"zone": "in(a"}),
    "a fallback that asks for resources": lambda: slow.options(fallback_strategy=[{"CPU": 1}]),
    "a filter of an attribute that is not there": lambda: sundog.util.state.list_tasks(
        filters=[("stat", "=", "FAILED")]
    ),
    "a log by a path": lambda: sundog.util.state.get_log(filename="../zygote.config"),
    "a log that is not there": lambda: sundog.util.state.get_log(filename="deamon.log"),
    "two logs at once": lambda: sundog.util.state.get_log(filename="daemon.log", pid=1),
    "a filter that compares otherwise": lambda: sundog.util.state.list_tasks(
        filters=[("state", "like", "FAILED")]
    ),
    "assigned resources of a driver": lambda: sundog.get_runtime_context().get_assigned_resources(),
    "environment of an unknown key": lambda: sundog.init(runtime_env={"env_var": {}}),
    "environment that is not made here": lambda: f.options(runtime_env={"conda": "mine"}),
    "variable that is no string": lambda: f.options(runtime_env={"env_vars": {"THREADS": 1}}),
    "environment that cannot be had": lambda: sundog.get(f.options(runtime_env=NO_PYTHON).remote()),
    "pattern that is none": lambda: f.options(runtime_env=NO_PATTERN),
    "command that is not closed": lambda: f.options(runtime_env={"py_executable": "python 'x"}),
    "environment for each call": environment_for_each_call,
    "init twice": lambda: sundog.init(),
    "write to an array": write_to_an_array,
    "put of a reference": lambda: sundog.put(sundog.put(1)),
    "wait of one reference": lambda: sundog.wait(sundog.put(1)),
    "value larger than the store": lambda: sundog.put(np.zeros(300 << 20, dtype="u1")),
    "get of a generator": lambda: sundog.get(f.remote() for _ in range(2)),
    "get with a negative timeout": lambda: sundog.get(sundog.put(1), timeout=-1),
    "wait for more than there are": lambda: sundog.wait([sundog.put(1)], num_returns=2),
    "wait for one twice": wait_for_one_twice,
    "wait with a timeout in quotes": lambda: sundog.wait([sundog.put(1)], timeout="1"),
    "explain of a number": lambda: sundog.explain(5),
    "number as a remote function": lambda: sundog.remote(5),
    "remote function made remote": lambda: sundog.remote(f),
    "function and options at once": lambda: sundog.remote(slow, num_cpus=2),
    "amount in quotes": lambda: f.options(num_cpus="2"),
    "CPU as a custom resource": lambda: f.options(resources={"CPU": 2}),
    "more CPUs than there are": lambda: sundog.get(f.options(num_cpus=64).remote(), timeout=0.1),
    "longer than the timeout": lambda: sundog.get(nap.remote(1), timeout=0.1),
    "fewer results than declared": lambda: sundog.get(one_of_two.remote()),
    "exception of an inner task": lambda: sundog.get(get_inside.remote()),
    "exception that cannot be pickled": lambda: sundog.get(raise_what_cannot_travel.remote()),
    "module that is not there": lambda: sundog.get(import_what_is_not_there.remote()),
    "name that is not there": lambda: sundog.get(use_a_name_of_elsewhere.remote(1)),
    "write to an argument": lambda: sundog.get(write_to.remote(sundog.put(np.zeros(4)))),
    "shutdown in a task": lambda: sundog.get(end_the_session.remote()),
    "worker killed by a signal": lambda: sundog.get(crash.options(max_retries=0).remote()),
    "actor class called directly": lambda: Counter(3),
    "actor's argument missing": lambda: Counter.remote(),
    "method called directly": lambda: counter().increment(3),
    "method's argument unknown": lambda: counter().increment.remote(to=3),
    "method of the class": lambda: Counter.increment(3),
    "no such method": lambda: counter().incremnt.remote(),
    "attribute of an actor": lambda: counter().value,
    "unknown option of an actor": lambda: Counter.options(max_restart=1),
    "option of a method": lambda: counter().increment.options(num_cpus=1),
    "asynchronous function": lambda: sundog.remote(fetch),
    "asynchronous generator": lambda: sundog.remote(fetch_all),
    "unknown concurrency group": call_in_no_group,
    "too many pending calls": too_many_calls,
    "too many calls at once": lambda: Counter.options(max_concurrency=20_000),
    "name that is taken": lambda: (counter(), Counter.options(name="counter").remote(1)),
    "no actor of this name": lambda: (counter(), sundog.get_actor("countre")),
    "name that is too long": lambda: Counter.options(name="x" * 300),
    "more memory than there is": lambda: sundog.get(f.options(memory=2**47).remote(), timeout=0.1),
    "memory in gigabytes": lambda: f.options(memory=1.5),
    "kill of a reference": lambda: sundog.kill(sundog.put(1)),
    "exit_actor in a program": lambda: sundog.actor.exit_actor(),
    "get of an actor": lambda: sundog.get(counter()),
    "unpicklable argument of a method": lambda: counter().increment.remote(threading.Lock()),
    "exception in a method": lambda: sundog.get(counter().fail.remote()),
    "actor that needs what is not there": lambda: sundog.get(
        Counter.options(num_gpus=1).remote(1).increment.remote(), timeout=0.1
    ),
    "actor of a killed notebook": call_after_its_program_was_killed,
    "constructor that raises": call_of_broken_actor,
    "call of a killed actor": call_after_kill,
    "actor that exits": call_of_actor_that_exits,
    "handle of an old session": call_of_old_handle,
    "reference of an old session": get_of_old_reference,
    "cancel of a list": lambda: sundog.cancel([f.remote()]),
    "cancel of an actor": lambda: sundog.cancel(counter()),
    "cancel of what was put": lambda: sundog.cancel(sundog.put(1)),
    "get of a cancelled task": get_of_cancelled,
    "get of a task that runs too long": lambda: sundog.get(nap.options(timeout_s=0.2).remote(30)),
    "generator as an argument": stream_that_is_sent,
    "value into a generator": value_into_a_stream,
    "number as the name of a C++ function": lambda: sundog.cpp_function(3),
    "types of exceptions in C++": lambda: sundog.cpp_function("add").options(
        retry_exceptions=[ValueError]
    ),
    "no worker of C++": cpp_function_without_workers,
    "timeout in words": lambda: f.options(timeout_s="1 s"),
    "unknown level": lambda: sundog.init(logging_level="loud"),
    "store in gigabytes": lambda: init_anew(object_store_memory=2),
    "modules as text": lambda: init_anew(preload="numpy"),
    "address of another machine": lambda: join_anew("10.0.0.1:6379"),
    "task of a node that is not here": get_of_another_node,
    "weight that is none": lambda: init_anew(job_weight=0),
    "map over nothing": lambda: sundog.map(divide),
    "map of no function": lambda: sundog.map(3, [1]),
    "map with several results": lambda: sundog.map(divide, [1], num_returns=2),
    "pool with a context": pool_with_a_context,
    "initializer of a pool": pool_whose_initializer_raises,
    "call of a pool that cannot be sent": send_a_lock_to_a_pool,
    "group without bundles": lambda: group_of(),
    "group with an unknown strategy": lambda: group_of({"CPU": 1}, strategy="PACKED"),
    "group that can never be": lambda: sundog.get(group_of({"CPU": 64}).ready(), timeout=0.1),
    "no group of this name": lambda: sundog.util.get_placement_group("trainers"),
    "call in a removed group": call_in_a_removed_group,
    "call too large for its group": call_too_large_for_its_group,
    "metric with an unknown tag": count_with_an_unknown_tag,
    "metric that shrinks": lambda: metrics.Counter("shrinks").inc(-1),
    "histogram without boundaries": lambda: metrics.Histogram("seconds"),
    "setting that is no number": init_with_a_wrong_variable,
    "no session to join": lambda: join_anew("auto"),
    "session of this name does not run": lambda: join_anew("ab12"),
    "session that has ended": lambda: join_anew("/run/sundog-1000/ab12.sock"),
    "joining with CPUs of its own": lambda: join_anew("auto", num_cpus=2),
    "question without a session": ask_without_a_session,
    "call in a forked child": call_in_a_fork,
    "daemon killed": get_without_a_daemon,
}
SECONDS_MAX = {
    "actor of a killed notebook": 5.0,
    "no such resource": 3.0,
    "worker that exits": 2.0,
    "actor that exits": 2.0,
    "handle of an old session": 3.0,
    "reference of an old session": 3.0,
    "call in a forked child": 2.0,
    "daemon killed": 2.0,
}


def main() -> int:
    sundog.init(
        num_cpus=2, object_store_memory=256 << 20, _memory=2_000_000_000, logging_level="error"
    )
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
