"""The commands for API keys: who may use the gateway, and what each may spend."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.access.api_keys import ApiKey, KeyStore, KeyTerms
from gateway.access.database import Database
from gateway.cli.command import Config, Json, Key, resolve, run
from gateway.cli.terms import Daily, Models, Monthly, Rpm, Tpm, read_terms
from gateway.settings import Settings
from node.errors import OperatorError
from node.output import Output
from node.settings import parse_hex
from node.spans import read_span

keys_app = typer.Typer(no_args_is_help=True, help="API keys of the gateway's clients.")

KeyId = Annotated[str, typer.Argument(help="From `gateway keys list`.")]
InFlight = Annotated[int | None, typer.Option(min=1, help="Requests at the same time.")]
Expires = Annotated[
    str | None, typer.Option(help="`30d`, `12h`, an ISO 8601 date or time, or `never`.")
]


@keys_app.command("create")
def create_key(  # noqa: PLR0913, PLR0917 - options
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    application: Annotated[str, typer.Option(help="Who pays; unset: your own.")] = "",
    in_flight_max: InFlight = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    daily_budget: Daily = None,
    monthly_budget: Monthly = None,
    models: Models = None,
    expires: Expires = None,
    project: Annotated[
        str | None, typer.Option(help="From `gateway projects list`; it stays there.")
    ] = None,
    config: Config = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Create an API key; it is shown this once.

    Example: gateway keys create "web shop" --rpm 600 --daily-budget 5000000 --expires 90d
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        named = application or settings.application or resolve(settings, key).application
        payer = parse_hex("application", named, 20)
        terms = read_terms(
            KeyTerms, rpm, tpm, daily_budget, monthly_budget, models,
            in_flight_max=in_flight_max,
            expires_at=None if not expires else parse_expiry(expires, int(time.time())),
        )  # fmt: skip
        with Database(settings.tables) as tables:
            api_key, row = KeyStore(tables).create(name, payer, KeyTerms(**terms), project)
        shown = row.model_dump(include={"id", "application", "project"})
        return {"key": api_key, **shown, **terms}

    run(config, json, work)


@keys_app.command("update")
def update_key(  # noqa: PLR0913, PLR0917 - options
    key_id: KeyId,
    in_flight_max: InFlight = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    daily_budget: Daily = None,
    monthly_budget: Monthly = None,
    models: Models = None,
    expires: Expires = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Change what an API key may do and spend; a running gateway follows within a second.

    Example: gateway keys update key_1f2e3d4c5b6a7988 --rpm 1200 --monthly-budget 0
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        terms = read_terms(
            KeyTerms, rpm, tpm, daily_budget, monthly_budget, models,
            in_flight_max=in_flight_max,
            expires_at=None if not expires else parse_expiry(expires, int(time.time())),
        )  # fmt: skip
        with Database(settings.tables) as tables:
            row = KeyStore(tables).update(key_id, terms)
        return row.model_dump(exclude={"sha256"})

    run(config, json, work)


@keys_app.command("list")
def list_keys(config: Config = None, json: Json = False) -> None:
    """List API keys by their ids; the keys themselves are not kept.

    Example: gateway keys list
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        rows = [row.model_dump(exclude={"sha256"}) for row in read_keys(settings)]
        columns = ["id", "name", "shown", "project", *KeyTerms.model_fields, "revoked_at"]
        output.table("API keys", columns, [[row[each] for each in columns] for row in rows])
        return {"keys": rows}

    run(config, json, work)


@keys_app.command("revoke")
def revoke_key(
    key_id: KeyId,
    config: Config = None,
    json: Json = False,
) -> None:
    """Revoke an API key; a running gateway refuses it within a second.

    Example: gateway keys revoke key_1f2e3d4c5b6a7988
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            row = KeyStore(tables).revoke(key_id)
        return {"id": row.id, "revoked_at": row.revoked_at}

    run(config, json, work)


def read_keys(settings: Settings) -> Sequence[ApiKey]:
    """The keys of the configured gateway, whether it is running or not."""
    with Database(settings.tables) as tables:
        return KeyStore(tables).list()


def parse_expiry(text: str, now: int) -> int:
    """Unix seconds; 0 for `never` (OperatorError for what is no time)."""
    if text == "never":
        return 0
    span = read_span(text)
    if span is not None:
        return now + span
    try:
        time_of = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(
            f"expires: {text!r} is no time; give 30d, 12h, 2031-01-31 or never"
        ) from error
    return int((time_of if time_of.tzinfo else time_of.replace(tzinfo=UTC)).timestamp())
