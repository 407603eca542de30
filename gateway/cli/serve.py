"""The command that serves."""

from contracts import Market
from gateway.cli.command import Config, Json, Key, chain_id, fill_in, find_config, resolve, run
from gateway.keys import load_keyring, load_owner, load_signing
from gateway.settings import Settings
from node.output import Output
from node.settings import parse_hex
from node.telemetry import setup_logging


def serve(config: Config = None, key: Key = None, json: Json = False) -> None:
    """Serve clients until stopped.

    Example: gateway serve --config gateway.toml
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        from gateway.app import run_node  # slow to load: no other command needs it

        setup_logging()
        resolved, path = resolve(settings, key), find_config(config)
        keyring = load_keyring(settings.keys, chain_id(settings))
        is_trading = bool(settings.auction.bids or settings.auction.clears)

        def reread() -> Settings:  # without the owner's key, which may be shut by now
            return fill_in(Settings.load(path), resolved.gateway_id, resolved.application)

        async with Market.unverified(settings.chain) as market:
            await run_node(
                resolved, market, keyring, reread,
                parse_hex("gateway_id", resolved.gateway_id, 20),
                load_signing(settings.keys, market.book.chain_id),
                lambda port, control: output.line(
                    f"serving {settings.server.tls.scheme}://{settings.server.host}:{port}/v1 "
                    f"(control http://{settings.control.host}:{control}/)"
                ),
                load_owner(settings.keys, market.book.chain_id, key) if is_trading else None,
            )  # fmt: skip
        return {"stopped": True}

    run(config, json, work)
