"""``python -m sundog``: the command ``sundog``."""

from sundog._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
