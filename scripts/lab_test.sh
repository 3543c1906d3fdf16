#!/bin/bash
# JupyterLab as a person uses it, in Chromium: installs JupyterLab into .venv-lab and the browser's driver
# into build/page, runs tests/lab. Never part of `make test`.
set -eu
cd "$(dirname "$0")/.."
scripts/page_driver.sh
[ -x .venv-lab/bin/python ] || "${PYTHON:-python3}" -m venv .venv-lab
.venv-lab/bin/python -m pip install -q --disable-pip-version-check jupyterlab==4.6.6 cloudpickle==3.1.2
rm -rf build/lab
mkdir -p build/lab
for name in CONFIG_DIR DATA_DIR RUNTIME_DIR; do export "JUPYTER_$name=$PWD/build/lab/jupyter"; done
LAB=$PWD/.venv-lab/bin/jupyter FOLDER=$PWD/build/lab/work NODE_FOLDER=$PWD/build/page \
  PYTHONPATH=$PWD/python SUNDOG_HOME=$PWD/build/lab/home IPYTHONDIR=$PWD/build/lab/ipython \
  node --test --test-reporter=spec tests/lab/lab_test.mjs
