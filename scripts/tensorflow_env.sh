#!/usr/bin/env bash
# .venv-tf: TensorFlow for the CPU (PyPI's tensorflow-cpu, some 1 GB), for what needs it. Never part
# of `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv-tf/bin/python ] || "${PYTHON:-python3}" -m venv .venv-tf
.venv-tf/bin/python -m pip install -q 'tensorflow-cpu>=2.16' cloudpickle pytest 'ipython==8.37.0'
.venv-tf/bin/python -c 'from importlib.metadata import version as v; print("tensorflow", v("tensorflow-cpu"))'
