"""Train the induction model and write its assets.

A two-layer attention-only transformer learns to complete random sequences that repeat. It does
so with an induction circuit (Elhage et al. 2021, "A Mathematical Framework for Transformer
Circuits"; Olsson et al. 2022, arXiv 2209.11895): a *previous-token head* in the first layer
writes on every token which token came before it; an *induction head* in the second layer, at a
token seen before, attends to the place whose previous token that was, and copies what is there.

    OMP_NUM_THREADS=1 python tools/make_tasks/make_induction.py

Written to `sp_widget/tasks/assets/induction/`: `config.json` and `model.safetensors` (a native
TransformerLens model, keys as in `TransformerBridge.state_dict()`), `prompts.json` (the format
of `load_datasets_from_json`) and `metadata.json` (which heads are which, with the attention that
shows it, and the accuracy).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "sp_widget" / "tasks" / "assets" / "induction"

SEED = 0
BOS = 0
N_TOKENS = 32
"""Random tokens have ids 1 to `N_TOKENS`; 0 is BOS."""
TRAIN_LEN = 24
PROMPT_LEN = 16
"""Tokens of a sequence without BOS, in training and in the bundled prompts."""
PERIODS = range(6, 14)
"""Lengths of the part that repeats. They vary, so that no fixed distance solves the task."""
PROMPT_PERIODS = range(8, 14)
"""The same for the bundled prompts: no token comes more than twice."""

CONFIG: dict[str, Any] = {
    "model_name": "induction",
    "n_layers": 2,
    "d_model": 64,
    "n_heads": 4,
    "d_head": 16,
    "n_ctx": 32,
    "d_vocab": N_TOKENS + 1,
    "attn_only": True,
    "act_fn": "relu",
    "normalization_type": "LN",
    "attention_dir": "causal",
    "positional_embedding_type": "standard",
}

N_PROMPTS = 512
BATCH_SIZE, N_STEPS, WARMUP_STEPS = 128, 2000, 100
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.1
HEAD_PENALTY = 0.01
"""Weight of the sum of all heads' sizes in the loss, so that the circuit is one head a layer.

Without it the four heads of a layer share each role, and no edge is either in or out."""
ATTENTION_THRESHOLD = 0.5
"""Mean attention from which a head counts as previous-token head or induction head."""
SIZE_THRESHOLD = 0.1
"""Size from which a head counts as in use, as a share of the largest head of its layer."""


def repeated_sequence(
    rng: random.Random, length: int, periods: Sequence[int]
) -> tuple[list[int], int]:
    """BOS and `length` tokens that repeat, and with which period. Its tokens are distinct."""
    period = rng.choice(periods)
    part = rng.sample(range(1, N_TOKENS + 1), period)
    repeats = -(-length // period)
    return [BOS, *(part * repeats)[:length]], period


def make_prompts(seed: int = SEED, n_prompts: int = N_PROMPTS) -> dict[str, Any]:
    """The bundled prompts, in the format of `load_datasets_from_json`.

    A clean prompt repeats; the answer is its next token. The corrupt prompt is drawn anew and
    repeats nothing, so that no continuation is determined; it ends on another token than the
    clean one and does not contain the answer, so that the circuit must carry over both what is
    looked up and what is copied. The wrong answer is another token of the clean prompt.
    """
    rng = random.Random(f"prompts {seed}")
    prompts = []
    for _ in range(n_prompts):
        sequence, period = repeated_sequence(rng, PROMPT_LEN, PROMPT_PERIODS)
        answer = sequence[-period]
        others = [token for token in range(1, N_TOKENS + 1) if token != answer]
        corrupt = rng.sample(others, PROMPT_LEN)
        while corrupt[-1] == sequence[-1]:
            corrupt = rng.sample(others, PROMPT_LEN)
        wrong = rng.choice(sorted({*sequence[1:]} - {answer}))
        prompts.append(
            {
                "clean": sequence,
                "corrupt": [BOS, *corrupt],
                "answers": [answer],
                "wrong_answers": [wrong],
            }
        )
    return {"prompts": prompts}


def head_sizes(bridge: TransformerBridge) -> torch.Tensor:
    """`[layer, head]`: norm of the map from what a head attends to to what it writes."""
    import torch

    sizes = []
    for block in bridge.blocks:
        value, out = block.attn.v.weight, block.attn.o.weight
        values = value.view(CONFIG["n_heads"], CONFIG["d_head"], CONFIG["d_model"])
        outs = out.view(CONFIG["d_model"], CONFIG["n_heads"], CONFIG["d_head"])
        sizes.append(torch.einsum("dhk,hke->hde", outs, values).flatten(1).norm(dim=1))
    return torch.stack(sizes)


def train(bridge: TransformerBridge, seed: int = SEED) -> Iterator[tuple[int, float]]:
    """Train `bridge` in place on the repeated part; yields (step, loss) every 100 steps."""
    import torch

    rng = random.Random(f"training {seed}")
    optimizer = torch.optim.AdamW(
        bridge.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )

    def schedule(step: int) -> float:
        progress = max(0, step - WARMUP_STEPS) / (N_STEPS - WARMUP_STEPS)
        return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * progress))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    for step in range(1, N_STEPS + 1):
        tokens, determined = next_batch(rng)
        logits = bridge(tokens[:, :-1])
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        loss = losses[determined].mean()
        optimizer.zero_grad()
        (loss + HEAD_PENALTY * head_sizes(bridge).sum()).backward()
        torch.nn.utils.clip_grad_norm_(bridge.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 100 == 0:
            yield step, loss.item()


def next_batch(rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens `[batch, 1 + seq]`, and which targets (from the second token on) a repeat fixes."""
    import torch

    rows = [repeated_sequence(rng, TRAIN_LEN, PERIODS) for _ in range(BATCH_SIZE)]
    tokens = torch.tensor([row for row, _ in rows])
    periods = torch.tensor([[period] for _, period in rows])
    # Target t is token t + 1 of the row; it is fixed once the token before it was seen before.
    determined = torch.arange(TRAIN_LEN) > periods
    return tokens, determined


