#!/usr/bin/env bash
# Makes .venv-peers with Dask distributed and joblib, for comparison only: nothing of Sundog depends
# on it. multiprocessing and concurrent.futures run in it too, so that all peers have one Python.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-peers/bin/python ] && .venv-peers/bin/python -c 'import distributed, joblib, numpy' 2>/dev/null && exit 0
echo "making .venv-peers with dask, distributed and joblib"
"${PYTHON:-python3}" -m venv .venv-peers
.venv-peers/bin/python -m pip --quiet install 'dask==2026.8.0' 'distributed==2026.8.0' 'joblib==1.6.0' 'numpy==2.4.6'
