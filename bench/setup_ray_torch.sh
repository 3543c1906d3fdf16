#!/usr/bin/env bash
# Makes .venv-ray-torch: Ray 2.60.0 beside the torch of .venv-torch, for comparison only.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/torch_env.sh
python=.venv-ray-torch/bin/python
[ -x $python ] && $python -c 'import ray, torch, transformers' 2>/dev/null && exit 0
echo "making .venv-ray-torch with ray==2.60.0"
/usr/bin/python3 -m venv --system-site-packages .venv-ray-torch
$python -m pip --quiet install 'ray==2.60.0' 'transformers==4.40.2'
