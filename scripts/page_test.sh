#!/bin/bash
# The timeline in real browsers: installs what is missing, makes the pages from real sessions, runs the
# tests. Screenshots stay in build/page/shots. BROWSER=chromium or firefox picks one.
set -eu
cd "$(dirname "$0")/.."
scripts/page_driver.sh

rm -rf build/page/pages build/page/shots
.venv/bin/python tests/page/make_pages.py build/page/pages 2> build/page/pages.log ||
  { cat build/page/pages.log; exit 1; }
NODE_FOLDER=$PWD/build/page PAGES=$PWD/build/page/pages SHOTS=$PWD/build/page/shots \
  node --test --test-reporter=spec tests/page/timeline_test.mjs
echo "screenshots: build/page/shots"
