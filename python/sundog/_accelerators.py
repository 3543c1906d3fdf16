"""Which kind of GPUs a machine has, for ``accelerator_type=``: asked once, when a session with GPUs
starts; it loads NVML where the driver's files do not tell. It never raises."""

from __future__ import annotations

import os

from sundog import _machine

PREFIX = "accelerator_type:"
SHARE = 0.001  # what a task or an actor asks for: a thousand of them fit on a machine
MAKERS = ("NVIDIA", "TESLA", "GEFORCE", "QUADRO")
NAME_BYTES_MAX = 96  # NVML's names


def resources(gpus: float) -> dict[str, float]:
    """``{"accelerator_type:A100": 1}`` for a session with so many GPUs; empty without."""
    return {PREFIX + kind: 1.0 for kind in kinds()} if gpus > 0 else {}


def asked(value: object) -> dict[str, int]:
    """What ``accelerator_type=`` adds to what a task asks for, in 1/10000.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty.
    """
    if value is None:
        return {}
    if not isinstance(value, str):
        raise TypeError(f"accelerator_type is a text like 'A100', got {value!r}")
    if not value.strip():
        raise ValueError("accelerator_type is a text like 'A100', got an empty one")
    return {PREFIX + value: round(SHARE * 10_000)}


def kinds() -> list[str]:
    """The kinds of the visible GPUs, each once, as Ray calls them: ``["A100"]``."""
    names = names_of_files()
    if not names and _machine.has_gpu_driver():
        names = names_of_nvml()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    numbers = [part.strip() for part in visible.split(",")] if visible else []
    if numbers and all(number.isdecimal() for number in numbers):
        names = [names[int(number)] for number in numbers if int(number) < len(names)]
    return sorted({kind for name in names if (kind := kind_of(name))})


def kind_of(name: str) -> str:
    """``A100`` of ``NVIDIA A100-SXM4-80GB``, ``RTX-4090`` of ``NVIDIA GeForce RTX 4090``."""
    words = [word for word in name.split() if word.upper() not in MAKERS]
    if not words:
        return ""
    if words[0].upper() == "RTX":  # the kind follows: RTX 4090, RTX PRO 6000 Blackwell
        end = next((i for i, word in enumerate(words) if any(c.isdigit() for c in word)), 0)
        return "-".join(words[: end + 1]).upper()
    return words[0].split("-")[0]


def names_of_files() -> list[str]:
    """As the loaded kernel module tells; the order is that of their places on the bus."""
    folder = os.path.join(_machine.NVIDIA_DRIVER, "gpus")
    try:
        places = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for place in places:
        for line in _machine.read(os.path.join(folder, place, "information")).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                found.append(value.strip())
    return found


def names_of_nvml() -> list[str]:
    """As NVIDIA's management library tells; empty if it is missing or refuses."""
    try:
        import ctypes

        library = ctypes.CDLL(_machine.NVML)
        begin, end = library.nvmlInit_v2, library.nvmlShutdown
        get_count = library.nvmlDeviceGetCount_v2
        get_handle, get_name = library.nvmlDeviceGetHandleByIndex_v2, library.nvmlDeviceGetName
    except (ImportError, OSError, AttributeError):
        return []
    if begin() != 0:
        return []
    count, handle = ctypes.c_uint(), ctypes.c_void_p()
    text = ctypes.create_string_buffer(NAME_BYTES_MAX)
    found = []
    if get_count(ctypes.byref(count)) == 0:
        for index in range(count.value):
            if get_handle(ctypes.c_uint(index), ctypes.byref(handle)) == 0 and (
                get_name(handle, text, ctypes.c_uint(NAME_BYTES_MAX)) == 0
            ):
                found.append(text.value.decode("utf-8", "replace"))
    end()
    return found
