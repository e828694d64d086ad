"""Run several trainings in one process of the engine: ``stages.py FOLDER...``.

The imports of the engine take longer than two steps of any training, so they are paid once.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from trainer_runtime.training import train
from trainer_runtime.workload import Workload, read_config

for name in sys.argv[1:]:
    os.chdir(name)
    workload = Workload("train")
    try:
        facts = train(workload, read_config())
        workload.finish("finished", facts)
    except Exception:  # noqa: BLE001 - the test reads what went wrong
        Path("error.txt").write_text(json.dumps(traceback.format_exc()))
