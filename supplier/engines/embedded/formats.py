"""Writes OpenAI's answers, in vLLM's dialect: chat and completions, whole and streamed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from supplier.engines.embedded.requests import Ask
from supplier.engines.embedded.sampler import TokenLogprobs
from supplier.engines.embedded.sequence import TokenEvent
from supplier.engines.embedded.tokenizer import TextTokenizer

__all__ = ["AnswerFormat", "make_format", "make_usage"]

Json = dict[str, Any]


class AnswerFormat(Protocol):
    """How one kind of request is answered."""

    object_name: str
    chunk_name: str

    def envelope(self) -> Json:
        """Return what a whole answer, or the first chunk of a stream, carries at its top."""

    def opening(self) -> list[Json]:
        """Return the choices of the chunk that opens a stream; empty where none does."""

    def delta(self, event: TokenEvent) -> Json:
        """Return one choice of a streamed chunk."""

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Json:
        """Return one choice of a whole answer."""


def make_format(ask: Ask, tokenizer: TextTokenizer) -> AnswerFormat:
    """Return the format a request is answered in."""
    return ChatFormat(ask, tokenizer) if ask.is_chat else CompletionFormat(ask, tokenizer)


def make_usage(ask: Ask, completion_tokens: int) -> Json:
    """Return token counts; each prompt counts once, whatever n."""
    prompt_tokens = sum(len(prompt) for prompt in ask.prompts)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


@dataclass(slots=True)
class ChatFormat:
    """Chat completions."""

    ask: Ask
    tokenizer: TextTokenizer
    object_name: str = "chat.completion"
    chunk_name: str = "chat.completion.chunk"

    def envelope(self) -> Json:
        """Return the prompt's token ids where they were asked for."""
        if not self.ask.return_token_ids:
            return {}
        return {"prompt_token_ids": list(self.ask.prompts[0])}

    def opening(self) -> list[Json]:
        """Return the assistant's role for each choice."""
        delta = {"role": "assistant", "content": ""}
        return [
            {"index": job.choice, "delta": delta, "logprobs": None, "finish_reason": None}
            for job in self.ask.jobs
        ]

    def delta(self, event: TokenEvent) -> Json:
        """Return the text, log-probability and id of one token."""
        choice: Json = {
            "index": event.choice,
            "delta": {"content": event.text},
            "logprobs": self._logprobs([event]),
            **_ending(event),
        }
        if self.ask.return_token_ids:
            choice["token_ids"] = [event.token]
        return choice

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Json:
        """Return the assistant's whole message."""
        choice: Json = {
            "index": index,
            "message": {"role": "assistant", "content": "".join(e.text for e in events)},
            "logprobs": self._logprobs(events),
            **_ending(events[-1]),
        }
        if self.ask.return_token_ids:
            choice["token_ids"] = [event.token for event in events]
        return choice

    def _logprobs(self, events: Sequence[TokenEvent]) -> Json | None:
        content = [
            {
                **self._describe(event.token, event.logprobs.logprob),
                "top_logprobs": [self._describe(*pair) for pair in event.logprobs.top],
            }
            for event in events
            if event.logprobs is not None and event.token is not None
        ]
        return {"content": content} if self.ask.logprobs else None

    def _describe(self, token: int, logprob: float) -> Json:
        data = self.tokenizer.token_bytes(token)
        return {
            "token": data.decode(errors="replace"),
            "logprob": logprob,
            "bytes": list(data),
        }


@dataclass(slots=True)
class CompletionFormat:
    """Text completions; `_offsets` counts the characters of the tokens each choice has shown."""

    ask: Ask
    tokenizer: TextTokenizer
    object_name: str = "text_completion"
    chunk_name: str = "text_completion"
    _offsets: dict[int, int] = field(default_factory=dict)

    def envelope(self) -> Json:
        """Return nothing: prompts are per choice here."""
        return {}

    def opening(self) -> list[Json]:
        """Return nothing: the first token opens a stream."""
        return []

    def delta(self, event: TokenEvent) -> Json:
        """Return the text, log-probability and id of one token; the prompt before the first."""
        is_first = event.choice not in self._offsets
        return self._write(event.choice, [event], is_first)

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Json:
        """Return the whole text of a choice."""
        return self._write(index, events, True)

    def _write(self, index: int, events: Sequence[TokenEvent], is_first: bool) -> Json:
        prompt = self.ask.prompt_of(index)
        text = "".join(event.text for event in events)
        if self.ask.echo and is_first:
            text = self.tokenizer.decode(prompt, skip_special_tokens=True) + text
        choice: Json = {
            "index": index,
            "text": text,
            "logprobs": self._logprobs(index, events, is_first),
            **_ending(events[-1]),
        }
        if self.ask.return_token_ids:
            choice["token_ids"] = [event.token for event in events]
            if is_first:
                choice["prompt_token_ids"] = list(prompt)
        return choice

    def _logprobs(self, index: int, events: Sequence[TokenEvent], is_first: bool) -> Json | None:
        entries: list[tuple[int, TokenLogprobs | None]] = []
        if self.ask.echo and is_first:
            prompt = self.ask.prompt_of(index)
            entries += zip(prompt, (None, *events[0].prompt_logprobs), strict=False)
        entries += [(e.token, e.logprobs) for e in events if e.token is not None]
        shown = [self.tokenizer.token_text(token) for token, _ in entries]
        offset = self._offsets.get(index, 0)
        offsets = []
        for piece in shown:
            offsets.append(offset)
            offset += len(piece)
        self._offsets[index] = offset
        if not self.ask.logprobs:
            return None
        return {
            "text_offset": offsets,
            "token_logprobs": [own and own.logprob for _, own in entries],
            "tokens": shown,
            "top_logprobs": [own and self._top(token, own) for token, own in entries],
        }

    def _top(self, token: int, own: TokenLogprobs) -> dict[str, float]:
        pairs = (*own.top, (token, own.logprob))
        return {self.tokenizer.token_text(index): logprob for index, logprob in reversed(pairs)}


def _ending(event: TokenEvent) -> Json:
    finish = event.finish
    return {
        "finish_reason": finish and finish.reason,
        "stop_reason": finish and finish.matched,
    }
