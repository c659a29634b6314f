"""The worker's command with a note of when it ran: ``python recorded_worker.py NOTES ARGUMENTS...``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

notes, *arguments = sys.argv[1:]
began = time.time()
try:
    status = subprocess.run([str(Path(sys.executable).with_name("vitalprep")), *arguments], check=False).returncode
finally:
    with open(notes, "a") as file:  # noqa: PTH123  appended to by several processes, a line in one write each
        file.write(json.dumps([began, time.time()]) + os.linesep)
sys.exit(status)
