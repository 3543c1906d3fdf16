#!/usr/bin/env bash
# A wheel for each CPython from 3.10 to 3.13 that is at hand: on the path, or pyenv's. PYTHONS names others.
# Says which versions it found none of.
set -euo pipefail
cd "$(dirname "$0")/.."

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
read -ra candidates <<<"${PYTHONS:-}"
if ((${#candidates[@]} == 0)); then
  shopt -s nullglob
  candidates=(python3.{10..13} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-3].*/bin/python3)
fi
done=" $(version_of .venv/bin/python) "
scripts/wheel.sh
for python in "${candidates[@]}"; do
  version=$(version_of "$python") || continue
  [[ $done == *" $version "* ]] && continue
  scripts/wheel.sh "$python"
  done+="$version "
done
for version in 3.{10..13}; do
  [[ $done == *" $version "* ]] || echo "wheels: no Python $version is at hand: none for it"
done
