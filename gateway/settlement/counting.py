"""The rules of `relay_mining.recount` applied to one answer: which text is counted as what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from gateway.api.openai import Endpoint, PromptOverhead, split_inputs
from gateway.settlement.answers import Choice, read_choices, read_vector_indices
from relay_mining import (
    Conversation,
    ConversationError,
    Hash32,
    InputCount,
    OutputCount,
    Recounter,
    RecountError,
    TemplateError,
    read_conversation,
)


@dataclass(frozen=True, slots=True)
class CountFiles:
    """What a service counts with: verified files, and what its verified spec says of them."""

    service: Hash32
    tokenizer: bytes
    chat_template: str | None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    chat_adds_special_tokens: bool = False
    prompt_adds_special_tokens: bool = True


class CountJob(NamedTuple):
    """One answer to count; a tuple, since every one goes through a pipe."""

    service: Hash32
    endpoint: Endpoint
    body: bytes
    answer: bytes
    is_stream: bool
    asked: datetime
    """The date a template is told."""


class Count(NamedTuple):
    """Tokens as the gateway counts them; None where it cannot say.

    Each `_max` is the most an honest supplier can have counted.
    """

    input_tokens: int | None
    input_tokens_max: int | None
    output_tokens: int | None
    output_tokens_max: int | None


UNKNOWN = Count(None, None, None, None)
OVERHEAD_MARGIN = 32
"""Tokens a template may write for one request more than for the probe."""
PROBE = ({"role": "user", "content": ""},)
TOOL = {"type": "function", "function": {"name": "", "description": "", "parameters": {}}}


@dataclass(frozen=True, slots=True)
class ServiceCounter:
    """Counts the answers of one service; raises RelayMiningError for files that do not load."""

    files: CountFiles
    recounter: Recounter = field(init=False)

    def __post_init__(self) -> None:
        files = self.files
        recounter = Recounter(files.tokenizer, files.chat_template, files.special_tokens)
        object.__setattr__(self, "recounter", recounter)

    def count(self, job: CountJob) -> Count:
        """The tokens of one answer; what cannot be counted is None."""
        members = orjson.loads(job.body)
        inputs = self._count_input(members, job)
        outputs = self._count_output(members, job)
        return Count(
            input_tokens=inputs.tokens if inputs else None,
            input_tokens_max=inputs.tokens_max if inputs else None,
            output_tokens=outputs.tokens if outputs else None,
            output_tokens_max=outputs.tokens_max if outputs else None,
        )

    def measure_overhead(self) -> PromptOverhead:
        """What the template writes around an empty message, without tools and with one.

        No measure is below the default, which is that of a template that takes no probe.
        """
        least = PromptOverhead()
        return PromptOverhead(
            max(least.plain, self._measure(Conversation(PROBE))),
            max(least.with_tools, self._measure(Conversation(PROBE, (TOOL,)))),
        )

    def _measure(self, probe: Conversation) -> int:
        try:
            return self.recounter.count_chat(probe, now=datetime.now(UTC)).tokens + OVERHEAD_MARGIN
        except (RecountError, TemplateError):
            return 0

    def _count_input(self, members: Mapping[str, Any], job: CountJob) -> InputCount | None:
        try:
            if job.endpoint is Endpoint.CHAT:
                return self.recounter.count_chat(
                    read_conversation(members),
                    now=job.asked,
                    add_special_tokens=self.files.chat_adds_special_tokens,
                )
            prompts = split_inputs(job.endpoint, members)
            if job.endpoint is Endpoint.EMBEDDINGS:
                prompts = [prompts[i] for i in read_vector_indices(job.answer) if i < len(prompts)]
            return self._count_prompts(prompts)
        except (ConversationError, RecountError, TemplateError):
            return None

    def _count_prompts(self, prompts: Sequence[str | list[int]]) -> InputCount:
        adds = self.files.prompt_adds_special_tokens
        counts = [self.recounter.count_prompt(each, add_special_tokens=adds) for each in prompts]
        return InputCount(
            sum(each.tokens for each in counts), sum(each.tokens_max for each in counts)
        )

    def _count_output(self, members: Mapping[str, Any], job: CountJob) -> OutputCount | None:
        if job.endpoint is Endpoint.EMBEDDINGS:
            return OutputCount(0, True, 0)
        stop = members.get("stop") or ()
        marks = (stop,) if isinstance(stop, str) else stop
        try:
            counts = [
                self._count_choice(each, marks, has_tools=bool(members.get("tools")))
                for each in self._asked_choices(members, job)
            ]
        except RecountError:
            return None
        return OutputCount(
            sum(each.tokens for each in counts),
            all(each.is_exact for each in counts),
            sum(each.tokens_max for each in counts),
        )

    def _count_choice(self, choice: Choice, stop: Sequence[str], *, has_tools: bool) -> OutputCount:
        """One answer; calls are not paid where there is no tool to call."""
        speech = choice.speech
        found = self.recounter.recount_speech(speech, choice.token_ids, stop)
        if has_tools or not speech.calls:
            return found
        asked = self.recounter.recount_speech(replace(speech, calls=()), choice.token_ids, stop)
        return replace(found, tokens=min(found.tokens, asked.tokens))

    def _asked_choices(self, members: Mapping[str, Any], job: CountJob) -> list[Choice]:
        """The choices that were asked for, each without the prompt it echoes."""
        prompts = [""] if job.endpoint is Endpoint.CHAT else split_inputs(job.endpoint, members)
        each_prompt = members.get("n") or 1
        choices = read_choices(job.answer, job.is_stream)
        asked = [index for index in choices if index < each_prompt * len(prompts)]
        if members.get("echo"):
            for index in asked:
                self._drop_echo(choices[index], prompts[index // each_prompt])
        return [choices[index] for index in asked]

    def _drop_echo(self, choice: Choice, prompt: str | list[int]) -> None:
        """Take the prompt off the head of the text where it stands there: it was input."""
        text = prompt if isinstance(prompt, str) else self.recounter.decode(prompt)
        choice.content = choice.content.removeprefix(text or "")
