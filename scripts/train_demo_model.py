"""Trains the demo chat model of `models/demo` on dialogues it writes itself; no text is fetched.

A Llama of 0.96 million parameters, byte-level BPE of 1024 tokens, ChatML. The steps, not the time,
are fixed, and every draw is seeded, so the same versions on the same processor give the same
weights. Takes about five minutes on one core.

Requires, beyond this project: torch 2.13, transformers 5, tokenizers.

    python scripts/train_demo_model.py OUT [--steps 1400]
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from demo_dialogues import END, END_OF_TEXT, START, DialogueWriter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

STEPS = 1400
WARMUP_STEPS = 50
BATCH = 16
WINDOW_TOKENS = 128
RATE_MAX = 3e-3
DIALOGUES = 40_000
TOKENIZER_DIALOGUES = 8_000

VOCABULARY = 1024
CONTEXT_TOKENS = 1024
HIDDEN = 128
LAYERS = 4
HEAD_WIDTH = 32

TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>'"
    " + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer that knows the chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the untrained model."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD_WIDTH,
        num_key_value_heads=HIDDEN // HEAD_WIDTH,
        head_dim=HEAD_WIDTH,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def compute_rate(step: int, steps: int) -> float:
    """Return the learning rate of a step: linear warm-up times a cosine from 1 to 0.1."""
    cosine = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / steps))
    return RATE_MAX * min(1.0, (step + 1) / WARMUP_STEPS) * cosine


def draw_windows(tokens: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield batches [BATCH, WINDOW_TOKENS] from random places, for ever."""
    while True:
        starts = torch.randint(len(tokens) - WINDOW_TOKENS - 1, (BATCH,))
        yield torch.stack([tokens[start : start + WINDOW_TOKENS] for start in starts.tolist()])


def train(model: LlamaForCausalLM, tokens: torch.Tensor, steps: int) -> None:
    """Train for exactly `steps` steps, telling the loss now and then."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE_MAX, weight_decay=0.05, betas=(0.9, 0.95)
    )
    model.train()
    for step, window in zip(range(steps), draw_windows(tokens), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = compute_rate(step, steps)
        loss = model(input_ids=window, labels=window).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            sys.stdout.write(f"step {step} loss {loss.item():.3f}\n")
            sys.stdout.flush()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write the Hugging Face directory, weights in bfloat16."""
    model.eval()
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    (directory / "model.safetensors").chmod(0o644)


def main() -> None:
    """Write the dialogues, train tokenizer and model, save both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    writer = DialogueWriter(seed=0)
    texts = [writer.write() for _ in range(DIALOGUES)]
    tokenizer = train_tokenizer(texts[:TOKENIZER_DIALOGUES])
    encoded = tokenizer.backend_tokenizer.encode_batch(texts)
    tokens = torch.tensor([token for one in encoded for token in one.ids], dtype=torch.long)
    model = make_model(tokenizer)
    train(model, tokens, given.steps)
    save(model, tokenizer, given.directory)


if __name__ == "__main__":
    main()
