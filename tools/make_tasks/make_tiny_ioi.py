"""Train the tiny-ioi model and write its assets.

Indirect object identification (Wang et al. 2022, arXiv 2211.00593) in template English: "When
Mary and John went to the store, John gave a drink to" is to be continued with " Mary", the name
that is not repeated. A four-layer GPT-2 is trained from scratch on sentences of this kind:

    OMP_NUM_THREADS=1 python tools/make_tasks/make_tiny_ioi.py

Sentences come from a seed, one name pair in five is kept out of the training text, and every
bundled prompt uses such a pair. In a fifth of the training sentences the giver is a third person
and the receiver is either of the two, so that a corrupt prompt (the repeated name swapped for a
third) is ordinary text to the model, with an answer that is really open.

Written: `sp_widget/tasks/assets/tiny-ioi/model/` (by `save_pretrained`, tokenizer included),
`prompts.json` (the format of `load_datasets_from_json`) and `metadata.json` (the measured
figures).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "sp_widget" / "tasks" / "assets" / "tiny-ioi"

SEED = 0
BOS, UNK = "<|endoftext|>", "<|unknown|>"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    "Mary John Tom James Dan Sarah Anna Paul Kate Mark Lucy Peter Emma David Alice Robert Laura "
    "Simon Julia Kevin Maria Oliver Grace Henry Rachel Adam Nina Jack Helen George Clara Victor "
    "Diana Samuel Ruth Martin Eva Frank Sophie Louis"
)
PLACES = _words(
    "store park school office station garden market library museum hospital beach bakery theatre "
    "restaurant harbour castle"
)
OBJECTS = _words(
    "drink book ring ticket key letter map flower ball hat coin snack basket camera necklace "
    "computer"
)

TEMPLATES = (
    "When {first} and {second} went to the {place}, {giver} gave a {object} to",
    "After {first} and {second} arrived at the {place}, {giver} handed a {object} to",
    "While {first} and {second} waited in the {place}, {giver} passed a {object} to",
    "Once {first} and {second} got to the {place}, {giver} offered a {object} to",
    "As {first} and {second} walked through the {place}, {giver} showed a {object} to",
    "Because {first} and {second} met near the {place}, {giver} brought a {object} to",
    "Before {first} and {second} drove from the {place}, {giver} sold a {object} to",
    "Since {first} and {second} worked in the {place}, {giver} lent a {object} to",
)
"""The shape of every bundled prompt: 14 tokens, the names always at the same places."""
SEQ_LABELS = (
    "When",
    "first name",
    "and",
    "second name",
    "went",
    "to",
    "the",
    "place",
    ",",
    "giver",
    "gave",
    "a",
    "object",
    "to",
)
WORD_IDXS = {"first name": 1, "second name": 3, "giver": 9, "end": 13}

OTHER_TEMPLATES = (
    "Yesterday {first} met {second} at the {place}, so {giver} gave the {object} to",
    "Then, {first} and {second} had lunch at the {place}, and {giver} gave a {object} to",
    "At the {place}, {first} and {second} talked until {giver} gave a {object} to",
    "The {object} was heavy, so when {first} saw {second}, {giver} gave it to",
    "{first} and {second} went home, and {giver} gave a {object} to",
)
"""Only for training: names elsewhere, so that positions alone do not solve the task."""
THIRD_PERSON_SHARE = 0.2
OTHER_TEMPLATE_SHARE = 0.3

N_PROMPTS = 512
BATCH_SIZE, N_STEPS, WARMUP_STEPS = 128, 3000, 200
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
ANSWER_WEIGHT = 8.0
"""How much the receiver's token weighs in the loss against any other token."""


@dataclass(frozen=True)
class NamePairs:
    """All unordered pairs of names, split by seed."""

    train: list[tuple[str, str]]
    held_out: list[tuple[str, str]]


def split_pairs(seed: int = SEED) -> NamePairs:
    """Four pairs in five for training, one in five held out in either order."""
    pairs = list(combinations(NAMES, 2))
    random.Random(f"pairs {seed}").shuffle(pairs)
    n_held_out = len(pairs) // 5
    return NamePairs(train=pairs[n_held_out:], held_out=pairs[:n_held_out])


def make_prompts(seed: int = SEED, n_prompts: int = N_PROMPTS) -> dict[str, Any]:
    """The bundled prompts, in the format of `load_datasets_from_json`.

    Templates and the two name orders take turns (BABA: the first name is repeated; ABBA: the
    second is). The corrupt prompt is the clean one with the repeated name swapped for a third.
    """
    rng = random.Random(f"prompts {seed}")
    pairs = split_pairs(seed).held_out
    prompts = []
    for index in range(n_prompts):
        template = TEMPLATES[index % len(TEMPLATES)]
        receiver_first = index // len(TEMPLATES) % 2 == 0
        receiver, giver = rng.sample(rng.choice(pairs), 2)
        third = rng.choice([name for name in NAMES if name not in (receiver, giver)])
        first, second = (receiver, giver) if receiver_first else (giver, receiver)
        words = {
            "first": first,
            "second": second,
            "place": rng.choice(PLACES),
            "object": rng.choice(OBJECTS),
        }
        prompts.append(
            {
                "clean": template.format(giver=giver, **words),
                "corrupt": template.format(giver=third, **words),
                "answers": [f" {receiver}"],
                "wrong_answers": [f" {giver}"],
            }
        )
    rng.shuffle(prompts)
    return {"seq_labels": list(SEQ_LABELS), "word_idxs": WORD_IDXS, "prompts": prompts}


