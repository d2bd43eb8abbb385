"""Small tokenizers of three kinds, made on the spot. Use after `pytest.importorskip("transformers")`."""

from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

WORDS = ("input", "state", "states", "step", "and", ":", "=>")
CORPUS = [
    *["input: 3 1 4 => states: 3 4 6\n", "input and state: 3 step 2:"] * 20,
    "".join(f" {value}" for value in range(100)),
]


def word_level(
    values: int = 100, unknown: bool = True, words: tuple[str, ...] | None = None
) -> PreTrainedTokenizerFast:
    """One token for each word of the prompts and each of `values` numbers (or `words`); no special tokens."""
    unknown_token = {"unk_token": "[UNK]"} if unknown else {}
    listed = dict.fromkeys([*unknown_token.values(), *WORDS, *(words or map(str, range(values)))])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(listed)}, **unknown_token))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **unknown_token)


@cache
def byte_level(merges: int = 0, trim_offsets: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE as in GPT-2, without BOS. With 0 merges a byte is a token; with 200 ` 12` is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + merges, initial_alphabet=alphabet, show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@cache
def metaspace(split_digits: bool = True) -> PreTrainedTokenizerFast:
    """BPE as in Llama 2, with BOS `<s>`: a space is part of the next token, `▁3`; or `▁`, `3` with `split_digits`."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    steps = [pre_tokenizers.Metaspace(prepend_scheme="first")]
    if split_digits:
        steps.append(pre_tokenizers.Split(Regex("[0-9]"), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>")
