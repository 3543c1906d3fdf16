"""What `import` of the module costs in a fresh process."""

import importlib
import json
import os
import time

start = time.perf_counter()
importlib.import_module(os.environ.get("SUNDOG_BENCH_IMPORT", "sundog"))
took = time.perf_counter() - start
print(json.dumps({"metric": "import", "unit": "s", "value": took}))
