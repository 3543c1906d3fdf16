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

command -v "$python" >/dev/null ||
  die "there is no '$python' on PATH. Install Python 3.10 or newer, or name one: make setup PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "$("$python" --version) is too old, Sundog needs 3.10 or newer. Name another one: make setup PYTHON=/path/to/python3"

system_packages=(
  g++ cmake ninja-build ccache mold libboost1.81-dev libxxhash-dev libgtest-dev libbenchmark-dev
  clang-16 clang-tidy-16 clang-format-16 libclang-rt-16-dev spin patchelf strace git file
)
# A Python that did not come from the distribution brings its own headers and venv module.
if [[ $("$python" -c 'import sys; print(sys.base_prefix)') == /usr ]]; then
  system_packages+=(python3-venv python3-dev)
fi

missing=()
for package in "${system_packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
if ((${#missing[@]} > 0)); then
  say "installing ${missing[*]}"
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
else
  say "all system packages are there"
fi

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
