"""The supplier's TOML file: written once with comments, later edited one key at a time."""

import json
import re
from pathlib import Path

from node.errors import OperatorError

TEMPLATE = """\
# Settings of a supplier. Every key has an environment variable that goes before it:
# SUPPLIER_CHAIN__CONFIRMATIONS=4 is `confirmations` under [chain]. Paths are relative to this file.

# Printed by `supplier stake`, which fills it in.
supplier_id = {supplier_id}
# Services served here; `supplier list` adds to it.
services = {services}
# Where gateways reach this server.
public_url = {public_url}
# Receipt log and tables: back this up, unclaimed receipts are money.
data_dir = {data_dir}

[chain]
rpc_urls = {rpc_urls}
address_book = {address_book}
# Blocks on top of one that is held final.
confirmations = {confirmations}

[keys]
# The operator's key is hot: it serves and claims. The owner's is cold: it stakes and withdraws, and
# `serve` does not need it. Passwords come from files, or SUPPLIER_OPERATOR_PASSWORD and
# SUPPLIER_OWNER_PASSWORD. Raw keys (operator_key, owner_key) work on the local network only.
{keys}

[server]
host = {host}
port = {port}

[engine]
# "embedded" or "vllm", started as a child; or set url to use one that is already running.
kind = {kind}
model = {model}
served_model_name = {served_model_name}
{engine_url}

[credit]
# Units served to a new gateway before its first receipt is here.
initial_units = 200000
# Millionths of a unit of credit earned for each receipted unit.
growth_ppm = 500000
receipt_due_s = 30.0

[settlement]
# Bond as a share of a claim's value: 100 opens one or two leaves, more opens fewer.
bond_percent = 100
"""


def write_config(path: Path, values: dict[str, object], lines: dict[str, str]) -> None:
    """Write a new file; raises OperatorError rather than overwrite one."""
    if path.exists():
        raise OperatorError(f"{path} exists; edit it, or choose another --config")
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = {name: json.dumps(value) for name, value in values.items()}
    path.touch(mode=0o600)
    path.write_text(TEMPLATE.format(**quoted, **lines))


def set_value(path: Path, name: str, value: object) -> None:
    """Change one top-level key of an existing file; raises OperatorError where it has none."""
    text = path.read_text()
    line = f"{name} = {json.dumps(value)}"
    changed, count = re.subn(rf"(?m)^{re.escape(name)} = .*$", lambda _: line, text, count=1)
    if not count:
        raise OperatorError(f"{path} has no line `{name} = ...`; add `{line}`")
    path.write_text(changed)
