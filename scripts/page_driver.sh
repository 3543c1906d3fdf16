#!/bin/bash
# What drives the system's browsers in tests: Debian's chromium and firefox-esr, node, and one npm
# package in build/page. Installs what is missing.
set -eu
cd "$(dirname "$0")/.."
DRIVER=puppeteer-core@24.43.1
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo

missing=
for program in chromium firefox-esr node npm; do
  command -v "$program" > /dev/null || missing="$missing ${program/#node/nodejs}"
done
mkdir -p build/page
if [ -n "$missing" ]; then
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  $sudo apt-get install -y -qq --no-install-recommends $missing > build/page-apt.log
fi
if [ "$(cat build/page/driver 2> /dev/null)" != "$DRIVER" ]; then
  echo '{"private": true}' > build/page/package.json
  npm install --prefix build/page --silent --no-audit --no-fund "$DRIVER"
  echo "$DRIVER" > build/page/driver
fi
