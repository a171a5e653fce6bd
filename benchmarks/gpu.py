"""What a GPU makes of it: a step ÷ a plain forward + backward pass, and Llama-3-8B's shape.

    python -m benchmarks.gpu                        # GPT-2-small shape, batch 32, 16 tokens
    python -m benchmarks.gpu --shape llama-8b       # random weights in bfloat16, batch 4
    python -m benchmarks.gpu --device cpu --tiny    # both, small: does the script work?

Needs a CUDA device (or `--device mps`), and about 40 GB of it for Llama-3-8B's shape. Nothing is
downloaded: weights are random, and made on the device. The first thing printed is the device's
name. On CUDA one step is launched under `torch.cuda.set_sync_debug_mode("error")`: if it waits for
the device before its figures are read, the script ends. `run` reads the figures of a step while the
next one runs, and is timed as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.checkpoint import random_model, write_tokenizer
from benchmarks.shapes import SHAPES, Shape, dataloader
from benchmarks.step import plain_pass, print_ratio
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.estimate import estimate
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing

LLAMA_8B = Shape(
    "llama", layers=32, heads=32, kv_heads=8, d_model=4096, d_mlp=14336, vocabulary=128256, batch=4
)
GPU_SHAPES = {"gpt2-small": replace(SHAPES["gpt2-small"], batch=32), "llama-8b": LLAMA_8B}
TINY = {"layers": 2, "heads": 4, "d_model": 64, "d_mlp": 128, "vocabulary": 100, "batch": 4}


def boot_on(device: str, shape: Shape, dtype: torch.dtype) -> Any:
    """A bridge whose random weights were made on the device: a checkpoint of 8 billion would
    take longer to write than the benchmark takes."""
    from transformer_lens.model_bridge import TransformerBridge

    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = random_model(shape)
    finally:
        torch.set_default_dtype(torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        write_tokenizer(folder, shape)
        return TransformerBridge.boot_transformers(
            folder, hf_model=model.eval(), device=device, dtype=dtype
        )


def synchronize(device: str) -> None:
    if device != "cpu":
        getattr(torch, device).synchronize()


def seconds(call: Callable[[], object], device: str) -> float:
    synchronize(device)
    started = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - started


def step_without_waiting(trainer: SubnetworkProbing, device: str) -> None:
    """A step; on CUDA an error if anything but the reading of its figures waits for the device."""
    if device != "cuda":
        trainer.step()
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = trainer._launch(trainer.step_count + 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    trainer._finish(launched)


def peak_gb(device: str) -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=GPU_SHAPES, default="gpt2-small")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--runs", type=int, default=20, help="timed pairs")
    parser.add_argument("--tiny", action="store_true", help="a small model of the same kind")
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this on one, or with --device cpu --tiny")

    shape = GPU_SHAPES[arguments.shape]
    if arguments.tiny:
        shape = replace(shape, **TINY, kv_heads=2 if shape.kv_heads else None)
    large = arguments.shape == "llama-8b"
    dtype = getattr(torch, arguments.dtype or ("bfloat16" if large else "float32"))
    name = torch.cuda.get_device_name() if device == "cuda" else device
    print(f"device {name}, torch {torch.__version__}, {dtype}")
    bridge = boot_on(device, shape, dtype)
    loader = dataloader(shape, device=device)
    tokens = next(iter(loader)).corrupt
    model = patchable_model(bridge)
    config = SubnetworkProbingConfig(epochs=2 * arguments.runs + 3, seed=0)
    print(f"shape {arguments.shape}: {shape}, {model.n_edges:,} edges")
    print(estimate(model, loader, config))

    trainer = SubnetworkProbing(model, loader, config)
    for _ in range(2):
        trainer.step()
        plain_pass(bridge, tokens)
    step_without_waiting(trainer, device)
    pairs = [
        (seconds(trainer.step, device), seconds(lambda: plain_pass(bridge, tokens), device))
        for _ in range(arguments.runs)
    ]
    print(f"training step        {statistics.median(s for s, _ in pairs):8.4f} s (median)")
    print(f"plain fwd + bwd      {statistics.median(p for _, p in pairs):8.4f} s (median)")
    print_ratio(pairs)
    in_a_row = seconds(lambda: trainer.run(progress=False), device) / arguments.runs
    print(f"a step within run()  {in_a_row:8.4f} s (mean of {arguments.runs})")
    first, last = trainer.history[0], trainer.history[-1]
    print(f"loss                 {first.loss:8.4f} at step 1, {last.loss:.4f} at step {last.step}")
    if peak_gb(device) is not None:
        print(f"peak memory          {peak_gb(device):8.2f} GB of the device")


if __name__ == "__main__":
    main()
