"""A Prometheus of this machine's that scrapes a running market, with compose's rules."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from localnet import LocalMarket
from localnet.chain import free_port
from localnet.nodes import OK, status_of
from localnet.processes import ROOT, Node

CONFIG = ROOT / "compose" / "prometheus"
DURATION = re.compile(r"\b(\d+)(s|m)\b")
MILLISECONDS = {"s": 1_000, "m": 60_000}


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs, and where it is."""

    url: str

    def query(self, expression: str) -> list[dict[str, str]]:
        """The labels of each series that it answers with."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30.0)
        assert answer.status_code == OK, answer.text
        return [each["metric"] for each in answer.json()["data"]["result"]]

    def fired(self) -> set[str]:
        """Alerts that fired, now or before."""
        firing = 'count_over_time(ALERTS{alertstate="firing"}[2h])'
        return {each["alertname"] for each in self.query(firing)}


@contextmanager
def scraping(market: LocalMarket, folder: Path, haste: int = 1) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a market every second; skips where none is installed.

    Its rules wait, and look back, a `haste`-th of the time that compose's do.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus is installed")
    config, rules = folder / "prometheus.yml", folder / "rules.yml"
    rules.write_text(_hasten((CONFIG / "rules.yml").read_text(), haste))
    config.write_text(_scrape_config(market, rules))
    address = f"127.0.0.1:{free_port()}"
    argv = [
        program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    node = Node.start("prometheus", argv, folder)
    try:
        node.wait_ready(lambda: status_of(f"http://{address}/-/ready") == OK)
        yield Prometheus(f"http://{address}")
    finally:
        node.stop()


def _hasten(rules: str, times: int) -> str:
    """The rules with every duration divided."""
    return DURATION.sub(lambda each: f"{int(each[1]) * MILLISECONDS[each[2]] // times}ms", rules)


def _scrape_config(market: LocalMarket, rules: Path) -> str:
    """As compose's, with this market's addresses."""
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rules)]
    urls = {"gateway": [market.control_url], "supplier": [s.page_url for s in market.suppliers]}
    for job in config["scrape_configs"]:
        targets = [each.removeprefix("http://") for each in urls[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
        job.pop("dns_sd_configs", None)
    return json.dumps(config)
