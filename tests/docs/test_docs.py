"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from gateway.cli import app as gateway_cli
from gateway.metrics import Metrics as GatewayMetrics
from gateway.settings import Settings as GatewaySettings
from node.settings import setting_names
from simulations.mining.cheating import RATIOS, SPLITS, best_of
from simulations.mining.traffic import load_cases
from simulations.report import show
from supplier.cli import cli as supplier_cli
from supplier.metrics import Metrics as SupplierMetrics
from supplier.settings import Settings as SupplierSettings
from tests.clis import each_command, help_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    missing = [
        target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()
    ]

    assert missing == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()

    assert [page.name for page in folder.glob("0*.md") if page.name not in index] == []


def test_every_property_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    named = [(int(number), re.findall(r"`([\w/.]+)`", tests)) for number, tests in rows]

    assert [number for number, _ in named] == list(range(1, 11))
    assert all(tests for _, tests in named)
    assert [path for _, tests in named for path in tests if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("heading", "least"), [("Faults, and the test", 15), ("Faults of whole processes", 7)]
)
def test_every_fault_names_tests_that_exist(heading: str, least: int) -> None:
    page = (ROOT / "docs" / "gateway.md").read_text()
    faults = page.split(f"## {heading}")[1].split("\n## ")[0]
    rows = [each for each in faults.splitlines() if each.startswith("| ")][1:]
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", each) for each in rows]

    assert len(rows) >= least
    assert all(named)
    for path, test in (each for row in named for each in row):
        assert f"def {test}(" in (ROOT / path).read_text(), test


GAUGE = re.compile(r'metrics\.watch\(\s*"(gateway_\w+)"')


def exposed_metrics() -> set[str]:
    """Every metric of both nodes, counters without their `_total`."""
    registry = CollectorRegistry()
    GatewayMetrics(registry)
    found = {each.name for each in (*registry.collect(), *SupplierMetrics().registry.collect())}
    sources = "".join(each.read_text() for each in (ROOT / "gateway").rglob("*.py"))
    return found | set(GAUGE.findall(sources))


def test_every_metric_is_documented_and_none_that_is_not_there() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `((?:gateway|supplier)_\w+?)(?:_total)?`", page, re.MULTILINE)

    assert sorted(rows) == sorted(exposed_metrics())


def test_every_make_target_named_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))

    assert named <= targets


@pytest.mark.parametrize(
    ("settings", "page"),
    [(SupplierSettings, "docs/supplier.md"), (GatewaySettings, "docs/gateway.md")],
)
def test_every_setting_is_documented(settings: type[BaseModel], page: str) -> None:
    text = (ROOT / page).read_text()

    assert [name for name in setting_names(settings) if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("cli", "page"), [(supplier_cli, "docs/supplier.md"), (gateway_cli, "docs/gateway.md")]
)
def test_every_command_is_documented_and_has_an_example(cli: typer.Typer, page: str) -> None:
    text = (ROOT / page).read_text()
    program = Path(page).stem
    commands = {f"{program} {' '.join(words)}": words for words in each_command(cli)}

    assert [name for name in commands if name not in text] == []
    assert [
        name for name, words in commands.items() if f"Example: {name}" not in help_of(cli, words)
    ] == []


def test_the_simulated_figures_are_those_of_the_experiment() -> None:
    """Published figures and exact columns; the drawn ones need the page's own command."""
    page = (ROOT / "docs" / "simulations.md").read_text()

    for row in (best_of(ratio, claims) for ratio in RATIOS for claims in SPLITS):
        assert f"| {' | '.join(show(cell) for cell in row)} |" in page
    for case in load_cases():
        assert (
            f"| {case.name} | excess claims | {show(float(case.published.excess_claims))}" in page
        )
