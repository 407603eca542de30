"""Every change of keys and of the deny-list is on record, and nothing that failed is."""

from pathlib import Path

import pytest

from gateway.access.api_keys import KeyStore
from gateway.access.audit_log import CONTROL_PLANE, read_actions
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.errors import KeyNotFoundError
from tests.factories import APPLICATION, SUPPLIER


def test_each_change_is_on_record_once_and_no_secret(tmp_path: Path) -> None:
    tables = Database(tmp_path / "keys.db")
    keys, serving, denied = KeyStore(tables), KeyStore(tables, CONTROL_PLANE), DenyList(tables)
    key, row = serving.create("shop", APPLICATION)
    keys.update(row.id, {"daily_budget": 5})
    denied.deny(SUPPLIER, "slow")
    assert denied.allow(SUPPLIER)
    assert not denied.allow(SUPPLIER)
    keys.revoke(row.id)
    for failing in (keys.revoke, lambda name: keys.update(row.id, {})):
        with pytest.raises(KeyNotFoundError):
            failing("key_none")
    found = read_actions(tables)
    tables.close()
    assert [each["action"] for each in found] == [
        "revoke key", "allow supplier", "deny supplier", "change key", "create key",
    ]  # fmt: skip
    assert [each["actor"] for each in found] == ["command line"] * 4 + ["control plane"]
    assert found[3]["detail"] == {"daily_budget": 5}
    assert {each["target"] for each in found} == {row.id, "0x" + SUPPLIER.hex()}
    assert key not in str(found)
    assert row.sha256 not in str(found)
