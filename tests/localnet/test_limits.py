"""What is measured of a market under load."""

import sys
from pathlib import Path

from localnet.limits import Step
from localnet.processes import Node, wait_until
from localnet.vitals import processor_s

BUSY = "while True: pass"
PARENT = f"""
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
child = subprocess.Popen([sys.executable, "-c", {BUSY!r}], start_new_session=True)
try:
    child.wait()
finally:
    child.kill()
"""


def test_the_work_of_a_child_in_a_session_of_its_own_counts(tmp_path: Path) -> None:
    node = Node.start("parent", [sys.executable, "-c", PARENT], tmp_path)
    try:
        before = processor_s(node)
        wait_until(lambda: processor_s(node) > before + 0.3, "nothing is counted", 60)
    finally:
        node.stop()


def test_a_rate_is_held_when_all_is_answered_in_time() -> None:
    held = Step(rate=4.0, answered=80, failed={}, p50_ms=40, p99_ms=4999, busy={})
    slow = Step(rate=4.0, answered=80, failed={}, p50_ms=40, p99_ms=5000, busy={})
    cut = Step(rate=4.0, answered=79, failed={"not sent": 1}, p50_ms=40, p99_ms=90, busy={})

    assert [each.is_held for each in (held, slow, cut)] == [True, False, False]
