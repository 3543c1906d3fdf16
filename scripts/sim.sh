#!/usr/bin/env bash
# sim.sh [SEEDS [JOBS]]: simulated clusters 1..SEEDS with both compilers at once, each seed twice,
# and the same hash of all effects everywhere. A failed seed is run again with:
#   build/debug/sim_main --seed N --trace
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-200}
jobs=${2:-2}

declare -A compiler=([debug]=gcc [clang]=clang) pid=()
for preset in debug clang; do
  cmake --build "build/$preset" -j "$jobs" --target sim_main >"build/sim-$preset.log" 2>&1 || {
    tail -40 "build/sim-$preset.log" >&2
    echo "sim: sim_main does not build with ${compiler[$preset]}" >&2
    exit 1
  }
done
for preset in debug clang; do
  "build/$preset/sim_main" --seeds "1..$seeds" >"build/sim-$preset.log" 2>&1 &
  pid[$preset]=$!
done

failed=0
for preset in debug clang; do
  status=0
  wait "${pid[$preset]}" || status=$?
  last=$(tail -1 "build/sim-$preset.log")
  printf '%-5s %s\n' "${compiler[$preset]}" "$last"
  broken=$(grep -oE '^seed [0-9]+: .*' "build/sim-$preset.log" || true)
  if [[ -n $broken ]]; then
    sed "s/^/FAILED ${compiler[$preset]} /" <<<"$broken"
    failed=$(cut -d: -f1 <<<"$broken" | sort -u | wc -l)
  elif ((status != 0)); then
    tail -20 "build/sim-$preset.log"
    echo "FAILED ${compiler[$preset]} sim_main ended with status $status"
    failed=1
  fi
done

hash_of() { grep -oE 'hash [0-9a-f]{16}$' "build/sim-$1.log" | tail -1; }
if ((failed == 0)) && [[ $(hash_of debug) != "$(hash_of clang)" ]]; then
  for seed in $(seq "$seeds"); do
    ours=$(build/debug/sim_main --seed "$seed" | grep '^hash') || true
    theirs=$(build/clang/sim_main --seed "$seed" | grep '^hash') || true
    if [[ $ours != "$theirs" ]]; then
      echo "FAILED seed $seed: gcc and clang give other effects (gcc $ours, clang $theirs)"
      failed=$((failed + 1))
      ((failed < 10)) || break
    fi
  done
  ((failed > 0)) || { echo "FAILED the hashes over all seeds differ"; failed=1; }
fi
echo "sim: $((seeds - failed)) seeds passed, $failed failed, each twice with gcc and with clang"
((failed == 0))
