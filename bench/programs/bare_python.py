"""The floor under an idle session: one Python that imports nothing."""

import json
import os
import re
from pathlib import Path

rollup = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text()
kilobytes = re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)
assert kilobytes is not None
value = int(kilobytes.group(1)) * 1024 / 1e6
print(json.dumps({"metric": "one bare Python", "unit": "MB", "value": value}))
