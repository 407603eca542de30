"""Rules on several parameters of a request at once (InvalidParameterError)."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidParameterError
from relay_mining import RecountLimits

FORCED_TOKENS_MAX = RecountLimits().tolerance_tokens
"""Output tokens of a request that makes its model repeat: what a recount tolerates."""


def check_tool_choice(members: Mapping[str, Any]) -> None:
    """A tool that must be called is one of the tools."""
    choice, tools = members.get("tool_choice"), members.get("tools") or []
    if choice in (None, "none", "auto"):
        return
    if not tools:
        raise InvalidParameterError("tool_choice needs tools to choose from", param="tool_choice")
    names = [each["function"]["name"] for each in tools]
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise InvalidParameterError("tool_choice names none of the tools", param="tool_choice")


def check_repetition(members: Mapping[str, Any], output_tokens_max: int | None) -> None:
    """A long answer is not forced to repeat tokens, which encode again into far fewer.

    Its supplier would be paid for those, and this gateway's credit be less by the others.
    """
    if output_tokens_max is not None and output_tokens_max <= FORCED_TOKENS_MAX:
        return
    if any(bias > 0 for bias in (members.get("logit_bias") or {}).values()):
        raise _forcing("logit_bias", "a bias above 0")
    for name in ("presence_penalty", "frequency_penalty"):
        if (members.get(name) or 0) < 0:
            raise _forcing(name, f"a {name} below 0")
    if (members.get("repetition_penalty") or 1) < 1:
        raise _forcing("repetition_penalty", "a repetition_penalty below 1")


def _forcing(name: str, what: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"{what} needs max_tokens of at most {FORCED_TOKENS_MAX}: "
        "tokens that a model is made to repeat cannot be counted again",
        param=name,
    )
