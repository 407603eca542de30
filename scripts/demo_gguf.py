"""Write a small Llama model as GGUF, llama.cpp's format: `demo_gguf.py MODEL_DIRECTORY FILE`.

For models such as models/demo: one file of bfloat16 weights, tied embeddings, a byte-level BPE. For
any other there is llama.cpp's own converter. Runs on the Python of `scripts/llama_cpp.py`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Tensor = Callable[[str], np.ndarray]
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""GGUF's names of a block's tensors, and Hugging Face's."""


def write_gguf(directory: Path, file: Path) -> None:
    """Write the model in `directory` with its tokenizer and chat template, weights as float32."""
    config = json.loads((directory / "config.json").read_bytes())
    writer = gguf.GGUFWriter(str(file), "llama")
    add_shape(writer, config)
    add_tokenizer(writer, config, json.loads((directory / "tokenizer.json").read_bytes()))
    writer.add_chat_template((directory / "chat_template.jinja").read_text())
    add_tensors(writer, config, read_weights(directory / "model.safetensors"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """Say how large everything is."""
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(
    writer: gguf.GGUFWriter, config: dict[str, Any], tokenizer: dict[str, Any]
) -> None:
    """Put in the words by id, and the merges."""
    special = {each["content"]: each["id"] for each in tokenizer["added_tokens"]}
    ids = tokenizer["model"]["vocab"] | special
    words = sorted(ids, key=ids.__getitem__)
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([kinds[word in special] for word in words])
    writer.add_token_merges([each if isinstance(each, str) else " ".join(each) for each in merges])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)


def add_tensors(writer: gguf.GGUFWriter, config: dict[str, Any], read: Tensor) -> None:
    """Put in the weights, queries and keys in the order of llama.cpp's rotation."""
    writer.add_tensor("token_embd.weight", read("model.embed_tokens.weight"))
    writer.add_tensor("output_norm.weight", read("model.norm.weight"))
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    for number in range(config["num_hidden_layers"]):
        ours, theirs = f"blk.{number}", f"model.layers.{number}"
        for name, other in BLOCK.items():
            writer.add_tensor(f"{ours}.{name}.weight", read(f"{theirs}.{other}.weight"))
        for name, count in heads.items():
            rows = read(f"{theirs}.self_attn.{name}_proj.weight")
            halves = rows.reshape(count, 2, -1, rows.shape[1])
            pairs = halves.swapaxes(1, 2).reshape(rows.shape)
            writer.add_tensor(f"{ours}.attn_{name}.weight", pairs)


def read_weights(file: Path) -> Tensor:
    """The tensors of a safetensors file of bfloat16, by name, as float32."""
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    places = json.loads(raw[8:start])

    def read(name: str) -> np.ndarray:
        first, last = places[name]["data_offsets"]
        upper = np.frombuffer(raw[start + first : start + last], "<u2").astype("<u4")
        return (upper << 16).view("<f4").reshape(places[name]["shape"])

    return read


if __name__ == "__main__":
    write_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
