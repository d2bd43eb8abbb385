"""A GPT-2 set by hand that does a task in the form `interleaved` by a previous-token head: a competing head."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from helpers.tokenizers_made import word_level
from iterhead.huggingface.language_model import LanguageModel

POSITIONS = 64
SHARPNESS = 20.0


@torch.no_grad()
def previous_token_model(task):
    """One layer of two heads: layer 1, head 1 copies the token before, the MLP computes F of it and the current token.

    The stream has three one-hot vectors: token, position and previous token; then the answer. As many coordinates are 1
    everywhere, so a norm is undone by its weight and bias. The second head writes nothing.
    """
    p = task.alphabet
    tokenizer = word_level(values=p)
    ids = tokenizer.get_vocab()
    V, width = len(ids), 2 * (POSITIONS + 2)
    position, previous, answer = V, V + POSITIONS, 2 * V + POSITIONS
    assert answer + p <= width
    config = GPT2Config(
        vocab_size=V,
        n_positions=POSITIONS,
        n_embd=width,
        n_layer=1,
        n_head=2,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        model = GPT2LMHeadModel(config)
    for parameter in model.parameters():
        parameter.zero_()
    (block,) = model.transformer.h
    model.transformer.wte.weight[:, :V] = torch.eye(V)
    model.transformer.wpe.weight[:, position:previous] = torch.eye(POSITIONS)
    for norm, ones in ((block.ln_1, 2), (block.ln_2, 3), (model.transformer.ln_f, 3)):
        share = ones / width
        norm.weight.fill_((share - share**2) ** 0.5)
        norm.bias.fill_(share)
    queries, keys, values = block.attn.c_attn.weight.split(width, dim=1)
    for place in range(1, POSITIONS):
        queries[position + place, place - 1] = SHARPNESS
        keys[position + place - 1, place - 1] = SHARPNESS
    values[:V, :V] = torch.eye(V)
    block.attn.c_proj.weight[:V, previous : previous + V] = torch.eye(V)
    starts = {ids[":"]: None} | {ids[str(s)]: s for s in range(p)}
    unit = 0
    for before, s in starts.items():
        for x in task.symbols:
            following = task.first_states[x] if s is None else task.table[s, x]
            block.mlp.c_fc.weight[[ids[str(x)], previous + before], unit] = SHARPNESS
            block.mlp.c_fc.bias[unit] = -1.5 * SHARPNESS
            block.mlp.c_proj.weight[unit, answer + following] = 1.0
            unit += 1
    for value in range(p):
        model.lm_head.weight[ids[str(value)], answer + value] = 1.0
    return LanguageModel(model, tokenizer)
