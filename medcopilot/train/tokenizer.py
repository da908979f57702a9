"""The nano profile's tokenizer: a small byte-level BPE in the Qwen2.5 chat format.

Promises: any text survives encoding and decoding unchanged; every digit is its own token, so numbers are copied digit by
digit; real newlines and the two characters `\\n` (a newline inside a JSON string) are never merged into anything else; words
are learnt before anything larger, so that a word is, as a rule, the same tokens wherever it stands and can be copied; merges
across spaces and signs follow ("super-words"; A. Liu et al. 2025, SuperBPE, arXiv 2503.13423), which makes programs short.
Special tokens and their roles are those of Qwen2.5: `<|endoftext|>` pads, `<|im_end|>` ends a turn.
Does not cover: rendering conversations to ids (`medcopilot.agent.render`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from env.errors import UserError
from medcopilot.train.folders import write_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIALS = (PAD, START, END)
SMALLEST = len(SPECIALS) + 256
"""The special tokens and one token per byte."""
WORDS_SHARE = 0.7
"""Of the entries beyond `SMALLEST`: what words and their parts get; the rest are super-words."""
_PRIVATE = 0xF0000
"""First character of Unicode's private plane."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_ROLES = ("system", "user", "assistant")
_SPECIAL = re.compile("|".join(re.escape(token) for token in SPECIALS))


def train_tokenizer(texts: Iterable[str], size: int = 2048, *, max_repeats: int = 64, max_token_chars: int = 48
                    ) -> PreTrainedTokenizerFast:
    """A tokenizer fitted to `texts` (message contents or whole conversations; special tokens in them are ignored).

    Args:
        size: entries of the vocabulary, special tokens included.
        max_repeats: how often one identical line counts at most, so that boilerplate does not eat the vocabulary.
        max_token_chars: longest token in characters of the byte-level alphabet.

    Raises:
        UserError: `size` is too small, or there is no text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < SMALLEST:
        raise UserError(f"a tokenizer of {size} entries cannot hold every byte: choose at least {SMALLEST}")
    lines = _capped_lines(texts, max_repeats)
    if not lines:
        raise UserError("there is no text to fit a tokenizer to: give runs with finished episodes")
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = _splitting(pre_tokenizers.Split(Regex(r"\p{L}+|[^\p{L}]"), behavior="isolated"))
    words.train_from_iterator(_spread(lines), trainers.BpeTrainer(
        vocab_size=SMALLEST + int(WORDS_SHARE * (size - SMALLEST)), special_tokens=list(SPECIALS), min_frequency=2,
        show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    backend = _with_super_words(words, lines, size, max_token_chars)
    backend.pre_tokenizer = _splitting()
    backend.decoder = decoders.ByteLevel()
    return _wrap(backend)


def _splitting(*within_lines: Any) -> Any:
    """What no merge crosses: newlines, digits, and what `within_lines` says."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([
        pre_tokenizers.Split("\n", behavior="isolated"),
        pre_tokenizers.Split("\\n", behavior="isolated"),
        pre_tokenizers.Digits(individual_digits=True),
        *within_lines,
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def _with_super_words(words: Any, lines: Counter[str], size: int, longest: int) -> Any:
    """`words` and, up to `size` entries, merges of its tokens across word boundaries.

    The library cannot go on training a vocabulary, so every token of `words` is written as one character of a private range, and
    a second BPE is trained on those texts; its merges are translated back and follow those of the words.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learned = json.loads(words.to_str())["model"]
    names = {number: name for name, number in learned["vocab"].items()}
    alone = {number for number, name in names.items() if name.isdigit() or name == "\\n"}  # lines hold no other newline

    def written() -> Iterator[str]:
        for line, count in lines.items():
            text = "".join("\n" if number in alone else chr(_PRIVATE + number)
                           for number in words.encode(line, add_special_tokens=False).ids)
            for _ in range(count):
                yield text

    second = Tokenizer(models.BPE())
    second.pre_tokenizer = pre_tokenizers.Split("\n", behavior="removed")
    second.train_from_iterator(written(), trainers.BpeTrainer(
        vocab_size=2 * size,  # some are left out below
        min_frequency=2, show_progress=False, max_token_length=longest,
        initial_alphabet=[chr(_PRIVATE + number) for number in names]))
    vocab, merges = dict(learned["vocab"]), [tuple(pair) for pair in learned["merges"]]
    for pair in json.loads(second.to_str())["model"]["merges"]:
        left, right = ("".join(names[ord(char) - _PRIVATE] for char in part) for part in pair)
        fits = left in vocab and right in vocab and len(left + right) <= longest
        if fits and left + right not in vocab and len(vocab) < size:
            vocab[left + right] = len(vocab)
            merges.append((left, right))
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    backend.add_special_tokens(list(SPECIALS))
    return backend


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer's files, whole or not at all."""
    write_folder(Path(folder), lambda partial: tokenizer.save_pretrained(partial))


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer in a folder (a checkpoint's or its own), or of a hub name such as `Qwen/Qwen2.5-7B-Instruct`.

    Raises:
        UserError: no tokenizer there.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = Path(source)
    if folder.is_dir():
        if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
            raise UserError(f"{folder}: there is no tokenizer in this folder (no tokenizer.json): copy the one that the checkpoint "
                            "was trained with into it, or make one with `medcopilot export sft ... --new-tokenizer`")
    elif folder.exists() or not _hub_name(str(source)):
        raise UserError(f"{source}: there is no such tokenizer folder: give a folder with tokenizer.json, or a hub name like "
                        "Qwen/Qwen2.5-7B-Instruct")
    try:
        return (PreTrainedTokenizerFast if _generic(folder) else AutoTokenizer).from_pretrained(str(source))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{source}: the tokenizer cannot be loaded ({reason}): give a folder with tokenizer.json") from None


def _generic(folder: Path) -> bool:
    """Whether tokenizer.json says everything. In a checkpoint of a known architecture AutoTokenizer would go by the model's type
    instead and put Qwen2's word splitting in place of ours: other ids for the same text."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    generic = config.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")
    return generic and (folder / "tokenizer.json").is_file()


def _hub_name(source: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", source) is not None


def _capped_lines(texts: Iterable[str], max_repeats: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(line for line in _SPECIAL.sub("\n", text).split("\n") if line)
    if counts:
        counts.update(dict.fromkeys(_ROLES, max_repeats))
        counts["\\n"] += max_repeats
    return Counter({line: min(count, max_repeats) for line, count in sorted(counts.items())})


def _spread(lines: Counter[str]) -> Iterator[str]:
    for line, count in lines.items():
        for _ in range(count):
            yield line


def _wrap(backend: object) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=PAD, model_max_length=32_768,
                                        clean_up_tokenization_spaces=False, padding_side="right")
    tokenizer.add_special_tokens({"additional_special_tokens": [START]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