def training_sentences(seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Endless pairs of (text up to the receiver, receiver), the receiver without a space."""
    rng = random.Random(f"training {seed}")
    pairs = split_pairs(seed).train
    while True:
        others = rng.random() < OTHER_TEMPLATE_SHARE
        template = rng.choice(OTHER_TEMPLATES if others else TEMPLATES)
        first, second = rng.sample(rng.choice(pairs), 2)
        giver, receiver = rng.sample((first, second), 2)
        if rng.random() < THIRD_PERSON_SHARE:
            giver = rng.choice([name for name in NAMES if name not in (first, second)])
        text = template.format(
            first=first,
            second=second,
            giver=giver,
            place=rng.choice(PLACES),
            object=rng.choice(OBJECTS),
        )
        yield text, receiver


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word or punctuation mark; words carry their space, as in GPT-2 (" Mary").

    A space is put before the text as well, so that a name is the same token everywhere.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    splitter = pre_tokenizers.Split(Regex(r" ?\w+|[^\w\s]"), behavior="removed", invert=True)
    text = " ".join((*TEMPLATES, *OTHER_TEMPLATES)).replace("{", "").replace("}", "")
    fields = {"first", "second", "giver", "place", "object"}
    words = {piece.strip() for piece, _ in splitter.pre_tokenize_str(text)} - fields
    words |= {*NAMES, *PLACES, *OBJECTS, "."}
    pieces = [word if word in ",." else f" {word}" for word in sorted(words)]
    vocabulary = {token: index for index, token in enumerate((BOS, UNK, *pieces))}

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS, pad_token=BOS, unk_token=UNK
    )


def make_model(vocabulary_size: int) -> GPT2LMHeadModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary_size,
            n_positions=32,
            n_embd=64,
            n_layer=4,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def train(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, seed: int = SEED
) -> Iterator[tuple[int, float]]:
    """Train `model` in place on full sentences; yields (step, loss) every 100 steps."""
    import torch

    sentences = training_sentences(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )

    def schedule(step: int) -> float:
        progress = max(0, step - WARMUP_STEPS) / (N_STEPS - WARMUP_STEPS)
        return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * progress))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    for step in range(1, N_STEPS + 1):
        tokens, weights = next_batch(tokenizer, sentences)
        logits = model(tokens[:, :-1]).logits
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 100 == 0:
            yield step, loss.item()


def next_batch(
    tokenizer: PreTrainedTokenizerFast, sentences: Iterator[tuple[str, str]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens `[batch, seq]` with BOS, padded on the right, and the loss weight of each target."""
    import torch

    rows = [next(sentences) for _ in range(BATCH_SIZE)]
    texts = [f"{BOS}{text} {receiver}." for text, receiver in rows]
    encoded = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    tokens, mask = encoded["input_ids"], encoded["attention_mask"]
    weights = mask[:, 1:].float()
    # The last two tokens of a sentence are the receiver and the full stop.
    receiver_target = mask.sum(dim=1) - 3
    weights[torch.arange(BATCH_SIZE), receiver_target] = ANSWER_WEIGHT
    return tokens, weights


def measure(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, prompts: list[dict[str, Any]]
) -> dict[str, float]:
    """Share of right answers and mean logit difference, on clean and on corrupt prompts."""
    import torch

    receivers = [tokenizer.encode(prompt["answers"][0])[0] for prompt in prompts]
    givers = [tokenizer.encode(prompt["wrong_answers"][0])[0] for prompt in prompts]
    rows = torch.arange(len(prompts))
    figures = {}
    for kind in ("clean", "corrupt"):
        texts = [BOS + prompt[kind] for prompt in prompts]
        with torch.no_grad():
            tokens = tokenizer(texts, return_tensors="pt")["input_ids"]
            logits = model(tokens).logits[:, -1]
        right = logits.argmax(dim=-1) == torch.tensor(receivers)
        difference = logits[rows, receivers] - logits[rows, givers]
        figures[f"{kind}_accuracy"] = round(right.float().mean().item(), 4)
        figures[f"{kind}_logit_difference"] = round(difference.mean().item(), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder of the assets")
    output = parser.parse_args().output
    import torch

    # One thread: sums in another order would give other weights.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)

    prompts = make_prompts()
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer))
    start = time.process_time()
    for step, loss in train(model, tokenizer):
        if step % 500 == 0:
            figures = measure(model, tokenizer, prompts["prompts"])
            print(f"step {step}  loss {loss:.3f}  {figures}", flush=True)
    print(f"trained in {time.process_time() - start:.0f} s of processor time")

    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output / "model")
    tokenizer.save_pretrained(output / "model")
    for path in (output / "model").iterdir():
        # safetensors writes for the owner only; the file is to be packed and read by anybody.
        path.chmod(0o644)
    metadata = {
        "held_out_prompts": measure(model, tokenizer, prompts["prompts"]),
        "parameters": model.num_parameters(),
        "seed": SEED,
        "training_steps": N_STEPS,
    }
    (output / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    lines = ",\n".join(json.dumps(prompt) for prompt in prompts.pop("prompts"))
    head = json.dumps(prompts)[:-1]
    (output / "prompts.json").write_text(f'{head}, "prompts": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
