#!/usr/bin/env bash
# .venv-torch: Debian's Python with Debian's torch (python3-torch, some 0.2 GB instead of the 5 GB of
# PyPI's) and OpenBLAS, without which its products are fifteen times slower; the transformers that
# still know this torch. For tests and demos that need them; never part of `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in python3-torch python3-venv python3-numpy libopenblas0-pthread; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
[ -x .venv-torch/bin/python ] || /usr/bin/python3 -m venv --system-site-packages .venv-torch
.venv-torch/bin/python -m pip install -q cloudpickle pytest 'transformers==4.40.2' \
  'ipython==8.37.0' 'pandas==2.2.3'  # what the cells of seed 003 use besides
.venv-torch/bin/python -c 'import torch; print("torch", torch.__version__)'
