"""Models of given shapes with random weights, booted from a checkpoint as a user's would be."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import torch

from sp_widget.core.data import PromptDataLoader, PromptDataset


@dataclass(frozen=True)
class Shape:
    """A model's shape and the prompts to train on."""

    layers: int
    heads: int
    d_model: int
    vocabulary: int = 5000
    batch: int = 8
    tokens: int = 16


SHAPES = {
    "gpt2-small": Shape(layers=12, heads=12, d_model=768),
    "small": Shape(layers=2, heads=4, d_model=256),
}

_WRITE_CHECKPOINT = """
import sys, transformers
folder, layers, heads, d_model, vocabulary = sys.argv[1], *map(int, sys.argv[2:])
config = transformers.GPT2Config(n_layer=layers, n_head=heads, n_embd=d_model,
    vocab_size=vocabulary, n_positions=128)
transformers.set_seed(0)
transformers.GPT2LMHeadModel(config).save_pretrained(folder)
"""


def boot(shape: Shape) -> Any:
    """A bridge of this shape. Another process makes the checkpoint, so that its memory does
    not count towards this one's peak."""
    from transformer_lens.model_bridge import TransformerBridge

    sizes = [shape.layers, shape.heads, shape.d_model, shape.vocabulary]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _WRITE_CHECKPOINT, folder, *map(str, sizes)]
        subprocess.run(command, check=True, capture_output=True)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def dataloader(shape: Shape, n_batches: int = 1) -> PromptDataLoader:
    """Random prompt pairs."""
    draw = torch.Generator().manual_seed(0)

    def tokens(n: int) -> torch.Tensor:
        size = (n_batches * shape.batch, n)
        return torch.randint(shape.vocabulary, size, generator=draw)

    dataset = PromptDataset(tokens(shape.tokens), tokens(shape.tokens), tokens(1), tokens(1))
    return PromptDataLoader(dataset, batch_size=shape.batch)
