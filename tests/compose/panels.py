"""The provisioned dashboards, and whether what they ask has an answer."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).parents[2] / "compose" / "grafana"
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}
"""What Grafana puts in, with all nodes chosen."""


@dataclass(frozen=True)
class Panel:
    """One panel, as its file has it."""

    dashboard: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.content['title']}"

    @property
    def expressions(self) -> list[str]:
        """What it asks Prometheus."""
        return [target["expr"] for target in self.content["targets"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    files = sorted((FOLDER / "dashboards").glob("*.json"))
    return {each.stem: json.loads(each.read_text()) for each in files}


def panels() -> list[Panel]:
    """Every panel of every dashboard."""
    return [
        Panel(name, each)
        for name, dashboard in dashboards().items()
        for each in dashboard["panels"]
    ]


def unanswered(prometheus: str) -> list[str]:
    """The expressions of panels that this Prometheus has no number for, each with its panel."""
    with httpx.Client(base_url=prometheus, timeout=30) as client:
        return [
            f"{panel.name}: {expression}"
            for panel in panels()
            for expression in panel.expressions
            if not _is_answered(client, expression)
        ]


def _is_answered(client: httpx.Client, expression: str) -> bool:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    answer = client.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, (expression, answer.text)
    found = answer.json()["data"]["result"]
    return any(math.isfinite(float(each["value"][1])) for each in found)
