"""What pickle takes for the same 400 MB of weights, in one process."""

import json
import pickle
import time

from bench.programs.weights_of import make_weights

ROUNDS = 3


def main() -> None:
    weights = make_weights()
    dumps, loads = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        data = pickle.dumps(weights)
        middle = time.perf_counter()
        value = pickle.loads(data)
        dumps.append(middle - start)
        loads.append(time.perf_counter() - middle)
        del value, data
    for metric, samples in (("pickle.dumps", dumps), ("pickle.loads", loads)):
        print(json.dumps({"metric": metric, "unit": "ms", "value": min(samples) * 1e3}))


if __name__ == "__main__":
    main()
