"""The supplier's TOML file: written once with comments, later edited one key at a time."""

import json
import re
from pathlib import Path

from pydantic import BaseModel

from contracts import ChainSettings
from node.errors import OperatorError
from node.tls import ClientTls, ListenerTls
from node.traces import TelemetrySettings
from supplier.settings import (
    AdmissionSettings,
    AuctionSettings,
    CreditSettings,
    DialSettings,
    EngineSettings,
    ServerSettings,
    SettlementSettings,
    SharedSettings,
)

TEMPLATE = """\
# Settings of a supplier. Every key has an environment variable that goes before it:
# SUPPLIER_CHAIN__CONFIRMATIONS=4 is `confirmations` under [chain]. Paths are relative to this file.

# Printed by `supplier stake`, which fills it in.
supplier_id = {supplier_id}
# Services served here; `supplier list` adds to it.
services = {services}
# Where gateways reach this server; "dial:" where nothing reaches it, and it dials them.
public_url = {public_url}
# Receipt log and tables: back this up, unclaimed receipts are money.
data_dir = {data_dir}
# Seconds added to this machine's clock, where that cannot be set right.
# clock_offset_s = 0.0
# Several engines: tables [[engines]] of the keys of [engine], each with a name, in its place.
# engines = []

[chain]
rpc_urls = {rpc_urls}
address_book = {address_book}
# Blocks on top of one that is held final.
confirmations = {confirmations}
{more_chain}

[keys]
# The operator's key is hot: it serves and claims. The owner's is cold: it stakes and withdraws, and
# `serve` does not need it. Passwords come from files, or SUPPLIER_OPERATOR_PASSWORD and
# SUPPLIER_OWNER_PASSWORD. Raw keys (operator_key, owner_key) work on the local network only.
{keys}

[server]
host = {host}
port = {port}
{more_server}

# [server.tls]
{more_tls}

[engine]
# "embedded" or "vllm", started as a child; or set url to use one that is already running, of
# either kind or any other, by its name: "llama.cpp".
kind = {kind}
model = {model}
served_model_name = {served_model_name}
{engine_url}
{more_engine}

[dial]
{more_dial}

# [dial.tls]
{more_dial_tls}

[admission]
{more_admission}

[credit]
{more_credit}

[settlement]
{more_settlement}

[auction]
{more_auction}

[shared]
{more_shared}

[telemetry]
{more_telemetry}
"""
SECTIONS: dict[str, tuple[type[BaseModel], frozenset[str]]] = {
    "chain": (ChainSettings, frozenset({"rpc_urls", "address_book", "confirmations"})),
    "server": (ServerSettings, frozenset({"host", "port", "tls"})),
    "tls": (ListenerTls, frozenset()),
    "engine": (EngineSettings, frozenset({"kind", "model", "served_model_name", "url"})),
    "dial": (DialSettings, frozenset({"tls"})),
    "dial_tls": (ClientTls, frozenset()),
    "admission": (AdmissionSettings, frozenset()),
    "credit": (CreditSettings, frozenset()),
    "settlement": (SettlementSettings, frozenset()),
    "auction": (AuctionSettings, frozenset()),
    "shared": (SharedSettings, frozenset()),
    "telemetry": (TelemetrySettings, frozenset()),
}
"""The settings of each section that are written commented out: all but these names."""


def write_config(path: Path, values: dict[str, object], lines: dict[str, str]) -> None:
    """Write a new file; raises OperatorError rather than overwrite one.

    What is not among `values` is in it as a comment, with its default.
    """
    if path.exists():
        raise OperatorError(f"{path} exists; edit it, or choose another --config")
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = {name: json.dumps(value) for name, value in values.items()}
    comments = {
        f"more_{name}": list_defaults(section, written)
        for name, (section, written) in SECTIONS.items()
    }
    path.touch(mode=0o600)
    path.write_text(TEMPLATE.format(**quoted, **lines, **comments))


def list_defaults(section: type[BaseModel], written: frozenset[str]) -> str:
    """The settings of a section but those `written`, each a comment: what it is, its default."""
    return "\n".join(
        f"# {name} = {_show_default(field.default)}"
        + (f"    # {field.description}" if field.description else "")
        for name, field in section.model_fields.items()
        if name not in written
    )


def _show_default(value: object) -> str:
    """A default in TOML; dots for one that is unset."""
    return "..." if value is None else json.dumps(value)


def set_value(path: Path, name: str, value: object) -> None:
    """Change one top-level key of an existing file; raises OperatorError where it has none."""
    text = path.read_text()
    line = f"{name} = {json.dumps(value)}"
    changed, count = re.subn(rf"(?m)^{re.escape(name)} = .*$", lambda _: line, text, count=1)
    if not count:
        raise OperatorError(f"{path} has no line `{name} = ...`; add `{line}`")
    path.write_text(changed)
