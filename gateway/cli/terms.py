"""The options for what somebody may use and spend, and how they are read."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gateway.access.terms import Terms
from node.errors import OperatorError

Rpm = Annotated[int | None, typer.Option(min=0, help="Requests per minute; 0: no limit.")]
Tpm = Annotated[int | None, typer.Option(min=0, help="Tokens per minute; 0: no limit.")]
Daily = Annotated[
    int | None, typer.Option(min=0, help="Token base units per UTC day; 0: no limit.")
]
Monthly = Annotated[
    int | None, typer.Option(min=0, help="Token base units per UTC month; 0: no limit.")
]
Models = Annotated[
    str | None, typer.Option(help="The only models it may use, with commas; `any` lifts it.")
]


def read_terms(
    kind: type[Terms], rpm: int | None, tpm: int | None, daily: int | None, monthly: int | None,
    models: str | None, **more: int | None,
) -> dict[str, Any]:  # fmt: skip
    """The terms that options were given for, None for those that are lifted.

    Raises OperatorError for what `kind` does not take.
    """
    given: dict[str, Any] = {
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "daily_budget": daily,
        "monthly_budget": monthly,
        "models": models and [each.strip() for each in models.split(",") if each.strip()],
        **more,
    }
    lifted = {"models": ["any"]}
    terms = {
        name: None if value in (0, lifted.get(name)) else value
        for name, value in given.items()
        if value is not None
    }
    try:
        kind.model_validate(terms)
    except ValidationError as error:
        first = error.errors()[0]
        raise OperatorError(f"{first['loc'][0]}: {first['msg']}") from error
    return terms
