"""`make soak`: rounds of work with random kills, then a store filled a hundred times over.

ROUNDS=100 (or --rounds) plays that many rounds of each kind; without it, kinds take turns for
--seconds. A failing round names its seed: --kinds daemon --seed 1234 --rounds 1 plays it again.
Exit code 1 if anything did not hold, or if fewer than ten different states were hit.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.soak import memory, rounds  # noqa: E402

STATES_MIN = 10


def plan(
    kinds: list[str], count: int | None, seconds: float, seed: int
) -> Iterator[tuple[str, int]]:
    """Kinds and seeds of the rounds to play, kinds in turn."""
    source = random.Random(seed)
    end = time.monotonic() + seconds
    number = 0
    while number < count if count else time.monotonic() < end:
        for kind in kinds:
            yield kind, (seed if count == 1 else source.randrange(1 << 31))
        number += 1


def show_states(hit: dict[str, collections.Counter[str]]) -> None:
    """Prints which states were hit, and how often."""
    for kind, states in hit.items():
        print(f"{kind}: {len(states)} different states in {states.total()} kills")
        for state, count in states.most_common():
            print(f"  {count:>4}  {state}")


def main() -> int:
    # Whoever starts us in the background has Ctrl-C ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "0")) or None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kinds", default=",".join(rounds.KINDS))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--memory", action="store_true", help="the memory soak alone")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    unknown = set(kinds) - set(rounds.KINDS)
    if unknown:
        parser.error(f"no kind {', '.join(unknown)}; there are: {', '.join(rounds.KINDS)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 31)
    hit: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in kinds}
    played = failed = 0
    if not options.memory:
        print(f"seed {seed}, kinds {', '.join(kinds)}")
        for kind, round_seed in plan(kinds, options.rounds, options.seconds, seed):
            report = rounds.play(kind, round_seed)
            played += 1
            hit[kind].update(report.states)
            if report.problems:
                failed += 1
                print(f"FAILED  {kind} --seed {round_seed}  {report.seconds:.1f} s", flush=True)
                for problem in report.problems:
                    print(f"        {problem}", flush=True)
        show_states(hit)
    different = len({state for states in hit.values() for state in states})
    if played >= STATES_MIN and different < STATES_MIN:
        failed += 1
        print(f"FAILED  only {different} different states were hit, {STATES_MIN} are asked")
    if options.memory or (not options.kinds or kinds == list(rounds.KINDS)):
        failed += memory.soak()
    print(f"soak: {played} rounds, {different} states, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nsoak: stopped by Ctrl-C before its end", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
