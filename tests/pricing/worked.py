"""Worked figures that tests are held against: `tests/vectors/pricing_worked.json`."""

import json
from pathlib import Path
from typing import Any

WORKED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "pricing_worked.json").read_text()
)
