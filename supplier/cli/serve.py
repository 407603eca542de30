"""The commands that run the node, and look at it."""

from typing import Annotated, Any

import typer

from node.telemetry import setup_logging
from supplier.app import run
from supplier.cli.command import Command, Config, Json
from supplier.mining.store import open_store
from supplier.operation.live import describe_engine, read_live


def serve(config: Config = None, json: Json = False, log_level: str = "INFO") -> None:
    """Serve relays, claim and prove; until SIGTERM or Ctrl-C.

    Example: supplier serve --config supplier.toml
    """
    setup_logging(log_level)

    async def work(command: Command) -> dict[str, object]:
        def ready(facts: dict[str, Any]) -> None:
            server = command.settings().server
            url = f"{server.tls.scheme}://{server.host}:{facts['port']}"
            command.output.line(f"serving on {url}, engine at {facts['engine']}")

        await run(command.settings(), ready=ready, reread=command.settings)
        return {"stopped": True}

    Command(config, json).run(work)


def status(
    config: Config = None,
    json: Json = False,
    limit: Annotated[int, typer.Option(help="sessions shown")] = 10,
) -> None:
    """Show how busy each engine is, and what was served, claimed and paid, session by session.

    Example: supplier status --limit 20
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        store = open_store(settings)
        try:
            totals, sessions, actions = (
                store.totals(), store.sessions(limit), store.actions(limit)
            )  # fmt: skip
        finally:
            store.close()
        live = await read_live(settings.server)
        if live is None:
            command.output.line("no answer: is `supplier serve` running?")
        else:
            command.output.table(
                "engines", ("engine", "model", "state"),
                [(each["name"], each["model"], describe_engine(each)) for each in live["engines"]],
            )  # fmt: skip
        columns = ("number", "relays", "served", "receipted", "payable", "value", "paid", "outcome")
        command.output.table(
            "closed sessions", columns,
            [[getattr(each, name) for name in columns] for each in sessions],
        )  # fmt: skip
        return {
            "live": live,
            "totals": totals,
            "sessions": [each.model_dump() for each in sessions],
            "actions": [each.model_dump() for each in actions],
        }

    Command(config, json).run(work)
