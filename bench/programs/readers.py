"""Eight workers that each sum one array of 400 MB and keep it: memory of them all."""

import gc
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import processes
from bench.programs.contestant import CANNOT, init, report, sundog

READERS = 8
BYTES = 400_000_000
Array = np.ndarray[tuple[int], np.dtype[np.uint64]]


def mapping_of(address: int) -> str:
    """The name of the mapping in /proc/self/maps that holds `address`."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        low, high = (int(end, 16) for end in fields[0].split("-"))
        if low <= address < high:
            return fields[5] if len(fields) > 5 else "private memory"
    return "nowhere"


@sundog.remote
def read_and_keep(array: Array, folder: str, number: int) -> int:
    result = int(array.sum())
    told = {
        "pid": os.getpid(),
        "sum": result,
        "mapping": mapping_of(array.__array_interface__["data"][0]),
    }
    name = Path(folder, f"{number}.json")
    name.with_suffix(".part").write_text(json.dumps(told))
    name.with_suffix(".part").rename(name)
    gate = os.open(Path(folder, "gate"), os.O_RDONLY)
    assert os.read(gate, 1) == b"."  # the driver writes one byte for each reader
    os.close(gate)
    return int(array[0]) + result


def main() -> None:
    init(num_cpus=READERS)
    array = np.arange(BYTES // 8, dtype=np.uint64)
    expected = int(array.sum())
    ref = sundog.put(array)
    del array
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(Path(folder, "gate"))
        gate = os.open(Path(folder, "gate"), os.O_RDWR)
        sums = [read_and_keep.remote(ref, folder, number) for number in range(READERS)]
        deadline = time.monotonic() + 120
        while len(list(Path(folder).glob("*.json"))) < READERS:
            assert time.monotonic() < deadline, "the readers did not all start"
            time.sleep(0.05)
        told = [json.loads(name.read_text()) for name in Path(folder).glob("*.json")]
        workers = processes.pss_bytes([one["pid"] for one in told]) / 1e6
        everything = processes.pss_bytes(processes.session_pids()) / 1e6
        os.write(gate, b"." * READERS)
        assert sundog.get(sums) == [expected] * READERS
        os.close(gate)
    assert {one["sum"] for one in told} == {expected}
    assert len({one["pid"] for one in told}) == READERS, "two readers shared a process"
    mappings = {one["mapping"] for one in told}
    if "one copy for all" not in CANNOT:
        assert all("private" not in name and "heap" not in name for name in mappings), mappings
    report("8 readers of 400 MB, workers", workers, "MB")
    report("8 readers of 400 MB, session", everything, "MB")


if __name__ == "__main__":
    main()
