"""Reading everything a new release would read at its start, before the old one is stopped."""

from collections.abc import AsyncIterator
from importlib.metadata import version

from contracts import Market, read_block_time
from node.errors import OperatorError
from node.log_format import AppendLogError
from node.settings import parse_hex
from supplier.engines.spec import hash_service_spec
from supplier.mining.books import Books
from supplier.mining.records import CorruptRecordError
from supplier.mining.store import read_records
from supplier.operation.doctor import Finding, Verdict, check_settings
from supplier.operation.ledger import read_books
from supplier.operation.live import read_live
from supplier.operation.upgrade import find_due, judge_moment, judge_version
from supplier.server.services import compute_spec
from supplier.settings import Settings


async def check_upgrade(settings: Settings, restart_s: float) -> AsyncIterator[Finding]:
    """Whether this release starts on what is here, and whether now is the time."""
    live = await read_live(settings.server)
    yield judge_version(version("lode"), None if live is None else live.get("version", "unknown"))
    for finding in check_settings(settings):
        yield finding
    async with await Market.open(settings.chain) as market:
        yield await _check_contracts(market)
        yield await _check_model(market, settings)
        try:
            books = read_books(settings, settings.supplier(), market.domain)
        except (AppendLogError, CorruptRecordError) as error:
            remedy = "do not upgrade: keep the release that wrote it, and a backup"
            yield Finding("receipt log", Verdict.FAILED, str(error), remedy)
            return
        yield _describe_log(settings, books)
        clock, time = await market.sessions.clock(), await read_block_time(market.chain)
        due = find_due(books.sessions.values(), time.head, clock)
        yield judge_moment(due, time, restart_s)


def _describe_log(settings: Settings, books: Books) -> Finding:
    receipts = sum(each.totals.receipts for each in books.sessions.values())
    closed = len(read_records(settings, limit=1_000_000))
    says = f"{receipts} receipts of {len(books.sessions)} open sessions, {closed} closed ones"
    return Finding("receipt log", Verdict.OK, says)


async def _check_contracts(market: Market) -> Finding:
    """Whether this release signs in the domain that the contracts check."""
    name = "messages"
    if await market.claims.domain_separator() == market.domain.separator:
        return Finding(name, Verdict.OK, "this release signs what the contracts check")
    remedy = "do not upgrade: this release is for other contracts"
    return Finding(name, Verdict.FAILED, "the contracts check another domain", remedy)


async def _check_model(market: Market, settings: Settings) -> Finding:
    """Whether this release computes the digest that the services were listed with."""
    name = "model"
    try:
        digests = {hash_service_spec(compute_spec(each)) for each in settings.all_engines}
    except OperatorError as error:
        return Finding(name, Verdict.FAILED, str(error), "mend engine.model")
    for text in settings.services:
        service = await market.registry.service(parse_hex("services", text, 32))
        if service.spec_hash not in digests:
            remedy = "list the model anew first, serve both, then let go of the old one"
            says = f"this release computes another digest than {service.name} is listed with"
            return Finding(name, Verdict.FAILED, says, remedy)
    return Finding(name, Verdict.OK, "every service is listed with the digest of a model here")
