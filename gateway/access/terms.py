"""What somebody may use and spend: the terms that keys and projects have in common."""

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field, SQLModel

RATE_MAX = 10**12
BUDGET_MAX = 9 * 10**18
"""Fits the tables, and is the same number to a reader of JSON that takes it for a float."""
MODELS_MAX = 256


class Terms(SQLModel):
    """Models, rates and budgets; where a limit is unset there is none."""

    models: list[str] | None = Field(
        default=None, max_length=MODELS_MAX, sa_type=JSON, description="the only ones to be used"
    )
    requests_per_minute: int | None = Field(default=None, ge=1, le=RATE_MAX, sa_type=BigInteger)
    tokens_per_minute: int | None = Field(
        default=None, ge=1, le=RATE_MAX, sa_type=BigInteger,
        description="of prompts and answers; max_tokens counts until an answer has ended",
    )  # fmt: skip
    daily_budget: int | None = Field(
        default=None, ge=0, le=BUDGET_MAX, sa_type=BigInteger,
        description="token base units a UTC day",
    )  # fmt: skip
    monthly_budget: int | None = Field(
        default=None, ge=0, le=BUDGET_MAX, sa_type=BigInteger,
        description="token base units a UTC month",
    )  # fmt: skip
