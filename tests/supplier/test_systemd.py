"""The unit runs commands that exist, with what the documentation says of them."""

import configparser
import shlex

import pytest

from localnet.processes import ROOT
from supplier.cli import cli
from supplier.settings import ServerSettings
from tests.clis import each_command

UNIT = ROOT / "systemd" / "lode-supplier.service"


@pytest.fixture
def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    assert {"Unit", "Service", "Install"} == set(parser.sections())
    return parser["Service"]


def test_the_commands_of_the_unit_are_there(service: configparser.SectionProxy) -> None:
    known = each_command(cli)
    for name in ("ExecStartPre", "ExecStart"):
        program, *words = shlex.split(service[name])
        assert program.endswith("/supplier")
        assert words[: words.index("--config")] in known
    assert "-HUP $MAINPID" in service["ExecReload"]


def test_a_stop_gives_open_answers_and_the_engine_their_time(
    service: configparser.SectionProxy,
) -> None:
    assert int(service["TimeoutStopSec"]) > 2 * ServerSettings().drain_s + 10
    assert service["KillMode"] == "mixed"  # SIGTERM to the node alone, which ends its engine
    assert service["Restart"] == "on-failure"
