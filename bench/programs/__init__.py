"""One program a row: each runs in a fresh process and prints JSON lines; see contestant.py."""
