"""Lets Python sleep under libfaketime, which refuses to until a moment: "Invalid argument".

A real kernel refuses none: what starts a process and waits for it would fail for the simulation.
"""

import select
import time


def sleep(seconds: float) -> None:
    """As `time.sleep`, by another call of the kernel."""
    select.select([], [], [], seconds)


time.sleep = sleep
