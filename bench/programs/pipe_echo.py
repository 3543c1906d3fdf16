"""The floor that Python users know: one small message to another Python process and back."""

import json
import multiprocessing
import time
from multiprocessing.connection import Connection

SECONDS = 1.0


def echo(connection: "Connection[object, object]") -> None:
    while (message := connection.recv()) is not None:
        connection.send(message)


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=echo, args=(theirs,))
    process.start()
    done = 0
    start = time.perf_counter()
    while time.perf_counter() < start + SECONDS:
        ours.send((done, "nothing"))
        assert ours.recv() == (done, "nothing")
        done += 1
    took = time.perf_counter() - start
    ours.send(None)
    process.join()
    print(json.dumps({"metric": "Python pipe echo", "unit": "/s", "value": done / took}))


if __name__ == "__main__":
    main()
