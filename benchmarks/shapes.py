"""Models of given shapes with random weights, booted from a checkpoint as a user's would be."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from sp_widget.data.prompts import PromptDataLoader, PromptDataset

Kind = Literal["gpt2", "neox", "llama"]


@dataclass(frozen=True)
class Shape:
    """A model's shape and the prompts to train on."""

    kind: Kind
    layers: int
    heads: int
    d_model: int
    kv_heads: int | None = None
    """Heads that make keys and values, where fewer than all do."""
    d_mlp: int | None = None
    """Hidden size of an MLP; `None`: four times `d_model`."""
    vocabulary: int = 5000
    batch: int = 8
    tokens: int = 16


SHAPES = {
    "gpt2-small": Shape("gpt2", layers=12, heads=12, d_model=768),
    "small": Shape("gpt2", layers=2, heads=4, d_model=256),
    "pythia-410m": Shape("neox", layers=24, heads=16, d_model=1024),
    "llama-gqa": Shape("llama", layers=16, heads=16, d_model=1024, kv_heads=4, d_mlp=2816),
}


def boot(shape: Shape) -> Any:
    """A bridge of this shape. Another process makes the checkpoint, so that its memory does not
    count towards this one's peak."""
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.checkpoint", folder, json.dumps(asdict(shape))]
        subprocess.run(command, check=True, capture_output=True)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def dataloader(shape: Shape, n_batches: int = 1, device: str = "cpu") -> PromptDataLoader:
    """Random prompt pairs."""
    draw = torch.Generator().manual_seed(0)

    def tokens(n: int) -> torch.Tensor:
        size = (n_batches * shape.batch, n)
        return torch.randint(shape.vocabulary, size, generator=draw).to(device)

    dataset = PromptDataset(tokens(shape.tokens), tokens(shape.tokens), tokens(1), tokens(1))
    return PromptDataLoader(dataset, batch_size=shape.batch)
