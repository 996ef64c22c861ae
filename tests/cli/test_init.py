"""What holds for the program as a whole, before any command."""

from __future__ import annotations

import subprocess
import sys

LOST = """
import sys, time, weakref
from kubedoctor.cli import interrupt_again
sys.unraisablehook = interrupt_again
class Collected: pass
def interrupted(_): raise KeyboardInterrupt
thing = Collected()
reference = weakref.ref(thing, interrupted)
try:
    del thing
    print("went on", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("ended")
"""


def test_an_interrupt_that_python_drops_comes_once_more() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout.split("\n")[-2], done.stderr) == ("ended", "")


def test_other_exceptions_that_python_drops_are_told() -> None:
    other = LOST.replace("raise KeyboardInterrupt", "raise ValueError('lost')").replace("time.sleep(60)", "")
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, "ValueError: lost" in done.stderr) == ("went on\n", True)
