"""Writes a checkpoint of a given shape with random weights.

python -m benchmarks.checkpoint FOLDER '{"kind": "gpt2", "layers": 2, ...}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.shapes import Shape


def write_checkpoint(folder: str, shape: Shape) -> None:
    """A Hugging Face checkpoint with what TransformerLens needs to load it."""
    import transformers

    transformers.set_seed(0)
    random_model(shape).save_pretrained(folder)
    write_tokenizer(folder, shape)


def random_model(shape: Shape) -> Any:
    """A Hugging Face model of this shape, on torch's default device and in its default dtype."""
    import transformers

    if shape.kind == "gpt2":
        config: Any = transformers.GPT2Config(
            n_layer=shape.layers,
            n_head=shape.heads,
            n_embd=shape.d_model,
            n_inner=shape.d_mlp,
            vocab_size=shape.vocabulary,
            n_positions=128,
        )
        return transformers.GPT2LMHeadModel(config)
    sizes: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "hidden_size": shape.d_model,
        "intermediate_size": shape.d_mlp or 4 * shape.d_model,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 128,
    }
    if shape.kind == "neox":
        return transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**sizes))
    config = transformers.LlamaConfig(**sizes, num_key_value_heads=shape.kv_heads)
    return transformers.LlamaForCausalLM(config)


def write_tokenizer(folder: str, shape: Shape) -> None:
    """A word for each token, where checkpoints are loaded with a tokenizer only."""
    if shape.kind == "llama":
        _tokenizer(shape.vocabulary).save_pretrained(folder)


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<unk>": 2}
    words |= {f"w{index}": index for index in range(3, vocabulary)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
    )


if __name__ == "__main__":
    write_checkpoint(sys.argv[1], Shape(**json.loads(sys.argv[2])))