def measure_heads(
    bridge: TransformerBridge, prompts: list[dict[str, Any]]
) -> dict[str, dict[str, float]]:
    """For every head, by name: what it attends to on the clean prompts, and its size.

    `previous_token`: mean attention from the token where the answer stands to the one before.
    `induction`: mean attention from the last token to the token where the answer stands.
    `size`: as a share of the largest head of the layer.
    """
    import torch

    tokens = torch.tensor([prompt["clean"] for prompt in prompts])
    answers = torch.tensor([prompt["answers"] for prompt in prompts])
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens)
        sizes = head_sizes(bridge)
    # The answer's latest place, one period before it is due.
    place = ((tokens == answers).int() * torch.arange(tokens.shape[1])).argmax(dim=1)
    rows = torch.arange(len(prompts))
    figures = {}
    for layer in range(bridge.cfg.n_layers):
        pattern = cache[f"blocks.{layer}.attn.hook_pattern"]
        for head in range(bridge.cfg.n_heads):
            measured = {
                "previous_token": pattern[rows, head, place, place - 1].mean(),
                "induction": pattern[rows, head, -1, place].mean(),
                "size": sizes[layer, head] / sizes[layer].max(),
            }
            figures[f"A{layer}.{head}"] = {
                name: round(value.item(), 4) for name, value in measured.items()
            }
    return figures


def heads_of_kind(figures: dict[str, dict[str, float]], layer: int, kind: str) -> list[str]:
    """The heads of `layer` that attend as `kind` says and are in use."""
    return [
        head
        for head, figure in figures.items()
        if head.startswith(f"A{layer}.")
        and figure[kind] >= ATTENTION_THRESHOLD
        and figure["size"] >= SIZE_THRESHOLD
    ]


def measure_accuracy(bridge: TransformerBridge, prompts: list[dict[str, Any]]) -> dict[str, float]:
    """Share of prompts continued with the answer, clean and corrupt."""
    import torch

    answers = torch.tensor([prompt["answers"][0] for prompt in prompts])
    figures = {}
    for kind in ("clean", "corrupt"):
        with torch.no_grad():
            logits = bridge(torch.tensor([prompt[kind] for prompt in prompts]))[:, -1]
        figures[f"{kind}_accuracy"] = round(
            (logits.argmax(dim=-1) == answers).float().mean().item(), 4
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder of the assets")
    output = parser.parse_args().output
    import torch
    from safetensors.torch import save_file
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    # One thread: sums in another order would give other weights.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    bridge = TransformerBridge.boot_native(TransformerBridgeConfig(**CONFIG, seed=SEED))
    start = time.process_time()
    for step, loss in train(bridge):
        if step % 500 == 0:
            print(f"step {step}  loss {loss:.4f}", flush=True)
    print(f"trained in {time.process_time() - start:.0f} s of processor time")

    prompts = make_prompts()
    heads = measure_heads(bridge, prompts["prompts"])
    metadata = {
        "previous_token_heads": heads_of_kind(heads, 0, "previous_token"),
        "induction_heads": heads_of_kind(heads, 1, "induction"),
        "attention_threshold": ATTENTION_THRESHOLD,
        "size_threshold": SIZE_THRESHOLD,
        "heads": heads,
        "prompts": measure_accuracy(bridge, prompts["prompts"]),
        "seed": SEED,
        "training_steps": N_STEPS,
    }
    print(json.dumps(metadata, indent=2))

    output.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().contiguous() for name, tensor in bridge.state_dict().items()}
    save_file(weights, output / "model.safetensors")
    # safetensors writes for the owner only; the file is to be packed and read by anybody.
    (output / "model.safetensors").chmod(0o644)
    for name, content in (("config", CONFIG), ("metadata", metadata)):
        text = json.dumps(content, indent=2) + "\n"
        (output / f"{name}.json").write_text(text, encoding="utf-8")
    (output / "prompts.json").write_text(json.dumps(prompts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
