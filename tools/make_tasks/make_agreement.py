"""Train the agreement model on a public-domain book and write its assets.

Agreement in number across a distance (Linzen et al. 2016, arXiv 1611.01368; here of a possessive
with its noun): "The servants built the wall, and lifted up" is to be continued with " their", and
"The servant built the wall, and lifted up" with " his". A four-layer GPT-2 with a byte-pair
vocabulary of its own is trained from scratch on the World English Bible with the Deuterocanon, in
the public domain, and on nothing else; no prompt was made for training. Debian ships the book as
`sword-text-web`. This script downloads nothing: get and unpack the package, then run it.

    apt-get download sword-text-web=426.0-1
    dpkg-deb -x sword-text-web_426.0-1_all.deb texts
    OMP_NUM_THREADS=1 python tools/make_tasks/make_agreement.py --texts texts

With `--keep-model` nothing is trained: prompts and measurements are made anew for the model that is
there.

The corrupt prompts are openings of unrelated sentences, quoted from that text and as long as the
clean prompts. With a corrupt prompt that differs in the number of the subject alone, three edges
carry nearly the whole effect, since where to attend is the same in both prompts and comes for
free. From an unrelated opening it does not: a circuit has to compute that as well.

No noun of a place follows the subject of its prompt two or three words later anywhere in the text
("servants built the wall", "servant of walls"), in any number of both, and the pairs of nouns of
test prompts are not those of train prompts.

Written: `sp_widget/tasks/assets/agreement/model/` (by `save_pretrained`, in half precision,
tokenizer included), `prompts.json` (the format of `load_datasets_from_json`) and `metadata.json`
(what was measured).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import struct
import time
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "sp_widget" / "tasks" / "assets" / "agreement"

SEED = 0
BOS = "<|endoftext|>"

BIBLE = Path("usr/share/sword/modules/texts/ztext/engWEB2015eb")
TEXT_SHA256 = "01ac3bf4dc08515c39f3b10c82963a45107e2da33329208c2062d02b0162eef0"
"""Of all sentences, one a line: the text that the bundled model has read."""

VOCABULARY_SIZE = 2500
CONTEXT = 48
"""Tokens of one row of training text, without BOS."""
HELD_OUT_SENTENCES = 1000
"""The last ones of the text: not trained on, for the loss in `metadata.json`."""
SUBJECTS = {
    "son": "sons",
    "king": "kings",
    "servant": "servants",
    "man": "men",
    "brother": "brothers",
    "father": "fathers",
    "prince": "princes",
    "priest": "priests",
    "captain": "captains",
    "prophet": "prophets",
    "friend": "friends",
    "enemy": "enemies",
    "ruler": "rulers",
}
OBJECTS = {
    "house": "houses",
    "city": "cities",
    "nation": "nations",
    "mountain": "mountains",
    "land": "lands",
    "gate": "gates",
    "wall": "walls",
    "tree": "trees",
    "place": "places",
    "way": "ways",
    "water": "waters",
}
"""All forms of subjects and objects are single tokens."""
SEEN_PAIRS = {
    (subject, place)
    for subject, places in {
        "brother": "city house",
        "captain": "place",
        "enemy": "gate land nation way",
        "father": "city house land nation way",
        "friend": "land",
        "king": "city house land nation place tree way",
        "man": "city house land nation place wall water way",
        "priest": "city house nation place",
        "prince": "city land nation",
        "prophet": "nation place",
        "ruler": "city house land nation",
        "servant": "gate house land place",
        "son": "house tree wall",
    }.items()
    for place in places.split()
}
"""What `seen_pairs` finds in the text."""
FRAMES = (
    "The {subject} saw the {object}, and lifted up",
    "The {subject} found the {object}, and lifted up",
    "The {subject} left the {object}, and lifted up",
    "The {subject} built the {object}, and lifted up",
    "The {subject} destroyed the {object}, and lifted up",
    "The {subject} loved the {object}, and lifted up",
    "The {subject} kept the {object}, and lifted up",
    "The {subject} passed the {object}, and lifted up",
)
"""The shape of every bundled prompt: 9 tokens, the nouns always at the same places."""
SEQ_LABELS = ("The", "subject", "verb", "the", "object", ",", "and", "lifted", "up")
WORD_IDXS = {"subject": 1, "object": 4, "end": 8}
SINGULAR_ANSWER, PLURAL_ANSWER = " his", " their"
PLAIN_WORDS = re.compile(r"[A-Z][a-z]*(,? [A-Za-z]+)*")
"""What a corrupt prompt looks like: words, some with a comma behind them, and no other mark."""
N_PROMPTS = 512

BATCH_SIZE, N_STEPS, WARMUP_STEPS = 16, 5000, 200
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.1


def read_bible(texts: Path) -> str:
    """Return the World English Bible from its SWORD module, without notes and headings.

    An index (`.bzs`) of offset, size and size when unpacked, 32 bits each, little endian, points
    into a file of zlib streams (`.bzz`), one a book, which hold OSIS: XML.
    """
    books = []
    for testament in ("ot", "nt"):
        index = (texts / BIBLE / f"{testament}.bzs").read_bytes()
        packed = (texts / BIBLE / f"{testament}.bzz").read_bytes()
        for offset, size, _ in struct.iter_unpack("<3I", index):
            osis = zlib.decompress(packed[offset : offset + size]).decode()
            osis = re.sub(r"<(note|title)\b.*?</\1>", "", osis, flags=re.DOTALL)
            books.append(re.sub(r"<[^>]*>", "", re.sub(r"<(l|lb|div|chapter)\b", r" <\1", osis)))
    return "\n\n".join(books)


PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2014", "''\"\"-")
SENTENCE_END = re.compile(r"""(?:(?<=[.?!])|(?<=[.?!]["']))\s+(?=["']?[A-Z])""")


def read_sentences(texts: Path) -> list[str]:
    """Return all sentences of the text, in order."""
    text = re.sub(r"\s+", " ", read_bible(texts).translate(PLAIN)).strip()
    return SENTENCE_END.split(text)


def make_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    """Learn a byte-pair vocabulary; a word has its space before it, at the start as well."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS, pad_token=BOS
    )


def make_model() -> GPT2LMHeadModel:
    """Return the model with fresh weights: 4 layers of 8 heads, 128 wide."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY_SIZE,
            n_positions=64,
            n_embd=128,
            n_layer=4,
            n_head=8,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


class Rows:
    """Rows of text: BOS, then tokens from the start of a sentence on, into the next ones."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, sentences: list[str]) -> None:
        import torch

        pieces = tokenizer(sentences)["input_ids"]
        self.tokens = torch.tensor([token for piece in pieces for token in piece])
        lengths = torch.tensor([len(piece) for piece in pieces])
        starts = lengths.cumsum(dim=0) - lengths
        self.starts = starts[starts <= len(self.tokens) - CONTEXT]

    def at(self, sentences: torch.Tensor) -> torch.Tensor:
        """Return tokens `[batch, 1 + CONTEXT]` from the starts of the numbered sentences on."""
        import torch

        spread = self.starts[sentences].unsqueeze(1) + torch.arange(CONTEXT)
        return torch.nn.functional.pad(self.tokens[spread], (1, 0), value=0)

    def batches(self, generator: torch.Generator) -> Iterator[torch.Tensor]:
        """Yield batches endlessly; every sentence starts one row before any starts a second."""
        import torch

        while True:
            order = torch.randperm(len(self.starts), generator=generator)
            for sentences in order.split(BATCH_SIZE)[:-1]:
                yield self.at(sentences)


def mean_loss(model: GPT2LMHeadModel, rows: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the next token, in nats."""
    import torch

    logits = model(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def train(model: GPT2LMHeadModel, rows: Rows, seed: int = SEED) -> Iterator[tuple[int, float]]:
    """Train `model` in place; yields (step, loss) every 100 steps."""
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )

    def schedule(step: int) -> float:
        return min(1.0, (step + 1) / WARMUP_STEPS, (N_STEPS - step) / (N_STEPS - WARMUP_STEPS))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    batches = rows.batches(torch.Generator().manual_seed(seed))
    total = 0.0
    for step in range(1, N_STEPS + 1):
        loss = mean_loss(model, next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        total += loss.item()
        if step % 100 == 0:
            yield step, total / 100
            total = 0.0


def seen_pairs(sentences: list[str]) -> set[tuple[str, str]]:
    """Return the pairs (subject, object) near each other in the text, in the singular.

    Near: subject, one or two words, object, without a mark between them ("sons of the city").
    """
    singular = {
        form: noun for noun, plural in (SUBJECTS | OBJECTS).items() for form in (noun, plural)
    }
    subjects, objects = (
        "|".join(form for pair in nouns.items() for form in pair) for nouns in (SUBJECTS, OBJECTS)
    )
    near = re.compile(rf"\b({subjects})(?= (?:\w+ ){{1,2}}({objects})\b)", re.IGNORECASE)
    return {
        (singular[subject.lower()], singular[place.lower()])
        for sentence in sentences
        for subject, place in near.findall(sentence)
    }


def split_pairs(seed: int = SEED) -> dict[str, list[tuple[str, str]]]:
    """Return the pairs (subject, object) that are not near in the text: half train, half test."""
    pairs = [pair for pair in product(SUBJECTS, OBJECTS) if pair not in SEEN_PAIRS]
    random.Random(f"pairs {seed}").shuffle(pairs)
    half = len(pairs) // 2
    return {"train": pairs[:half], "test": pairs[half:]}


def make_clean_prompts(seed: int = SEED, n_prompts: int = N_PROMPTS) -> list[dict[str, Any]]:
    """Return the clean prompts with their answers: train, then test.

    Each frame has as many prompts of each number of subject and object, all different.
    """
    rng = random.Random(f"prompts {seed}")
    kinds = list(product(FRAMES, (False, True), (False, True)))
    prompts = []
    for pairs in split_pairs(seed).values():
        drawn = [
            (*kind, *pair)
            for kind in kinds
            for pair in rng.sample(pairs, n_prompts // 2 // len(kinds))
        ]
        rng.shuffle(drawn)
        for frame, is_plural, object_is_plural, subject, noun in drawn:
            clean = frame.format(
                subject=SUBJECTS[subject] if is_plural else subject,
                object=OBJECTS[noun] if object_is_plural else noun,
            )
            prompts.append(
                {
                    "clean": clean,
                    "answers": [PLURAL_ANSWER if is_plural else SINGULAR_ANSWER],
                    "wrong_answers": [SINGULAR_ANSWER if is_plural else PLURAL_ANSWER],
                }
            )
    return prompts


def is_unrelated(opening: str) -> bool:
    """Return whether it has neither a noun of `SUBJECTS`, in either number, nor "lifted up"."""
    forms = {form for pair in SUBJECTS.items() for form in pair}
    words = re.findall(r"\w+", opening.lower())
    return forms.isdisjoint(words) and "lifted up" not in " ".join(words)


def draw_openings(
    sentences: list[str], tokenizer: PreTrainedTokenizerFast, n: int, seed: int = SEED
) -> list[str]:
    """Return `n` different openings of sentences, each as many tokens as a clean prompt.

    An opening is whole words, without a mark but commas, ends before its sentence does, and is
    unrelated to the clean prompts. Raises `ValueError` when the text has fewer.
    """
    length = len(SEQ_LABELS)
    order = list(sentences)
    random.Random(f"openings {seed}").shuffle(order)
    openings: dict[str, None] = {}
    for sentence in order:
        tokens = tokenizer.encode(sentence, add_special_tokens=False)[:length]
        opening = tokenizer.decode(tokens).strip()
        if (
            len(tokens) == length
            and sentence.startswith(f"{opening} ")
            and PLAIN_WORDS.fullmatch(opening)
            and is_unrelated(opening)
        ):
            openings[opening] = None
            if len(openings) == n:
                return list(openings)
    raise ValueError(f"the text has {len(openings)} such openings, {n} are wanted")


def make_prompts(
    sentences: list[str], tokenizer: PreTrainedTokenizerFast, seed: int = SEED
) -> dict[str, Any]:
    """Return the bundled prompts, in the format of `load_datasets_from_json`: train, then test."""
    clean = make_clean_prompts(seed)
    openings = draw_openings(sentences, tokenizer, len(clean), seed)
    prompts = [
        {"clean": prompt.pop("clean"), "corrupt": opening, **prompt}
        for prompt, opening in zip(clean, openings, strict=True)
    ]
    return {"seq_labels": list(SEQ_LABELS), "word_idxs": WORD_IDXS, "prompts": prompts}


def measure(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, prompts: list[dict[str, Any]]
) -> dict[str, float]:
    """Return what the model does on prompts that are all of one length.

    `clean_accuracy`: share of prompts where the answer is more probable than the wrong answer;
    `clean_top_1`: where it is the most probable token. `corrupt_kl`: of the corrupt prompt's
    distribution over the vocabulary from the clean one's, in nats: what an empty circuit leaves.
    """
    import torch

    right = [tokenizer.encode(prompt["answers"][0])[0] for prompt in prompts]
    wrong = [tokenizer.encode(prompt["wrong_answers"][0])[0] for prompt in prompts]
    rows = torch.arange(len(prompts))
    log_probabilities = {}
    for kind in ("clean", "corrupt"):
        texts = [BOS + prompt[kind] for prompt in prompts]
        with torch.no_grad():
            tokens = tokenizer(texts, return_tensors="pt")["input_ids"]
            log_probabilities[kind] = model(tokens).logits[:, -1].log_softmax(dim=-1)
    clean, corrupt = log_probabilities["clean"], log_probabilities["corrupt"]
    difference = clean[rows, right] - clean[rows, wrong]
    metrics = {
        "clean_accuracy": (difference > 0).float().mean(),
        "clean_top_1": (clean.argmax(dim=-1) == torch.tensor(right)).float().mean(),
        "clean_logit_difference": difference.mean(),
        "corrupt_kl": (clean.exp() * (clean - corrupt)).sum(dim=-1).mean(),
    }
    return {name: round(value.item(), 4) for name, value in metrics.items()}


def write_model(folder: Path, model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write weights, in half precision, and tokenizer."""
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        # safetensors writes for the owner only; the file is to be packed and read by anybody.
        path.chmod(0o644)


def write_prompts(output: Path, sentences: list[str]) -> None:
    """Write prompts and what is measured on them with the model as it is stored."""
    import torch
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    stored = GPT2LMHeadModel.from_pretrained(output / "model", dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(output / "model")
    held_out = Rows(tokenizer, sentences[-HELD_OUT_SENTENCES:])
    prompts = make_prompts(sentences[:-HELD_OUT_SENTENCES], tokenizer)
    lines = prompts.pop("prompts")
    with torch.no_grad():
        held_out_loss = mean_loss(stored, held_out.at(torch.arange(len(held_out.starts))))
    metadata = {
        "train_prompts": measure(stored, tokenizer, lines[: N_PROMPTS // 2]),
        "test_prompts": measure(stored, tokenizer, lines[N_PROMPTS // 2 :]),
        "held_out_text_loss": round(held_out_loss.item(), 4),
        "parameters": stored.num_parameters(),
        "seed": SEED,
        "training_steps": N_STEPS,
        "training_tokens": N_STEPS * BATCH_SIZE * CONTEXT,
        "text": {
            "title": "World English Bible with Deuterocanon",
            "package": "sword-text-web 426.0-1 (Debian)",
            "licence": "public domain",
            "source": "https://ebible.org/web/",
            "quoted": "every corrupt prompt is the opening of a sentence of this text",
            "sha256": TEXT_SHA256,
        },
    }
    (output / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    head = json.dumps(prompts)[:-1]
    body = ",\n".join(json.dumps(line) for line in lines)
    (output / "prompts.json").write_text(f'{head}, "prompts": [\n{body}\n]}}\n', encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True, help="folder of the unpacked package")
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder of the assets")
    parser.add_argument("--keep-model", action="store_true", help="do not train: make prompts anew")
    arguments = parser.parse_args()
    texts, output = arguments.texts, arguments.output
    import torch

    # One thread: sums in another order would give other weights.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)

    sentences = read_sentences(texts)
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    if digest != TEXT_SHA256:
        raise SystemExit(f"another text than the bundled model's: SHA-256 {digest}")
    if seen_pairs(sentences) != SEEN_PAIRS:
        raise SystemExit(f"SEEN_PAIRS should be {sorted(seen_pairs(sentences))}")

    if not arguments.keep_model:
        tokenizer = make_tokenizer(sentences)
        train_prompts = make_prompts(sentences[:-HELD_OUT_SENTENCES], tokenizer)["prompts"]
        rows = Rows(tokenizer, sentences[:-HELD_OUT_SENTENCES])
        model = make_model()
        start = time.process_time()
        for step, loss in train(model, rows):
            if step % 500 == 0:
                metrics = measure(model, tokenizer, train_prompts[: N_PROMPTS // 2])
                print(f"step {step}  loss {loss:.3f}  {metrics}", flush=True)
        print(f"trained in {time.process_time() - start:.0f} s of processor time")
        write_model(output / "model", model, tokenizer)
    write_prompts(output, sentences)


if __name__ == "__main__":
    main()
