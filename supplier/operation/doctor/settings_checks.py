"""Settings that parse and still cannot work, or cost money."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from node.addresses import is_public
from relay_mining import DIALS_OUT
from supplier.operation.doctor.finding import Finding, failed, ok, warning
from supplier.settings import EngineSettings, Settings

BOND_PERCENT_MAX = 2_000
RECEIPT_DUE_S_MIN = 5.0


def check_settings(settings: Settings) -> list[Finding]:
    """What is wrong with the settings by themselves; a single finding where nothing is."""
    found = [
        *_check_url(settings.public_url),
        *_check_files(settings),
        *_check_engines(settings),
        *_check_money(settings),
        *_check_listeners(settings),
    ]
    return found or [ok("settings", "they fit together")]


def _check_url(url: str) -> Iterator[Finding]:
    if url == DIALS_OUT:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        says = f"public_url is {url!r}, which is no http or https URL with a host"
        remedy = f"set public_url to what gateways can open, or to {DIALS_OUT} to dial them"
        yield failed("public_url", says, remedy)
    elif parts.query or parts.fragment or parts.username:
        yield failed(
            "public_url", "public_url carries a query, a fragment or a user",
            "set it to scheme, host, port and path only",
        )  # fmt: skip


def _check_files(settings: Settings) -> Iterator[Finding]:
    keys = settings.keys
    named = {
        "chain.address_book": settings.chain.address_book,
        "keys.operator_keystore": keys.operator_keystore,
        "keys.operator_password_file": keys.operator_password_file,
        "keys.owner_password_file": keys.owner_password_file,
        "server.tls.certificate": settings.server.tls.certificate,
        "server.tls.key": settings.server.tls.key,
        "server.tls.client_ca": settings.server.tls.client_ca,
    }
    for name, path in named.items():
        if path is not None and not path.is_file():
            yield failed(name, f"{path} is not there", f"put the file there, or mend {name}")
    if keys.operator_key is None and keys.operator_keystore is None:
        yield failed("keys.operator", "no operator key is set", "run `supplier init`")
    owner = keys.owner_keystore
    if owner is not None and owner.is_file() and keys.owner_password_file is not None:
        yield warning(
            "keys.owner", "the owner's key and its password are both on this machine",
            "keep the keystore elsewhere and use it only to stake and withdraw: `serve` needs the "
            "operator's only",
        )  # fmt: skip


def _check_engines(settings: Settings) -> Iterator[Finding]:
    """Each engine by itself, then whether they get into each other's way."""
    for engine in settings.all_engines:
        yield from _check_engine(engine, settings)
    ports = Counter(
        each.port
        for each in settings.all_engines
        if each.url is None and each.kind == "vllm" and each.port
    )
    for port, count in ports.items():
        if count > 1:
            yield failed(
                "engines.port", f"{count} engines are to listen on port {port}",
                "give each its own, or 0 for a free one",
            )  # fmt: skip


def _check_engine(engine: EngineSettings, settings: Settings) -> Iterator[Finding]:
    if not engine.count_prompts:
        yield warning(
            f"{engine.name}.count_prompts", "prompts are not counted before they are served",
            "set it true, or be paid short by gateways that understate prompts",
        )  # fmt: skip
    if engine.connections_max < settings.server.relays_open_max:
        says = (
            f"{settings.server.relays_open_max} relays may be open and only "
            f"{engine.connections_max} connections to the engine"
        )
        remedy = "raise it to server.relays_open_max, or lower the latter"
        yield warning(f"{engine.name}.connections_max", says, remedy)
    if engine.url is not None and _is_public(urlsplit(engine.url).hostname or ""):
        yield warning(
            f"{engine.name}.url", "it is an address of the public internet",
            "keep engines where only you reach them: prompts go there in clear, and who reaches "
            "one uses it unpaid",
        )  # fmt: skip


def _is_public(host: str) -> bool:
    """Whether a host is an address that anybody may reach; of a name nothing is known."""
    try:
        return is_public(ip_address(host))
    except ValueError:
        return False


def _check_money(settings: Settings) -> Iterator[Finding]:
    settlement, credit = settings.settlement, settings.credit
    if settlement.bond_percent > BOND_PERCENT_MAX:
        yield warning(
            "settlement.bond_percent", f"each claim wants {settlement.bond_percent} % as its bond",
            "lower it: stake that backs a bond is at risk and backs no other claim",
        )  # fmt: skip
    if not settlement.token_per_native:
        yield warning(
            "settlement.token_per_native", "claims smaller than their gas are not skipped",
            "set it to the base units that one native coin is worth",
        )  # fmt: skip
    if credit.receipt_due_s < RECEIPT_DUE_S_MIN:
        yield warning(
            "credit.receipt_due_s", f"receipts are overdue after {credit.receipt_due_s} s",
            "give gateways a few seconds: they gather receipts before they sign",
        )  # fmt: skip


def _check_listeners(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if server.metrics_port and server.metrics_port == server.port:
        yield failed(
            "server.metrics_port", "relays and metrics are to share a port",
            "set metrics_port to another, or to 0: /metrics is on `port` as well",
        )  # fmt: skip
    is_clear = server.tls.certificate is None
    if settings.public_url.startswith("https://") and is_clear:
        yield warning(
            "server.tls", "public_url is https and this server has no certificate",
            "set server.tls.certificate and server.tls.key, unless a proxy speaks TLS for it",
        )  # fmt: skip
