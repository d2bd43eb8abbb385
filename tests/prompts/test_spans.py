"""Tokens of every value under tokenizers of three kinds, and those that are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from helpers.tokenizers_made import byte_level, metaspace, word_level
from iterhead.errors import UserError
from iterhead.prompts import FORMS, make_prompts
from iterhead.tasks import task

TOKENIZERS = {
    "word-level": word_level(),
    "bytes": byte_level(),
    "numbers of several tokens": byte_level(60),
    "numbers of one token": byte_level(400),
    "spaces trimmed from offsets": byte_level(400, trim_offsets=True),
    "metaspace": metaspace(split_digits=False),
    "metaspace and digits": metaspace(),
}
TASKS = ["copy", "parity", "polynomial", "polynomial:p=97,f=s*x+x^2+3,start=init", "polynomial:p=13"]


@settings(deadline=None, max_examples=80)
@given(
    name=st.sampled_from(TASKS),
    form=st.sampled_from(list(FORMS)),
    tokenizer=st.sampled_from(list(TOKENIZERS)),
    length=st.integers(2, 13),
    shots=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_every_span_decodes_to_its_value(name, form, tokenizer, length, shots, seed):
    tokenizer = TOKENIZERS[tokenizer]
    batch = make_prompts(
        task(name), tokenizer, length=length, count=3, form=form, shots=shots, seed=seed, shot_lengths=(2, 3, 14)
    )
    assert batch.length == length
    for row, tokens in enumerate(batch.tokens_BT):
        assert tokens[: batch.sizes_B[row]].tolist() == tokenizer(batch.texts[row])["input_ids"]
        for values_L, spans_L2 in (
            (batch.inputs_BL[row], batch.input_spans_BL2[row]),
            (batch.states_BL[row], batch.state_spans_BL2[row]),
        ):
            assert [tokenizer.decode(tokens[start:end]).strip() for start, end in spans_L2] == list(map(str, values_L))
        marker = tokenizer.decode(tokens[slice(*batch.marker_spans_B2[row])])
        assert marker.replace(" ", "") == ("inputandstate:" if form == "interleaved" else "=>states:")
        for state, span in zip(batch.states_BL[row], batch.state_spans_BL2[row], strict=True):
            assert tuple(tokens[slice(*span)]) == batch.value_ids[state]
        last_example = tokenizer.decode(tokens[batch.starts_B[row] : batch.sizes_B[row]]).replace(" ", "")
        assert last_example == batch.texts[row].splitlines()[-1].replace(" ", "")
        assert (batch.queries_BL[row] == batch.state_spans_BL2[row, :, 0] - 1).all()
        assert (batch.queries_BL[row] >= batch.marker_spans_B2[row, 1] - 1).all()


@pytest.mark.parametrize(
    ("tokenizer", "ten"),
    [
        (word_level(), ["10"]),
        (byte_level(), ["1", "0"]),  # the space is a token by itself
        (byte_level(400), ["Ġ10"]),
        (metaspace(split_digits=False), ["▁10"]),
        (metaspace(), ["1", "0"]),
    ],
)
def test_the_tokens_of_ten(tokenizer, ten):
    batch = make_prompts(task("polynomial"), tokenizer, length=2, count=1)
    assert tokenizer.convert_ids_to_tokens(batch.value_ids[10]) == ten


def test_a_character_of_two_tokens():
    batch = make_prompts(task("parity"), byte_level(), length=2, count=3, words=("é", "à"))
    assert [len(ids) for ids in batch.value_ids] == [2, 2]  # bytes of UTF-8
    assert (batch.input_spans_BL2[..., 1] - batch.input_spans_BL2[..., 0] == 2).all()


def test_special_tokens_come_first():
    tokenizer = metaspace()
    batch = make_prompts(task("parity"), tokenizer, length=2, count=1, shots=0)
    assert batch.tokens_BT[0, 0] == tokenizer.bos_token_id
    assert batch.starts_B.tolist() == [1]


def test_a_value_without_a_token_is_named():
    named = word_level(10)
    named.name_or_path = "tiny"
    message = "tokenizer tiny cannot write '10': it has no token for it"
    with pytest.raises(UserError, match=message):
        make_prompts(task("polynomial"), named, length=2, count=1)
    make_prompts(task("polynomial:p=7"), named, length=2, count=1)  # 0 .. 6 have tokens


def test_a_tokenizer_without_an_unknown_token_says_so_itself():
    with pytest.raises(UserError, match="cannot write '10': WordLevel error"):
        make_prompts(task("polynomial"), word_level(10, unknown=False), length=2, count=1)


def test_characters_that_a_tokenizer_drops():
    letters = {letter: i for i, letter in enumerate("input:states=> 1234567890\n") if letter != "7"}
    dropping = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=letters, merges=[])))
    make_prompts(task("polynomial:p=7"), dropping, length=2, count=1)
    with pytest.raises(UserError, match="cannot write '7'"):
        make_prompts(task("polynomial"), dropping, length=2, count=1)


def test_tokens_that_join_values():
    """Without pre-tokenization, BPE may merge across words: here `1 ` with the space after it, or `: 1`."""
    letters = {letter: i for i, letter in enumerate("input:states=> 01\n")}
    for merges, joined in (([("1", " ")], "'1 '"), ([(":", " "), (": ", "1")], "': 1'")):
        vocabulary = letters | {left + right: 20 + i for i, (left, right) in enumerate(merges)}
        joining = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=vocabulary, merges=merges)))
        with pytest.raises(UserError, match=f"joins '1' with its neighbours in a token, {joined}"):
            make_prompts(task("parity"), joining, length=3, count=8)


def test_a_value_written_in_two_ways():
    """Of `step 1: 1` the tokens are `1: ` and `1`; of `step 2: 1` they are `2`, `:` and ` 1`."""
    letters = {letter: i for i, letter in enumerate("input:sea=> 0123\n")}
    merges = [("1", ":"), ("1:", " "), (" ", "1")]
    vocabulary = letters | {left + right: 20 + i for i, (left, right) in enumerate(merges)}
    two_ways = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=vocabulary, merges=merges)))
    make_prompts(task("parity"), two_ways, length=3, count=8)
    with pytest.raises(UserError, match=r"writes the value 1 as ids \(22,\) and as \(\d+,\)"):
        make_prompts(task("parity"), two_ways, length=3, count=8, form="labelled")


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast, name_or_path = False, "tiny/slow"

    with pytest.raises(UserError, match="tokenizer tiny/slow is slow"):
        make_prompts(task("parity"), Slow(), length=3, count=1)


def test_a_mixture_is_refused():
    with pytest.raises(UserError, match=r"mix:copy,parity: a mixture has no prompts: choose .*, e\.g\. copy"):
        make_prompts(task("mix:copy,parity"), word_level(), length=3, count=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length=0: expected from 1 to 1,024"),
        ({"count": 0}, "count=0"),
        ({"shots": -1}, "shots=-1: expected from 0 to 1,000"),
        ({"length": 2**63}, "length=9223372036854775808: expected from 1 to 1,024"),
        ({"count": 10**30}, "count=10{30}: expected from 1 to 100,000"),
        ({"shot_lengths": [2, 10**9]}, "shot_lengths=10{9}: expected from 1 to 1,024"),
        ({"length": 1024, "count": 30, "shots": 1000}, "length 1024 with 1,000 shots have 30,750,720 in"),
        ({"shot_lengths": (3, 0)}, "shot_lengths=0"),
        ({"shot_lengths": ()}, "shot_lengths=0"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        make_prompts(task("parity"), word_level(), **({"length": 3, "count": 1} | options))
