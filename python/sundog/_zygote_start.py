"""Runs the zygote (``_zygote.py``) from its cached bytecode.

The daemon starts this file. Python compiles a script anew at each start, which would cost the first
worker of a session six milliseconds; so the script is this one.
"""

from _frozen_importlib_external import SourceFileLoader  # what importlib has, without its imports

NAME = "sundog._zygote"
FOLDER = __file__.rpartition("/")[0] or "."

if __name__ == "__main__":
    code = SourceFileLoader(NAME, f"{FOLDER}/_zygote.py").get_code(NAME)
    assert code is not None  # a file has code, or raises
    exec(code)
