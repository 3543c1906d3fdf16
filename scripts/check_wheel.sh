#!/usr/bin/env bash
# check_wheel.sh WHEEL RAY_WHEEL [PYTHON]: installs both into an empty virtual environment of that
# interpreter (.venv's unless one is named), away from the source tree, and runs programs there. Nothing
# of a session may be left a second after its program's end.
set -euo pipefail
wheel=$(realpath "$1")
ray_wheel=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
python=$(realpath -s "${3:-$root/.venv/bin/python}")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$python" -m venv "$place/try"
"$place/try/bin/pip" install --quiet --disable-pip-version-check "$wheel"
cd "$place"
unset PYTHONPATH
export SUNDOG_HOME=$place/home
cat >hello.py <<'PROGRAM'
import sundog


@sundog.remote
def square(i):
    return i * i


print(sundog.get([square.remote(i) for i in range(4)]))
PROGRAM
answer=$(SUNDOG_NUM_CPUS=2 timeout 60 try/bin/python hello.py)
if [[ $answer != "[0, 1, 4, 9]" ]]; then
  echo "check_wheel: hello.py printed '$answer', not [0, 1, 4, 9]" >&2
  exit 1
fi
daemon=$(try/bin/python -c 'import pathlib, sundog; print(pathlib.Path(sundog.__file__).parent / "_bin/sundogd")')
for _ in {1..20}; do
  left=$({ find /proc -maxdepth 2 -name exe -lname "$daemon" 2>/dev/null || true; } | wc -l)
  ((left == 0)) && break
  sleep 0.05
done
if ((left != 0)); then
  echo "check_wheel: a daemon of hello.py is still there a second after its end" >&2
  exit 1
fi
sed 's/sundog/ray/g' hello.py >old.py
"$place/try/bin/pip" install --quiet --disable-pip-version-check --no-index "$ray_wheel"
answer=$(SUNDOG_NUM_CPUS=2 timeout 60 try/bin/python old.py)
if [[ $answer != "[0, 1, 4, 9]" ]]; then
  echo "check_wheel: old.py, which imports ray, printed '$answer', not [0, 1, 4, 9]" >&2
  exit 1
fi
try/bin/ray --version
try/bin/sundog --version
try/bin/sundog doctor

# A program in C++ against what the wheel carries.
try/bin/sundog new-cpp hello_cpp >/dev/null
cmake -S hello_cpp -B hello_cpp/build -Dsundog_DIR="$(try/bin/sundog cmake-dir)" >/dev/null
cmake --build hello_cpp/build >/dev/null
answer=$(timeout 60 hello_cpp/build/hello)
if [[ $answer != "the squares of 1 to 10 add up to 385" ]]; then
  echo "check_wheel: the program of new-cpp printed '$answer'" >&2
  exit 1
fi

cd "$root"
# Another Python than the tests': tasks, actors and values all the same, with the wheel's own files.
if [[ $python != "$root/.venv/bin/python" ]]; then
  grep -E '^(numpy|pytest)==' requirements-dev.txt |
    "$place/try/bin/pip" install --quiet --disable-pip-version-check -r /dev/stdin
  "$place/try/bin/python" -m pytest -q tests/e2e/test_tasks.py tests/e2e/test_actors.py tests/e2e/test_objects.py
  exit
fi
# The first hour, typed with these wheels.
SUNDOG_WHEEL=$wheel SUNDOG_RAY_WHEEL=$ray_wheel .venv/bin/python -m pytest -q tests/e2e/test_first_hour.py
