"""The commands that say what is wrong, and what to do about it."""

from dataclasses import asdict

import typer

from supplier.command import Command, Config, Json
from supplier.doctor import Finding, Verdict, check_settings, examine, is_healthy

config_cli = typer.Typer(no_args_is_help=True, help="The settings file.")


def doctor(config: Config = None, json: Json = False) -> None:
    """Look at every precondition of serving and being paid, each with its remedy.

    Exit status 1 where something has to be mended; warnings pass. Changes nothing.

    Example: supplier doctor
    """
    found: list[Finding] = []

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        with command.output.progress("looking"):
            found.extend([each async for each in examine(settings)])
        return _show(command, "doctor", found)

    Command(config, json).run(work)
    if not is_healthy(found):
        raise typer.Exit(1)


@config_cli.command("check")
def config_check(config: Config = None, json: Json = False) -> None:
    """Read the settings as `serve` would, and say what cannot work; asks neither chain nor engine.

    Example: supplier config check --config supplier.toml
    """
    found: list[Finding] = []

    async def work(command: Command) -> dict[str, object]:
        found.extend(check_settings(command.settings()))
        return _show(command, "settings", found)

    Command(config, json).run(work)
    if not is_healthy(found):
        raise typer.Exit(1)


def _show(command: Command, title: str, found: list[Finding]) -> dict[str, object]:
    command.output.table(
        title, ("", "what", "found", "remedy"),
        [(each.verdict, each.name, each.says, each.remedy) for each in found],
    )  # fmt: skip
    counts = {each: sum(one.verdict is each for one in found) for each in Verdict}
    return {
        "ok": is_healthy(found),
        **{each.value + "_count": count for each, count in counts.items()},
        "findings": [asdict(each) for each in found],
    }
