#!/usr/bin/env bash
# Makes .venv-ray with Ray 2.60.0, for comparison only: nothing of Sundog depends on it.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-ray/bin/python ] && .venv-ray/bin/python -c 'import ray, numpy' 2>/dev/null && exit 0
echo "making .venv-ray with ray==2.60.0"
"${PYTHON:-python3}" -m venv .venv-ray
.venv-ray/bin/pip --quiet install 'ray==2.60.0' numpy
