"""What this machine, or the container it shows us, has: the defaults of a session."""

from __future__ import annotations

import os

STORE_SHARE = 0.3
CGROUP_ROOT = "/sys/fs/cgroup"
AMOUNT_MAX = 1 << 48  # of bytes, and of anything else
NO_LIMIT = 1 << 60  # cgroup v1 writes a huge number where there is none
DEVICES = "/dev"
NVIDIA_DRIVER = "/proc/driver/nvidia"
NVML = "libnvidia-ml.so.1"  # the driver brings it
NO_GPU = ("", "-1", "NoDevFiles")  # in CUDA_VISIBLE_DEVICES; the last is what Slurm writes


class Amount:
    """A number, and how it was determined."""

    __slots__ = ("reason", "value")

    def __init__(self, value: float, reason: str) -> None:
        """``reason`` completes "4 CPUs (…)"."""
        self.value = value
        self.reason = reason


def read(path: str) -> str:
    """The file's text; empty if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def cgroup_folders(controller: str) -> list[str]:
    """The folders of this process's control group and its ancestors, v2 or v1's ``controller``."""
    root, path = "", ""
    for line in read("/proc/self/cgroup").splitlines():
        number, controllers, name = line.split(":", 2)
        if number == "0" and not controllers and not root:
            root, path = CGROUP_ROOT, name
        elif controller in controllers.split(","):
            root, path = os.path.join(CGROUP_ROOT, controller), name
            break
    if not root:
        return []
    folders = []
    parts = [part for part in path.split("/") if part and part != ".."]
    for depth in range(len(parts), -1, -1):
        folders.append(os.path.join(root, *parts[:depth]))
    return folders


def cpu_quota() -> float | None:
    """CPUs that the control group may use; None without a quota."""
    quotas = []
    for folder in cgroup_folders("cpu"):
        fields = read(os.path.join(folder, "cpu.max")).split()
        if not fields:
            fields = [
                read(os.path.join(folder, "cpu.cfs_quota_us")),
                read(os.path.join(folder, "cpu.cfs_period_us")),
            ]
        try:
            quota, period = int(fields[0]), int(fields[1])
        except (ValueError, IndexError):
            continue  # "max", or no such file
        if quota > 0 and period > 0:
            quotas.append(quota / period)
    return min(quotas) if quotas else None


def memory_limit() -> int | None:
    """Bytes that the control group may use; None without a limit."""
    limits = []
    for folder in cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read(os.path.join(folder, name))
            if text.isdigit() and int(text) < NO_LIMIT:
                limits.append(int(text))
    return min(limits) if limits else None


def physical_memory() -> int:
    """Bytes of RAM."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def said_by(variable: str) -> Amount | None:
    """What a variable of the environment says; None if it is not set.

    Raises:
        ValueError: it is no number, a negative one, or one that nothing can have.
    """
    text = os.environ.get(variable, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{variable} is a number, got {text!r}") from None
    if not 0 <= value <= AMOUNT_MAX:
        raise ValueError(f"{variable} is a number from 0 on, got {text!r}")
    return Amount(value, variable)


def cpus() -> Amount:
    """Whole CPUs: SUNDOG_NUM_CPUS, else the affinity mask, or the quota if that is less.

    Raises:
        ValueError: SUNDOG_NUM_CPUS is not a number of CPUs.
    """
    said = said_by("SUNDOG_NUM_CPUS")
    if said is not None:
        return said
    affinity = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    if quota is not None and quota < affinity:
        return Amount(max(1, int(quota)), f"cgroup quota {quota:g}, affinity {affinity}")
    return Amount(affinity, f"affinity {affinity}")


def nvml_count() -> int | None:
    """GPUs that NVIDIA's management library counts; None if it is missing or refuses."""
    try:
        import ctypes

        library = ctypes.CDLL(NVML)
        begin, end = library.nvmlInit_v2, library.nvmlShutdown
        get_count = library.nvmlDeviceGetCount_v2
    except (ImportError, OSError, AttributeError):  # no libffi, no library, an old one
        return None
    if begin() != 0:
        return None
    count = ctypes.c_uint()
    failed = get_count(ctypes.byref(count))
    end()
    return None if failed else count.value


def device_file_count() -> int:
    """Files like ``/dev/nvidia0``: a container has those of the GPUs that it may use."""
    try:
        names = os.listdir(DEVICES)
    except OSError:
        return 0
    return sum(name.startswith("nvidia") and name[6:].isdecimal() for name in names)


def driver_folder_count() -> int:
    """GPUs that the loaded kernel module lists."""
    try:
        return len(os.listdir(os.path.join(NVIDIA_DRIVER, "gpus")))
    except OSError:
        return 0


def has_gpu_driver() -> bool:
    """Whether there is any sign of NVIDIA's driver; loads nothing."""
    signs = (os.path.join(DEVICES, "nvidiactl"), os.path.join(DEVICES, "dxg"), NVIDIA_DRIVER)
    return any(os.path.exists(sign) for sign in signs)


def visible_gpus() -> list[str] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES names; None if it is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return None
    return [name for part in visible.split(",") if (name := part.strip()) not in NO_GPU]


def gpus() -> Amount:
    """GPUs that the driver may use: SUNDOG_NUM_GPUS, else CUDA_VISIBLE_DEVICES, NVML, or files.

    Where there is no sign of NVIDIA's driver this looks for three files and loads nothing.

    Raises:
        ValueError: SUNDOG_NUM_GPUS is not a number of GPUs.
    """
    said = said_by("SUNDOG_NUM_GPUS")
    if said is not None:
        return said
    visible = visible_gpus()
    if visible is not None:
        return Amount(len(visible), "CUDA_VISIBLE_DEVICES")
    if not has_gpu_driver():
        return Amount(0, "no nvidia driver")
    count = nvml_count()
    if count is not None:
        return Amount(count, "NVML")
    count = device_file_count()
    if count:
        return Amount(count, "device files")
    return Amount(driver_folder_count(), "nvidia driver")


def memory() -> Amount:
    """Bytes that this process and its children may use."""
    ram, limit = physical_memory(), memory_limit()
    if limit is not None and limit < ram:
        return Amount(limit, f"memory limit of this cgroup, {ram / 1e9:.1f} GB in the machine")
    return Amount(ram, "physical memory, no cgroup limit")


def memory_beside(store_bytes: float) -> Amount:
    """Bytes for ``memory=`` of tasks and actors: what the object store leaves."""
    return Amount(max(0, int(memory().value - store_bytes)), "what the store leaves")


def store() -> Amount:
    """Bytes of the object store: SUNDOG_OBJECT_STORE_MEMORY, else a share of the memory.

    Raises:
        ValueError: SUNDOG_OBJECT_STORE_MEMORY is not a number of bytes.
    """
    said = said_by("SUNDOG_OBJECT_STORE_MEMORY")
    if said is not None:
        return said
    available = memory()
    return Amount(
        int(available.value * STORE_SHARE),
        f"{STORE_SHARE:.0%} of {available.value / 1e9:.1f} GB {available.reason}",
    )
