"""Text as tokens, and the tokens that cover given characters.

A fast tokenizer of transformers says which characters [start, end) each token covers (`return_offsets_mapping`). The
tokens of a word are those that cover its characters: one or several, the first of them perhaps with the space before
(` 12` in byte-level BPE, `▁12` in sentencepiece). A token that is only that space does not belong to the word.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iterhead.errors import UserError, shortened

Span = tuple[int, int]
"""[start, end): of characters in a text, or of tokens."""


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text, its token ids, the characters of each token, and how messages name the tokenizer."""

    text: str
    ids: tuple[int, ...]
    offsets: tuple[Span, ...]
    tokenizer_name: str

    @cached_property
    def first_tokens(self) -> NDArray[np.int64]:
        """The first token that covers each character; -1 if none does."""
        first = np.full(len(self.text), -1, dtype=np.int64)
        for token in reversed(range(len(self.ids))):  # several tokens may cover one character, one for each byte
            first[slice(*self.offsets[token])] = token
        return first

    @cached_property
    def last_tokens(self) -> NDArray[np.int64]:
        """The last token that covers each character; -1 if none does."""
        last = np.full(len(self.text), -1, dtype=np.int64)
        for token, offsets in enumerate(self.offsets):
            last[slice(*offsets)] = token
        return last

    def tokens_of(self, characters: Span) -> Span:
        """Return the tokens that cover a word.

        Raises:
            UserError: one of them covers more than the word and the space before it.
        """
        start, end = characters
        first, last = int(self.first_tokens[start]), int(self.last_tokens[end - 1])
        begin, stop = self.offsets[first][0], self.offsets[last][1]
        if self.text[begin:start].strip() or stop > end:
            raise UserError(
                f"tokenizer {self.tokenizer_name} joins {self.text[start:end]!r} with its neighbours in a token, "
                f"{shortened(self.text[begin:stop])}: expected tokens that end where a word ends"
            )
        return first, last + 1

    def check_written(self, unknown: int | None) -> None:
        """Raise UserError if a word has the unknown token, or a character that no token covers."""
        dropped = [i for i, token in enumerate(self.first_tokens) if token < 0 and not self.text[i].isspace()]
        unwritten = [start for token, (start, _) in zip(self.ids, self.offsets, strict=True) if token == unknown]
        for character in (*dropped, *unwritten):
            before, after = self.text[: character + 1].split(), self.text[character + 1 :]
            rest = after.split()[0] if after and not after[0].isspace() else ""
            raise UserError(
                f"tokenizer {self.tokenizer_name} cannot write {before[-1] + rest!r}: it has no token for it; choose "
                "another tokenizer or other words"
            )


def encode(tokenizer: Any, texts: list[str]) -> list[EncodedText]:
    """Return texts as tokens, with the special tokens that the tokenizer adds by default (BOS).

    Args:
        tokenizer: a fast tokenizer of transformers.
        texts: any texts.

    Raises:
        UserError: the tokenizer has no offsets, or no token for a word.
    """
    name = str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"tokenizer {name} is slow, so it does not say which characters a token covers: expected a fast one "
            "(with a tokenizer.json)"
        )
    try:
        encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    except Exception as error:  # a word-level tokenizer without an unknown token raises a bare Exception
        raise UserError(f"tokenizer {name} cannot write {_unwritable(tokenizer, texts)!r}: {error}") from None
    unknown = getattr(tokenizer, "unk_token_id", None)
    result = []
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        result.append(EncodedText(text, tuple(ids), tuple(offsets), name))
        result[-1].check_written(unknown)
    return result


def _unwritable(tokenizer: Any, texts: list[str]) -> str:
    """Return the first word of texts that raises an exception."""
    for word in dict.fromkeys(" ".join(texts).split()):
        try:
            tokenizer(word)
        except Exception:
            return word
    return texts[0]
