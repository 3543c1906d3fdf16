"""How many GPUs a machine has: NVML's answer, and what is asked when NVML has none.

A machine with an NVIDIA driver is asked for real (`test_the_driver_and_nvidia_smi_agree`).
Elsewhere a library of a few lines stands in for NVML, to see each way in which it can refuse.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import run_program

import sundog
from sundog import _machine

NVML_SOURCE = """
int sessions = 0;
int nvmlInit_v2(void) { if (!INIT) ++sessions; return INIT; }
int nvmlShutdown(void) { --sessions; return 0; }
#ifdef COUNT
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return COUNT; }
#endif
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `dev` and `proc` of a machine whose driver is there, but no NVML and no GPU."""
    for name in ("dev", "proc/gpus"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"):
        (tmp_path / "dev" / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(_machine, "DEVICES", str(tmp_path / "dev"))
    monkeypatch.setattr(_machine, "NVIDIA_DRIVER", str(tmp_path / "proc"))
    monkeypatch.setattr(_machine, "NVML", str(tmp_path / "nvml.so"))
    return tmp_path


def build_nvml(machine: Path, *definitions: str) -> ctypes.CDLL:
    """Makes `nvml.so`, whose functions answer as the definitions say; 0 is success."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler is installed")
    source, library = machine / "nvml.c", machine / "nvml.so"
    source.write_text(NVML_SOURCE)
    flags = [f"-D{definition}" for definition in definitions]
    subprocess.run(
        [compiler, "-shared", "-fPIC", *flags, "-o", str(library), str(source)], check=True
    )
    return ctypes.CDLL(str(library))


def count() -> tuple[float, str]:
    found = _machine.gpus()
    return found.value, found.reason


def test_nvml_counts_and_is_closed_again(machine: Path) -> None:
    nvml = build_nvml(machine, "INIT=0", "COUNT=0")
    (machine / "dev" / "nvidia0").touch()
    assert count() == (3, "NVML")
    assert ctypes.c_int.in_dll(nvml, "sessions").value == 0


@pytest.mark.parametrize(
    "definitions",
    [
        (),  # no library at all
        ("INIT=9", "COUNT=0"),  # the driver is not loaded
        ("INIT=0", "COUNT=999"),  # an unknown error, after it was opened
        ("INIT=0",),  # a library without the function
    ],
)
def test_without_nvml_the_device_files_count(machine: Path, definitions: tuple[str, ...]) -> None:
    nvml = build_nvml(machine, *definitions) if definitions else None
    for name in ("nvidia0", "nvidia11"):
        (machine / "dev" / name).touch()
    (machine / "proc" / "gpus" / "0000:01:00.0").mkdir()
    assert count() == (2, "device files")
    if nvml is not None:
        assert ctypes.c_int.in_dll(nvml, "sessions").value == 0


def test_without_device_files_the_kernel_module_counts(machine: Path) -> None:
    for address in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (machine / "proc" / "gpus" / address).mkdir()
    assert count() == (3, "nvidia driver")


def test_a_file_that_is_no_library_is_no_nvml(machine: Path) -> None:
    (machine / "nvml.so").write_text("not ELF")
    (machine / "dev" / "nvidia0").touch()
    assert count() == (1, "device files")


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [("", 0), ("-1", 0), ("NoDevFiles", 0), ("2", 1), ("0, 3", 2), ("GPU-ab,MIG-cd", 2)],
)
def test_the_variable_is_believed(
    machine: Path, monkeypatch: pytest.MonkeyPatch, variable: str, gpus: int
) -> None:
    (machine / "dev" / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert count() == (gpus, "CUDA_VISIBLE_DEVICES")


def test_without_a_driver_nothing_is_loaded(tmp_path: Path) -> None:
    program = f"""
        import os, sys
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        from sundog import _machine
        _machine.DEVICES = _machine.NVIDIA_DRIVER = {str(tmp_path / "nothing")!r}
        _machine.NVML = "libm.so.6"
        found = _machine.gpus()
        print(found.value, found.reason, "ctypes" in sys.modules)
    """
    assert run_program(program, tmp_path).stdout == "0 no nvidia driver False\n"


def test_a_session_that_is_told_does_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> _machine.Amount:
        raise AssertionError("the machine was asked for its GPUs")

    monkeypatch.setattr(_machine, "gpus", asked)
    sundog.init(num_cpus=1, num_gpus=2, object_store_memory=64 << 20, logging_level="warning")
    assert sundog.cluster_resources()["GPU"] == 2


@pytest.mark.skipif(not shutil.which("nvidia-smi"), reason="no NVIDIA driver here")
def test_the_driver_and_nvidia_smi_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    assert count() == (listed.stdout.count("GPU "), "NVML")
