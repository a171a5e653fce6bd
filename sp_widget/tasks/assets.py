"""The files that come with the package: models and prompts, made by `tools/make_tasks`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_ASSETS = Path(__file__).parent / "assets"


def asset_folder(task: str) -> Path:
    """The folder with the files of a task."""
    return _ASSETS / task


def read_metadata(task: str) -> dict[str, Any]:
    """What the script that made the task wrote down about it."""
    text = (asset_folder(task) / "metadata.json").read_text(encoding="utf-8")
    metadata: dict[str, Any] = json.loads(text)
    return metadata


def native_bridge(task: str, device: torch.device | str | None) -> TransformerBridge:
    """The task's own small TransformerLens model, in evaluation mode.

    `config.json` holds the fields of a `TransformerBridgeConfig`, `model.safetensors` the
    tensors of `TransformerBridge.state_dict()`.
    """
    from safetensors.torch import load_file
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    folder = asset_folder(task)
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = TransformerBridgeConfig(**fields, init_weights=False)
    bridge = boot(config, model_name=task)
    weights = load_file(folder / "model.safetensors")
    bridge.load_state_dict(weights)  # type: ignore[no-untyped-call]
    if device is not None:
        bridge.to(device)
    bridge.eval()
    return bridge


def pretrained_bridge(task: str, device: torch.device | str | None) -> TransformerBridge:
    """Return the task's transformers model and its tokenizer as a bridge, in evaluation mode.

    The folder `model` is one of `save_pretrained`. Weights stored in half precision are computed
    with in single precision.
    """
    from transformer_lens.model_bridge import TransformerBridge

    with _no_progress_bar():
        bridge = TransformerBridge.boot_transformers(
            str(asset_folder(task) / "model"), device=device, dtype=torch.float32
        )
    bridge.eval()
    return bridge


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    # For a model of this size it would only flash by, and be left over in every notebook.
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
