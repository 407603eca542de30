"""What compose.yaml promises, read from the file: no Docker is needed."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.app import RECEIPTS_S, TELL_S
from gateway.settings import RelaySettings
from gateway.settings import ServerSettings as GatewayServer
from supplier.settings import ServerSettings as SupplierServer

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())[
    "services"
]
NODES = ("gateway", "supplier")
OURS = {"lode-market", "lode-chain", "lode-vllm-cpu"}
PROFILES = sorted({profile for each in SERVICES.values() for profile in each.get("profiles", [])})


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
        pinned = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w/.-]+:(.*\d.*)\}", image)
        assert image in OURS or pinned, image


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root(name: str) -> None:
    """Those of ours say so in the Dockerfile, whatever compose.yaml adds."""
    service = SERVICES[name]
    if service["image"] not in OURS:
        assert service["user"] not in ("", "0", "root")


def test_every_image_that_is_built_here_ends_as_a_user() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    ends = {re.search(r" AS ([\w-]+)", each)[1]: each.rstrip() for each in stages}  # type: ignore[index]

    for image in OURS:
        assert ends[image.removeprefix("lode-")].endswith("USER 10001")


def test_one_service_builds_each_image() -> None:
    builders = [each["image"] for each in SERVICES.values() if "build" in each]

    assert sorted(builders) == sorted(OURS)


def test_jobs_do_not_restart_and_somebody_waits_for_each() -> None:
    awaited = {
        name
        for service in SERVICES.values()
        for name, rule in service.get("depends_on", {}).items()
        if rule["condition"] == "service_completed_successfully"
    }
    jobs = {name for name, service in SERVICES.items() if service.get("restart") == "no"}

    assert jobs == awaited


@pytest.mark.parametrize("name", [each for each in SERVICES if each.startswith(NODES)])
def test_a_stop_gives_open_answers_their_time(name: str) -> None:
    """A supplier drains its lines, then its listener, then ends its engine."""
    least = 2 * SupplierServer().drain_s + 10
    if name.startswith("gateway"):
        least = GatewayServer().drain_s + RelaySettings().cancel_s + TELL_S + RECEIPTS_S

    assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > least


def test_no_secret_is_in_the_environment() -> None:
    for service in SERVICES.values():
        assert not {
            name
            for name in service.get("environment", {})
            if any(word in name.upper() for word in ("KEY", "TOKEN", "PASSWORD", "SECRET"))
            and not name.endswith("_FILE")
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


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command `docker compose`, where it is installed; no daemon has to run."""
    command = ["docker", "compose"]
    try:
        subprocess.run([*command, "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed")
    return command


@pytest.mark.parametrize("profile", ["", *PROFILES, "*"])
def test_compose_takes_the_file_with_each_profile(compose: list[str], profile: str) -> None:
    argv = [*compose, "--profile", profile, "config", "--format", "json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, env=clean())

    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)["services"]
    assert found.keys() == {
        name
        for name, each in SERVICES.items()
        if profile == "*" or profile in each.get("profiles", [profile])
    }
    for service in found.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert int(service["mem_limit"]) > 0
        assert service["cpus"] > 0
        assert all(int(port["target"]) >= 1024 for port in service.get("ports", []))
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


def clean() -> dict[str, str]:
    """This environment without what would choose other images or ports."""
    return {k: v for k, v in os.environ.items() if not k.endswith(("_IMAGE", "_PORT"))}


def test_the_image_has_every_package_that_its_packages_import() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    imported = {
        name
        for package in copied
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }

    assert imported & ours <= copied
