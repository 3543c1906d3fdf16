#!/bin/bash
# The timeline in real browsers: installs what is missing (Debian's chromium and firefox-esr, one npm
# package into build/page), makes the pages from real sessions, runs the tests. Screenshots stay in
# build/page/shots. BROWSER=chromium or firefox picks one.
set -eu
cd "$(dirname "$0")/.."
DRIVER=puppeteer-core@24.43.1
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo

missing=
for program in chromium firefox-esr node npm; do
  command -v "$program" > /dev/null || missing="$missing ${program/#node/nodejs}"
done
if [ -n "$missing" ]; then
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  $sudo apt-get install -y -qq --no-install-recommends $missing > build/page-apt.log
fi
mkdir -p build/page
if [ "$(cat build/page/driver 2> /dev/null)" != "$DRIVER" ]; then
  echo '{"private": true}' > build/page/package.json
  npm install --prefix build/page --silent --no-audit --no-fund "$DRIVER"
  echo "$DRIVER" > build/page/driver
fi

rm -rf build/page/pages build/page/shots
.venv/bin/python tests/page/make_pages.py build/page/pages 2> build/page/pages.log ||
  { cat build/page/pages.log; exit 1; }
NODE_FOLDER=$PWD/build/page PAGES=$PWD/build/page/pages SHOTS=$PWD/build/page/shots \
  node --test --test-reporter=spec tests/page/timeline_test.mjs
echo "screenshots: build/page/shots"
