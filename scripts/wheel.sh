#!/usr/bin/env bash
# Builds dist/sundog-*.whl: the Python package, the extension and the daemon, needing nothing but
# glibc and cloudpickle; says what auditwheel makes of it, and tries it in an empty environment.
set -euo pipefail
cd "$(dirname "$0")/.."
size_max=$((10 * 1024 * 1024))

rm -rf build/wheel-raw
mkdir -p build/wheel-raw dist
if ! .venv/bin/python -m build --wheel --no-isolation --outdir build/wheel-raw . >build/wheel.log 2>&1; then
  tail -40 build/wheel.log
  echo "wheel: the build failed; all of it is in build/wheel.log" >&2
  exit 1
fi
raw=(build/wheel-raw/sundog-*.whl)
.venv/bin/auditwheel show "${raw[0]}"
rm -f dist/sundog-*.whl
PATH="$PWD/.venv/bin:$PATH" .venv/bin/auditwheel repair --wheel-dir dist "${raw[0]}" >>build/wheel.log 2>&1
wheels=(dist/sundog-*.whl)
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
scripts/check_wheel.sh "$wheel"
printf 'wheel: %s, %d.%d MB\n' "$wheel" $((bytes / 1000000)) $((bytes / 100000 % 10))
