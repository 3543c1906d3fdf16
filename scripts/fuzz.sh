#!/usr/bin/env bash
# Builds the fuzz targets with clang-16 and runs each for SECONDS (default 60), starting from
# tests/fuzz/corpus/<target>. Fails on any finding; the input that shows it is kept and named.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]     TARGET: ring, records, ...; default: all
#   FUZZ_KEEP=1 scripts/fuzz.sh               also merges what was found worth keeping into the corpus
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
build=build/fuzz
corpus=tests/fuzz/corpus

clang=$(command -v clang++-16 || command -v clang++) || {
  echo "fuzz: clang++-16 is not installed; 'make setup' installs it" >&2
  exit 1
}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1" \
  -DCMAKE_CXX_COMPILER="$clang" -DSUNDOG_FUZZ=ON -DSUNDOG_TESTS=OFF \
  -DSUNDOG_SANITIZE=address,undefined >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
ninja -C "$build" -j2 fuzz_targets >"$build.log" 2>&1 || { tail -50 "$build.log" >&2; exit 1; }

if [ $# -gt 0 ]; then
  targets=("$@")
else
  targets=()
  for source in tests/fuzz/*_fuzz.cc; do
    name=$(basename "$source" _fuzz.cc)
    targets+=("$name")
  done
fi

failed=0
for target in "${targets[@]}"; do
  program=$build/tests/fuzz/${target}_fuzz
  grown=$build/corpus/$target
  findings=$build/findings/$target
  mkdir -p "$grown" "$findings" "$corpus/$target"
  log=$build/$target.log
  if "$program" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -artifact_prefix="$findings/" "$grown" "$corpus/$target" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "ok    $target: $runs inputs in $seconds s, no finding"
  else
    failed=1
    echo "FAIL  $target: $(grep -m1 -E 'ERROR|finding:|runtime error' "$log" || tail -1 "$log")"
    echo "      input in $findings, log in $log"
  fi
  if [ "${FUZZ_KEEP:-0}" = 1 ]; then
    "$program" -set_cover_merge=1 -max_len=1024 "$corpus/$target" "$grown" >>"$log" 2>&1
  fi
done
exit $failed
