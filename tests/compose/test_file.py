"""What compose.yaml promises, read from the file: no Docker is needed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())[
    "services"
]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_bounded(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert "cpus" in service
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_and_not_privileged(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        address, rest = port.split(":", 1)
        assert address == "127.0.0.1"
        assert int(rest.rsplit(":", 1)[1]) >= 1024


def test_images_are_ours_or_pinned() -> None:
    for service in SERVICES.values():
        image = service["image"]
        ours = image in ("lode-market", "lode-chain")
        assert ours or not image.rstrip("}").endswith("latest")


def test_one_service_builds_each_image() -> None:
    builders = [each["image"] for each in SERVICES.values() if "build" in each]

    assert sorted(builders) == ["lode-chain", "lode-market"]


def test_jobs_do_not_restart_and_somebody_waits_for_each() -> None:
    awaited = {
        name
        for service in SERVICES.values()
        for name, rule in service.get("depends_on", {}).items()
        if rule["condition"] == "service_completed_successfully"
    }
    jobs = {name for name, service in SERVICES.items() if service.get("restart") == "no"}

    assert jobs == awaited


def test_no_secret_is_in_the_environment() -> None:
    for service in SERVICES.values():
        assert not {
            name
            for name in service.get("environment", {})
            if any(word in name.upper() for word in ("KEY", "TOKEN", "PASSWORD", "SECRET"))
        }


def test_every_alert_is_tested_and_explained() -> None:
    folder = ROOT / "compose" / "prometheus"
    groups = yaml.safe_load((folder / "rules.yml").read_text())["groups"]
    cases = yaml.safe_load((folder / "rules_test.yml").read_text())["tests"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    fired = {
        each["alertname"]
        for case in cases
        for each in case["alert_rule_test"]
        if each["exp_alerts"]
    }
    page = (ROOT / "docs" / "compose.md").read_text()

    assert fired == alerts
    assert all(f"| `{alert}` |" in page for alert in alerts)
