"""What is read of a run: from logs as the nodes write them."""

from pathlib import Path

import orjson

from gateway.routing.auditing import CONTRADICTED
from localnet.cheat_evidence import add_doubts, read_answers, read_honest_units, read_refusals

LOG = [
    b"not a line of JSON",
    orjson.dumps({"event": "Prove failed: Proof_RootMismatch(digest=0x00): open it again"}),
    orjson.dumps({"event": "Prove failed: Proof_RootMismatch(digest=0x01): open it again"}),
    orjson.dumps({"event": "SubmitClaims failed: Claims_OverSlice(value=2, slice=1)"}),
    orjson.dumps({"event": "cheated", "honest_units": 141, "signed_units": 541}),
    orjson.dumps({"event": "cheated", "honest_units": 100, "signed_units": 500}),
    b'{"event": "torn',
]


def line(kind: str, disposition: str, time: int, **more: object) -> dict[str, object]:
    values = {"time": time, "supplier": "0xaa", "key": "key_1", "kind": kind, "units": 141}
    said = {"is_answer": True, "is_stream": False, "detail": "", "units_receipted": 141}
    return values | said | {"disposition": disposition} | more


def test_refusals_and_notes_are_read_from_a_suppliers_log(tmp_path: Path) -> None:
    log = tmp_path / "supplier.log"
    log.write_bytes(b"\n".join(LOG))

    assert read_refusals(log) == {"Proof_RootMismatch": 2}
    assert read_honest_units(log) == 241


def test_answers_are_counted_by_supplier_and_by_key() -> None:
    records = [
        orjson.dumps([line("try", "ok", 10), line("recount", "receipted", 10)]),
        orjson.dumps([line("try", "client_abort", 11), line("try", "invalid", 12, detail="why")]),
        orjson.dumps([line("recount", "overclaim", 13, units_receipted=41)]),
        orjson.dumps([line("try", "ok", 14), line("try", "ok", 15, is_stream=True)]),
        orjson.dumps([line("try", "ok", 15, is_answer=False)]),
        orjson.dumps([{"kind": kind, "time": 9, "key": "key_1"} for kind in ("begin", "end")]),
        orjson.dumps([{"kind": "refusals", "time": 9, "code": "invalid_api_key", "count": 2}]),
    ]
    found = read_answers(records)

    assert found["0xaa"] == found["key_1"]
    seen = found["0xaa"]
    assert (seen.tries, seen.faults, seen.aborts, seen.overclaims) == (6, 1, 1, 1)
    assert (seen.served, seen.receipted, seen.overclaimed) == (6 * 141, 182, 100)
    assert (seen.plain, seen.exposed) == ([10, 14], 1)
    assert (seen.began, seen.caught, dict(seen.details)) == (10, 12, {"why": 1})


def test_contradictions_are_read_from_the_gateway_s_log(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    at = "2026-01-01T00:00:09+00:00"
    doubt = {"time": at, "event": CONTRADICTED, "supplier": "0xaa"}
    log.write_bytes(b"\n".join([orjson.dumps(doubt), orjson.dumps(doubt), b""]))
    found = read_answers([orjson.dumps([line("try", "broken", 10, supplier="0xaa")])])

    add_doubts(found, log)

    assert found["0xaa"].doubts == 2
    assert found["0xaa"].caught == 1_767_225_609
