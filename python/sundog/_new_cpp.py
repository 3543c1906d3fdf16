"""``sundog new-cpp DIR`` writes a C++ program that builds and runs; ``sundog cmake-dir`` says where
CMake finds the C++ package."""

from __future__ import annotations

import os

from sundog import _paths

FILES = ("CMakeLists.txt", "main.cc")


def cmake_folder() -> str:
    """What ``sundog_DIR`` is to be.

    Raises:
        FileNotFoundError: the C++ package is not there.
    """
    installed = os.path.join(_paths.package_folder(), "_native", "lib", "cmake", "sundog")
    built = os.path.dirname(_paths.daemon())
    for folder in (installed, built):
        if os.path.exists(os.path.join(folder, "sundogConfig.cmake")):
            return folder
    raise FileNotFoundError(
        f"the C++ package is neither in {installed} nor in {built}: install the wheel again, or "
        "in a source tree type: make build"
    )


def write(folder: str) -> str:
    """Writes the program into a new or empty folder; what to type next.

    Raises:
        FileExistsError: there are files in the folder already.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        raise FileExistsError(f"{folder} is not empty: new-cpp writes into a new folder")
    package = cmake_folder()
    os.makedirs(folder, exist_ok=True)
    template = os.path.join(_paths.package_folder(), "_cpp_program")
    for name in FILES:
        with open(os.path.join(template, name)) as file:
            text = file.read()
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    return (
        f"a program is in {folder}; build and run it:\n"
        f"  cmake -S {folder} -B {folder}/build -Dsundog_DIR={package}\n"
        f"  cmake --build {folder}/build\n"
        f"  {folder}/build/hello"
    )
