"""Chat templates from a hostile file: rendered under a budget, never trusted.

A template is Jinja. The sandbox of Jinja keeps it from Python's insides but not from eating time
and memory: nested loops, strings that double, huge numbers, one method with a large width. So only
the syntax, filters and methods that chat templates use are let in, and every one of them is paid
for out of one budget before it runs: loop turns, calls, lengths read, compared, joined and written.
The count needs no clock, so a template gives the same verdict on every machine.

`sandbox` holds the environment, `template_budget` what it may take.

Source: the rendering rules of Hugging Face transformers (`apply_chat_template`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError as JinjaError

from relay_mining.conversation import Conversation
from relay_mining.errors import RelayMiningError
from relay_mining.sandbox import SandboxEnvironment
from relay_mining.template_budget import BUDGET, Budget, BudgetError

_DATE_FORMAT = re.compile(r"(?:%[aAbBdHIjmMpSUwWyYZz%]|[^%]){0,64}")


class TemplateError(RelayMiningError):
    """The template does not render these messages, or not within its limits."""


@dataclass(frozen=True, slots=True)
class TemplateLimits:
    """What one template may take."""

    source_chars_max: int = 128 << 10
    output_chars_max: int = 8 << 20
    steps_max: int = 8 << 20
    """Turns and calls (32 each), elements (8) and characters read or written (1), together."""
    steps_per_char: int = 32
    """Further steps for each character of the messages."""


class ChatTemplate:
    """A compiled chat template; rendering leaves no trace in it, so threads may share one.

    Raises:
        TemplateError: it is too long, does not parse, or uses what chat templates do not.
    """

    __slots__ = ("_limits", "_special_tokens", "_template", "asks_the_date")

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str] | None = None,
        limits: TemplateLimits | None = None,
    ) -> None:
        self._limits = limits or TemplateLimits()
        self._special_tokens = dict(special_tokens or {})
        self.asks_the_date = "strftime_now" in source
        if len(source) > self._limits.source_chars_max:
            raise TemplateError(f"a template of {len(source)} characters")
        try:
            self._template = SandboxEnvironment().from_string(source)
        except _FAILURES as error:
            raise TemplateError(f"the template does not compile: {error}") from error

    def render(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = True,
        now: datetime | None = None,
    ) -> str:
        """Return the prompt of a chat; `now` is what a template that asks for the date is told.

        Raises:
            TemplateError: it failed, refused the messages, or spent its limits.
        """
        budget = Budget(self._limits.steps_max, self._limits.output_chars_max)
        inputs = {
            **conversation.variables,
            "messages": list(conversation.messages),
            "tools": list(conversation.tools) or None,
        }
        values = {
            **self._special_tokens,
            **inputs,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": _clock_of(now),
            "raise_exception": _raise,
            BUDGET: budget,
        }
        try:
            budget.grant(self._limits.steps_per_char, inputs)
            return "".join(budget.meter_output(self._template.generate(values)))
        except _FAILURES as error:
            raise TemplateError(f"the template failed: {error}") from error


# Jinja writes an infinite number down as the name `inf`, which is none.
_FAILURES = (
    JinjaError, BudgetError, ArithmeticError, AttributeError, LookupError, MemoryError, NameError,
    RecursionError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""All that compiling or running a hostile template can raise: its fault, whichever it is."""


def _raise(message: str) -> NoReturn:
    raise TemplateError(f"the template refuses the messages: {message}")


def _clock_of(now: datetime | None) -> Any:
    def strftime_now(pattern: str) -> str:
        if now is None:
            raise TemplateError("the template asks for the date and was told none")
        if not _DATE_FORMAT.fullmatch(pattern):
            raise TemplateError("a date format that no chat template needs")
        return now.strftime(pattern)

    return strftime_now
