"""What the provisioned dashboards and the rules ask for exists; no Docker is needed."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.compose.panels import FOLDER, Panel, dashboards, panels

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"\b(?:gateway|supplier)_[a-z0-9_]+")
IN_CODE = re.compile(r'"((?:gateway|supplier)_[a-z0-9_]+)"')
SUFFIXES = ("_total", "_bucket", "_sum", "_count")
"""What the exposition format adds to the name of a counter or a histogram."""


def metrics_of(expression: str) -> set[str]:
    """The metrics an expression names, as the code names them."""
    found = METRIC.findall(expression)
    return {next((n.removesuffix(s) for s in SUFFIXES if n.endswith(s)), n) for n in found}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every name of that form in the nodes' code."""
    files = [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("supplier/**/*.py")]
    return {name for each in files for name in IN_CODE.findall(each.read_text())}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.name)
def test_every_metric_of_a_panel_exists(panel: Panel, known: set[str]) -> None:
    assert panel.expressions
    assert set().union(*map(metrics_of, panel.expressions)) <= known


def test_every_metric_of_a_rule_exists(known: set[str]) -> None:
    groups = yaml.safe_load((ROOT / "compose" / "prometheus" / "rules.yml").read_text())["groups"]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]

    assert rules
    assert set().union(*map(metrics_of, rules)) <= known


def test_the_dashboards_of_the_four_views_have_ids_of_their_own() -> None:
    found = dashboards()

    assert list(found) == ["gateway", "market", "settlement", "supplier"]
    assert len({each["uid"] for each in found.values()}) == len(found)
    for dashboard in found.values():
        ids = [each["id"] for each in dashboard["panels"]]
        assert len(set(ids)) == len(ids)


def test_panels_do_not_lie_over_each_other() -> None:
    for dashboard in dashboards().values():
        cells = [
            (x, y)
            for at in (panel["gridPos"] for panel in dashboard["panels"])
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24


def test_every_data_source_that_is_named_is_provisioned() -> None:
    provisioned = yaml.safe_load(
        (FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )["datasources"]
    named = set(re.findall(r'"type": "prometheus", "uid": "([^"]+)"', json.dumps(dashboards())))

    assert named == {each["uid"] for each in provisioned}
