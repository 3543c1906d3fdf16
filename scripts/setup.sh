#!/usr/bin/env bash
# Takes a Debian 12 machine to a working .venv: system packages that are missing, the Python
# packages of requirements-dev.txt, and the links that make `import sundog` and the `sundog`
# command work from the source tree. May be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

system_packages=(
  g++ cmake ninja-build ccache mold libboost1.81-dev libxxhash-dev libgtest-dev libbenchmark-dev
  clang-16 clang-tidy-16 clang-format-16 libclang-rt-16-dev spin patchelf strace git file
)

# Installs those of its arguments that are not there.
install_missing() {
  local package missing=() as_root=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) == ii* ]] ||
      missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    say "all system packages are there"
    return
  fi
  say "installing ${missing[*]}"
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >build/setup.log 2>&1 || {
    tail -20 build/setup.log >&2
    die "apt-get could not install them; all it said is in build/setup.log"
  }
}

mkdir -p build
if ! command -v "$python" >/dev/null; then
  [[ $python == python3 ]] ||
    die "there is no '$python'. Name a Python of 3.10 or newer: make setup PYTHON=/path/to/python3"
  system_packages+=(python3)
fi
# A Python that did not come from the distribution brings its own headers and venv module.
prefix=$("$python" -c 'import sys; print(sys.base_prefix)' 2>/dev/null || echo /usr)
[[ $prefix == /usr ]] && system_packages+=(python3-venv python3-dev)
install_missing "${system_packages[@]}"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "$("$python" --version) is too old, Sundog needs 3.10 or newer. Name another one: make setup PYTHON=/path/to/python3"

# A .venv of another Python version, or one whose interpreter is gone, is made anew.
wanted=$("$python" -c 'import sys; print(sys.version_info[:2])')
if [[ $(.venv/bin/python -c 'import sys; print(sys.version_info[:2])' 2>/dev/null) != "$wanted" ]]; then
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt

site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$PWD/python" >"$site/sundog-development.pth"
cat >.venv/bin/sundog <<COMMAND
#!/bin/sh
exec "$PWD/.venv/bin/python" -m sundog "\$@"
COMMAND
chmod +x .venv/bin/sundog
say "done: .venv holds $(.venv/bin/python --version)"
