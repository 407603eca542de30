"""The commands for projects: what all the keys of one may use and spend together."""

from typing import Annotated

import typer

from gateway.access.database import Database
from gateway.access.projects import ProjectStore
from gateway.access.terms import Terms
from gateway.cli.command import Config, Json, run
from gateway.cli.terms import Daily, Models, Monthly, Rpm, Tpm, read_terms
from gateway.settings import Settings
from node.output import Output

projects_app = typer.Typer(no_args_is_help=True, help="Projects, above API keys.")
ProjectId = Annotated[str, typer.Argument(help="From `gateway projects list`.")]


@projects_app.command("create")
def create_project(
    name: Annotated[str, typer.Argument(help="What the project is for.")],
    rpm: Rpm = None,
    tpm: Tpm = None,
    daily_budget: Daily = None,
    monthly_budget: Monthly = None,
    models: Models = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Create a project; make keys in it with `gateway keys create --project`.

    Example: gateway projects create research --monthly-budget 100000000 --models tiny
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        terms = read_terms(Terms, rpm, tpm, daily_budget, monthly_budget, models)
        with Database(settings.tables) as tables:
            return ProjectStore(tables).create(name, Terms(**terms)).model_dump()

    run(config, json, work)


@projects_app.command("update")
def update_project(
    project_id: ProjectId,
    rpm: Rpm = None,
    tpm: Tpm = None,
    daily_budget: Daily = None,
    monthly_budget: Monthly = None,
    models: Models = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Change what a project's keys may do and spend together; gateways follow within a second.

    Example: gateway projects update proj_1f2e3d4c5b6a7988 --rpm 1200 --monthly-budget 0
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        terms = read_terms(Terms, rpm, tpm, daily_budget, monthly_budget, models)
        with Database(settings.tables) as tables:
            return ProjectStore(tables).update(project_id, terms).model_dump()

    run(config, json, work)


@projects_app.command("list")
def list_projects(config: Config = None, json: Json = False) -> None:
    """List projects, archived ones too.

    Example: gateway projects list
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            rows = [each.model_dump() for each in ProjectStore(tables).list()]
        columns = ["id", "name", *Terms.model_fields, "archived_at"]
        output.table("Projects", columns, [[row[each] for each in columns] for row in rows])
        return {"projects": rows}

    run(config, json, work)


@projects_app.command("archive")
def archive_project(project_id: ProjectId, config: Config = None, json: Json = False) -> None:
    """Archive a project for good; gateways refuse its keys within a second.

    Example: gateway projects archive proj_1f2e3d4c5b6a7988
    """

    async def work(settings: Settings, output: Output) -> dict[str, object]:
        with Database(settings.tables) as tables:
            row = ProjectStore(tables).archive(project_id)
        return {"id": row.id, "archived_at": row.archived_at}

    run(config, json, work)
