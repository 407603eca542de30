"""Reads the OpenAI requests this engine answers, in vLLM's dialect, into jobs."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from relay_mining import ChatTemplate
from supplier.engines.embedded.chat_template import render_chat
from supplier.engines.embedded.config import GenerationDefaults
from supplier.engines.embedded.errors import (
    ContextLengthError,
    ModelNotFoundError,
    RequestError,
)
from supplier.engines.embedded.fields import Fields, read_token_ids
from supplier.engines.embedded.messages import read_messages
from supplier.engines.embedded.sampling_fields import read_sampling, read_stops
from supplier.engines.embedded.sequence import Job
from supplier.engines.embedded.tokenizer import TextTokenizer

__all__ = ["Ask", "RequestReader"]

# how much text a normaliser or template may drop before a prompt is refused unread
SHRINKING_MAX = 4
STOP_TOKENS_MAX = 64
TOKENS_MAX = (1 << 31) - 1  # what is beyond the context is refused as such
PRIORITY_MAX = (1 << 31) - 1
CHAT_LOGPROBS_MAX = 20
COMPLETION_LOGPROBS_MAX = 20
COMPLETION_TOKENS_DEFAULT = 16

SHARED = {
    "model", "max_tokens", "temperature", "top_p", "top_k", "min_p", "presence_penalty",
    "frequency_penalty", "repetition_penalty", "logit_bias", "seed", "stop", "stop_token_ids",
    "ignore_eos", "min_tokens", "n", "stream", "stream_options", "return_token_ids",
    "skip_special_tokens", "include_stop_str_in_output", "logprobs", "user", "priority",
}  # fmt: skip
# accepted and without effect: they change who asks or how it is billed, not what is answered
UNUSED = {
    "user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier",
    "verbosity", "modalities",
}  # fmt: skip
TOOLS = {"tools", "tool_choice", "parallel_tool_calls"}
CHAT = SHARED | UNUSED | TOOLS | {
    "messages", "max_completion_tokens", "top_logprobs", "response_format",
}  # fmt: skip
COMPLETION = SHARED | UNUSED | {"prompt", "echo", "best_of"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, read: job i * n + j is choice j of prompt i."""

    is_chat: bool
    prompts: tuple[tuple[int, ...], ...]
    jobs: tuple[Job, ...]
    choices: int
    logprobs: bool
    echo: bool
    stream: bool
    include_usage: bool
    return_token_ids: bool

    def prompt_of(self, choice: int) -> tuple[int, ...]:
        """Return the prompt that a choice continues."""
        return self.prompts[choice // self.choices]


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Knows the model's limits and defaults; `choices_max` bounds prompts times n."""

    model_name: str
    vocabulary: int
    context: int
    tokenizer: TextTokenizer
    template: ChatTemplate | None
    defaults: GenerationDefaults
    choices_max: int
    aliases: frozenset[str] = frozenset()
    """Further names it answers to."""

    def read_chat(self, values: dict[str, Any]) -> Ask:
        """Return a chat request as jobs; RequestError where it is refused."""
        fields = Fields(values, CHAT)
        self.verify_model(fields)
        _verify_response_format(fields.get("response_format"))
        _verify_no_tools(fields)
        prompt = self.encode_chat(fields.get("messages"))
        logprobs = fields.flag("logprobs")
        top = fields.integer("top_logprobs", 0, CHAT_LOGPROBS_MAX)
        if top is not None and not logprobs:
            raise RequestError("top_logprobs needs logprobs to be true", "top_logprobs")
        limit = fields.integer("max_completion_tokens", 1, TOKENS_MAX)
        if limit is None:
            limit = fields.integer("max_tokens", 1, TOKENS_MAX)
        if limit is None:
            limit = max(1, self.context - len(prompt))
        return self._make_ask(fields, (prompt,), limit, (top or 0) if logprobs else None, True)

    def read_completion(self, values: dict[str, Any]) -> Ask:
        """Return a completion request as jobs; RequestError where it is refused."""
        fields = Fields(values, COMPLETION)
        self.verify_model(fields)
        prompts = self._read_prompts(fields.get("prompt"))
        limit = fields.integer("max_tokens", 1, TOKENS_MAX) or COMPLETION_TOKENS_DEFAULT
        top = fields.integer("logprobs", 0, COMPLETION_LOGPROBS_MAX)
        best_of = fields.integer("best_of", 1, self.choices_max)
        if best_of is not None and best_of != (fields.get("n") or 1):
            raise RequestError("best_of must equal n", "best_of")
        return self._make_ask(fields, prompts, limit, top, False)

    def verify_model(self, fields: Fields) -> None:
        """Raise ModelNotFoundError where another model is asked for."""
        name = fields.text("model")
        if name is not None and name not in (self.model_name, *self.aliases):
            raise ModelNotFoundError(f"The model `{name[:128]}` does not exist.", "model")

    def encode_chat(self, messages: Any, *, add_generation_prompt: bool = True) -> tuple[int, ...]:
        """Return the prompt of chat messages; RequestError where there is no template."""
        read = read_messages(messages)
        if self.template is None:
            raise RequestError("this model has no chat template; use completions", "messages")
        self._verify_size(sum(len(message["content"]) for message in read), "messages")
        text = render_chat(self.template, read, add_generation_prompt=add_generation_prompt)
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def encode_text(self, text: str, *, add_special_tokens: bool = True) -> tuple[int, ...]:
        """Return the tokens of a text; ContextLengthError where it is far too long to try."""
        self._verify_size(len(text), "prompt")
        return tuple(self.tokenizer.encode(text, add_special_tokens=add_special_tokens))

    def _verify_size(self, characters: int, param: str) -> None:
        if characters > SHRINKING_MAX * self.tokenizer.longest_token * self.context:
            raise ContextLengthError(
                f"This model's maximum context length is {self.context} tokens; "
                f"{characters} characters cannot fit.",
                param,
            )

    def _read_prompts(self, prompt: Any) -> tuple[tuple[int, ...], ...]:
        if isinstance(prompt, str):
            return (self.encode_text(prompt),)
        if not isinstance(prompt, list) or not prompt:
            raise RequestError("prompt must be text, token ids, or a list of either", "prompt")
        if all(isinstance(item, int) for item in prompt):
            return (read_token_ids(prompt, "prompt", self.vocabulary, len(prompt)),)
        if len(prompt) > self.choices_max:
            raise RequestError(f"at most {self.choices_max} prompts at once", "prompt")
        return tuple(
            self.encode_text(item)
            if isinstance(item, str)
            else read_token_ids(item, "prompt", self.vocabulary, self.context)
            for item in prompt
        )

    def _make_ask(
        self,
        fields: Fields,
        prompts: tuple[tuple[int, ...], ...],
        limit: int,
        top_logprobs: int | None,
        is_chat: bool,
    ) -> Ask:
        for prompt in prompts:
            self._verify_fits(prompt, limit, "messages" if is_chat else "prompt")
        choices = fields.integer("n", 1, self.choices_max) or 1
        if choices * len(prompts) > self.choices_max:
            raise RequestError(f"at most {self.choices_max} choices at once", "n")
        echo = not is_chat and fields.flag("echo")
        stream = fields.flag("stream")
        prototype = self._make_job(fields, limit, top_logprobs, echo)
        return Ask(
            is_chat=is_chat,
            prompts=prompts,
            jobs=_repeat(prototype, prompts, choices),
            choices=choices,
            logprobs=top_logprobs is not None,
            echo=echo,
            stream=stream,
            include_usage=_read_include_usage(fields.get("stream_options"), stream),
            return_token_ids=fields.flag("return_token_ids"),
        )

    def _verify_fits(self, prompt: tuple[int, ...], limit: int, param: str) -> None:
        if not prompt:
            raise RequestError("the prompt has no tokens", param)
        if len(prompt) + limit > self.context:
            raise ContextLengthError(
                f"This model's maximum context length is {self.context} tokens. However, you "
                f"requested {len(prompt) + limit} tokens ({len(prompt)} in the {param}, "
                f"{limit} in the completion).",
                param,
            )

    def _make_job(self, fields: Fields, limit: int, top: int | None, echo: bool) -> Job:
        """Return the job all choices share, its prompt still empty."""
        ends = self.defaults.stop_token_ids
        return Job(
            prompt=(),
            max_tokens=limit,
            sampling=read_sampling(fields, self.defaults, self.vocabulary),
            stop_strings=read_stops(fields.get("stop")),
            stop_token_ids=frozenset(
                fields.token_ids("stop_token_ids", self.vocabulary, STOP_TOKENS_MAX)
            ),
            end_token_ids=frozenset() if fields.flag("ignore_eos") else ends,
            min_tokens=fields.integer("min_tokens", 0, limit) or 0,
            top_logprobs=top,
            prompt_logprobs=echo and top is not None,
            skip_special_tokens=fields.flag("skip_special_tokens", True),
            include_stop=fields.flag("include_stop_str_in_output"),
            priority=fields.integer("priority", -PRIORITY_MAX, PRIORITY_MAX) or 0,
        )


def _repeat(prototype: Job, prompts: Collection[tuple[int, ...]], choices: int) -> tuple[Job, ...]:
    """Return each prompt's choices; a seed draws per choice, the same for every prompt."""
    return tuple(
        replace(prototype, prompt=prompt, choice=index * choices + choice, draw=choice)
        for index, prompt in enumerate(prompts)
        for choice in range(choices)
    )


def _verify_response_format(value: Any) -> None:
    if value is not None and value != {"type": "text"}:
        raise RequestError('response_format can only be {"type": "text"}', "response_format")


def _verify_no_tools(fields: Fields) -> None:
    """Nothing here cuts calls out of what a model writes, so no model here is offered tools."""
    if fields.get("tools"):
        raise RequestError("this engine calls no tools; vLLM does, by its tool parsers", "tools")
    if fields.get("tool_choice") not in (None, "none", "auto"):
        raise RequestError(
            "tool_choice needs tools, which this engine calls none of", "tool_choice"
        )


def _read_include_usage(value: Any, stream: bool) -> bool:
    if value is None:
        return False
    if not stream:
        raise RequestError("stream_options needs stream to be true", "stream_options")
    if not isinstance(value, dict):
        raise RequestError("stream_options must be an object", "stream_options")
    return Fields(value, {"include_usage"}).flag("include_usage")
