#!/usr/bin/env bash
# wheel.sh [PYTHON]: builds dist/sundog-*.whl for that interpreter, .venv's unless one is named: the Python
# package, the extension and the daemon, needing nothing but glibc and cloudpickle; says what
# auditwheel makes of it. Beside it dist/sundog_ray-*.whl, the import name `ray`, which is Python
# alone. Tries both in an empty environment.
set -euo pipefail
cd "$(dirname "$0")/.."
size_max=$((10 * 1024 * 1024))

# The tools are .venv's, or the same ones for another interpreter.
python=.venv/bin/python
if (($# > 0)); then
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  python=build/wheel-tools-$version/bin/python
  [[ -x $python ]] || "$1" -m venv "build/wheel-tools-$version"
  grep -E '^(build|nanobind|scikit-build-core)==' requirements-dev.txt |
    "$python" -m pip install --quiet --disable-pip-version-check -r /dev/stdin
fi
tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')

rm -rf build/wheel-raw
mkdir -p build/wheel-raw dist
if ! "$python" -m build --wheel --no-isolation --outdir build/wheel-raw -C "build-dir=build/wheel-$tag" . \
  >build/wheel.log 2>&1; then
  tail -40 build/wheel.log
  echo "wheel: the build failed; all of it is in build/wheel.log" >&2
  exit 1
fi
raw=(build/wheel-raw/sundog-*.whl)
.venv/bin/auditwheel show "${raw[0]}"
rm -f dist/sundog-*-"$tag"-*.whl
PATH="$PWD/.venv/bin:$PATH" .venv/bin/auditwheel repair --wheel-dir dist "${raw[0]}" >>build/wheel.log 2>&1
wheels=(dist/sundog-*-"$tag"-*.whl)
wheel=${wheels[0]}
if [[ $wheel != *manylinux_2_35_* && $wheel != *manylinux_2_[12]?_* && $wheel != *manylinux_2_3[0-4]_* ]]; then
  echo "wheel: $wheel needs a newer glibc than 2.35; docs/HACKING.md says how to find what does" >&2
  exit 1
fi

bytes=$(stat -c %s "$wheel")
if ((bytes > size_max)); then
  echo "wheel: $wheel has $bytes bytes, more than $size_max" >&2
  exit 1
fi
rm -f dist/sundog_ray-*.whl
if ! .venv/bin/python -m build --wheel --no-isolation --outdir dist compat/ray >>build/wheel.log 2>&1; then
  tail -40 build/wheel.log
  echo "wheel: sundog-ray could not be built; all of it is in build/wheel.log" >&2
  exit 1
fi
ray_wheels=(dist/sundog_ray-*.whl)
scripts/check_wheel.sh "$wheel" "${ray_wheels[0]}" "$python"
printf 'wheel: %s, %d.%d MB\n' "$wheel" $((bytes / 1000000)) $((bytes / 100000 % 10))
