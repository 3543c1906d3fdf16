"""``accelerator_type``: which kinds of GPUs a machine has, and who gets one.

A folder stands in for the driver's files, and a library of a few lines for NVML, as in
test_gpu_count.py: what they say is what the real ones say of their GPUs.
"""

import importlib
import shutil
import subprocess
from pathlib import Path

import pytest

import sundog
from sundog import _accelerators, _machine

NVML_SOURCE = """
#include <string.h>
int sessions = 0;
int nvmlInit_v2(void) { ++sessions; return 0; }
int nvmlShutdown(void) { --sessions; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  *handle = (char *)0 + index + 1;
  return 0;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
  strncpy(name, handle == (char *)0 + 1 ? "NVIDIA H100 80GB HBM3" : "Tesla T4", length);
  return 0;
}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `dev` and `proc` of a machine whose driver is there, and no GPU yet."""
    for name in ("dev", "proc/gpus"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dev" / "nvidiactl").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(_machine, "DEVICES", str(tmp_path / "dev"))
    monkeypatch.setattr(_machine, "NVIDIA_DRIVER", str(tmp_path / "proc"))
    monkeypatch.setattr(_machine, "NVML", str(tmp_path / "nvml.so"))
    return tmp_path


def plug_in(machine: Path, *names: str) -> None:
    for number, name in enumerate(names):
        folder = machine / f"proc/gpus/0000:{number:02}:00.0"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t\t 33\n")


@sundog.remote
def visible() -> list[int]:
    return [int(gpu) for gpu in sundog.get_gpu_ids()]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A10G", "A10G"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla K80", "K80"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("NVIDIA", ""),
        ("", ""),
    ],
)
def test_names_are_those_of_ray(name: str, kind: str) -> None:
    assert _accelerators.kind_of(name) == kind


def test_the_drivers_files_tell_the_kinds(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _accelerators.kinds() == []
    plug_in(machine, "NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", "Tesla T4")
    assert _accelerators.kinds() == ["A100", "T4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 0")
    assert _accelerators.kinds() == ["A100"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937")
    assert _accelerators.kinds() == ["A100", "T4"]
    assert _accelerators.resources(0) == {}


def test_nvml_tells_the_kinds_where_files_do_not(machine: Path) -> None:
    ctypes = importlib.import_module("ctypes")
    compiler = shutil.which("cc") or pytest.skip("no C compiler is installed")
    (machine / "nvml.c").write_text(NVML_SOURCE)
    built = machine / "nvml.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(built), str(machine / "nvml.c")], check=True
    )
    assert _accelerators.kinds() == ["H100", "T4"]
    assert ctypes.c_int.in_dll(ctypes.CDLL(str(built)), "sessions").value == 0


def test_a_session_has_the_kinds_of_its_gpus(machine: Path) -> None:
    plug_in(machine, "NVIDIA A100-SXM4-80GB")
    with sundog.init(num_cpus=2, num_gpus=1, logging_level="error"):
        assert sundog.cluster_resources()["accelerator_type:A100"] == 1
        assert sundog.get(visible.options(num_gpus=1, accelerator_type="A100").remote()) == [0]
        waits = visible.options(num_gpus=1, accelerator_type="H100").remote()
        with pytest.raises(TimeoutError, match=r"needs .*0\.001 accelerator_type:H100"):
            sundog.get(waits, timeout=0.05)
        del waits
    with sundog.init(num_cpus=2, num_gpus=0, logging_level="error"):
        assert "accelerator_type:A100" not in sundog.cluster_resources()


def test_pretended_gpus_are_of_the_kind_that_a_resource_says() -> None:
    named = {"accelerator_type:A100-80G": 1}
    with sundog.init(num_cpus=2, num_gpus=1, resources=named, logging_level="error"):

        @sundog.remote(accelerator_type="A100-80G")
        class Trainer:
            def held(self) -> dict[str, float]:
                return sundog.get_runtime_context().get_assigned_resources()

        trainer = Trainer.remote()
        assert sundog.get(trainer.held.remote()) == {"accelerator_type:A100-80G": 0.001}
        free = sundog.available_resources()
        assert free["accelerator_type:A100-80G"] == pytest.approx(0.999)
        del trainer


def test_the_constants_have_rays_values() -> None:
    accelerators = importlib.import_module("sundog.util.accelerators")
    assert (accelerators.NVIDIA_A100, accelerators.NVIDIA_TESLA_V100) == ("A100", "V100")
    assert accelerators.AMD_INSTINCT_MI300x == "AMD-Instinct-MI300X-OAM"
    assert accelerators.NVIDIA_A100_80G == "A100-80G"
