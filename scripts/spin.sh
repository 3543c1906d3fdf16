#!/bin/sh
# Checks the models of tests/spin: each must hold as it is, and must fail with any of its steps taken
# away (its -DNO_… defines). Needs spin and gcc.
set -eu
models=$(cd "$(dirname "$0")/../tests/spin" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# check MODEL [DEFINE]: prints "holds" or "fails"; anything else is an error of the check itself.
check() {
  rm -f pan pan.* ./*.trail
  spin ${2:+-D"$2"} -a "$models/$1.pml" >spin.out 2>&1 || { cat spin.out >&2; exit 1; }
  gcc -O2 -w -DSAFETY -DMEMLIM=1024 -DVECTORSZ=2048 -o pan pan.c
  ./pan -m200000 >pan.out 2>&1 || { cat pan.out >&2; exit 1; }
  if ! grep -q 'errors:' pan.out || grep -qE 'max search depth too small|out of memory' pan.out; then
    cat pan.out >&2
    exit 1
  fi
  if grep -q 'errors: 0' pan.out; then echo holds; else echo fails; fi
}

failed=0
expect() { # WANTED MODEL [DEFINE]
  got=$(check "$2" "${3:-}")
  mark=ok
  if [ "$got" != "$1" ]; then
    mark=WRONG
    failed=1
  fi
  printf '%-6s %-14s %-18s %s\n' "$mark" "$2" "${3:-as it is}" "$got"
}

expect holds doorbell
for step in NO_CLIENT_FENCE NO_DAEMON_FENCE NO_RECHECK NO_SUMMARY_TEST NO_INSIST_RECHECK \
  INSIST_CLEARED_LATE; do
  expect fails doorbell "$step"
done
expect holds client_sleep
for step in NO_CLIENT_FENCE NO_DAEMON_FENCE NO_RECHECK; do
  expect fails client_sleep "$step"
done
exit $failed
