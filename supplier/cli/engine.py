"""The commands about engines: run one by itself, restart one, change them while they serve."""

import asyncio
from typing import Annotated

import typer

from supplier.cli.command import Command, Config, Json
from supplier.engines.process import compute_launch, free_port
from supplier.fleet import ask_control

Name = Annotated[str | None, typer.Option("--engine", help="which of [[engines]]")]

engine_cli = typer.Typer(
    invoke_without_command=True, help="The engines; by itself it runs one in the foreground."
)


@engine_cli.callback()
def engine(
    context: typer.Context, config: Config = None, json: Json = False, name: Name = None
) -> None:
    """Run an engine of this config alone, in the foreground; or restart or change those that serve.

    Example: supplier engine --config supplier.toml
    """
    if context.invoked_subcommand is not None:
        return

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings().pick_engine(name)
        launch = compute_launch(settings, settings.port or free_port())
        process = await asyncio.create_subprocess_exec(*launch.argv)
        return {"exit_status": await process.wait()}

    Command(config, json).run(work)


@engine_cli.command()
def restart(
    name: Annotated[str, typer.Argument(help="which engine; `supplier status` names them")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Let an engine end what it has in hand, then start it anew.

    It takes no relay meanwhile; other engines of its services do. What is not done within its
    `drain_s` is broken off.

    Example: supplier engine restart engine
    """

    async def work(command: Command) -> dict[str, object]:
        data_dir = command.settings().data_dir
        await ask_control(data_dir, {"do": "restart", "engine": name}, command.output.line)
        return {"engine": name, "restarted": True}

    Command(config, json).run(work)


@engine_cli.command()
def change(
    config: Config = None,
    json: Json = False,
    in_place: Annotated[
        bool, typer.Option(help="the old one goes first: for memory that holds only one")
    ] = False,
) -> None:
    """Make the engines that serve those of the settings file, without a moment in which none does.

    A changed engine is loaded beside the old one and checked against the listing; then relays go to
    it, the old one ends what it has in hand, and is unloaded. An engine taken out whose service is
    taken out too serves on until its last session is claimed. One that fails changes nothing.

    Example: supplier engine change
    """

    async def work(command: Command) -> dict[str, object]:
        data_dir = command.settings().data_dir
        request = {"do": "change", "in_place": in_place}
        await ask_control(data_dir, request, command.output.line)
        return {"changed": True}

    Command(config, json).run(work)
