"""Facts for the page of a scan, made without a scan: plain scores on a few prompts, and interventions on two heads."""

import torch

from iterhead.intervene.activations import ablate_head, replace
from iterhead.prompts import span_mask
from iterhead.report.scan_examples import FIRST, Intervention, page_examples
from iterhead.scans.passes import first_answers
from iterhead.tasks import next_states, states_before


def page_of(model, batches, first, second, **changes):
    """Facts and examples of a model in which `first` and `second` are the heads to look at."""
    examples = page_examples(model, batches, lambda batch: interventions(model, batch, second))
    facts = {
        "verdict": "iteration-head",
        "sentence": "An iteration head: it looks at x_t. Its answers follow F.",
        "behaviour": {
            **{
                "teacher_forced": 1.0,
                "teacher_forced_interval": [0.99, 1.0],
                "free": 0.96,
                "free_interval": [0.9, 1.0],
            },
            **{"guess": 0.5, "by_length": {str(len(e.right)): {"teacher_forced": 1.0, "free": 0.96} for e in examples}},
        },
        "heads": scores(examples, model.heads),
        "causal": [
            {"intervention": "none", "heads": [], "accuracy": 1.0, "follows": None, "low": 0.99, "high": 1.0},
            {"intervention": "ablated", "heads": [second], "accuracy": 0.5, "follows": None, "low": 0.4, "high": 0.6},
            *(
                {"intervention": f"looking at x_{{t+1}}{of}", "heads": heads, "accuracy": 0.4, "follows": follows}
                | {"low": follows - 0.05, "high": min(1.0, follows + 0.05)}
                for of, heads, follows in (("", [second], 0.98), (", random heads", [], 0.1))
            ),
        ],
        "model": {"name": "planted GPT-2", "class": "GPT2LMHeadModel", "layers": model.layers, "heads": model.heads},
        "settings": {"task": batches[0].task.name, "form": batches[0].form, "lengths": [b.length for b in batches]},
        "notes": ["Prompts are token ids in the layout of iterhead's own networks."],
        **changes,
    }
    return facts, examples


def scores(examples, heads):
    """Every head in both roles, best first: its weight on the role's key less the best competing one, over examples."""
    rows = []
    for role in ("iteration", "first"):
        own, others = 0.0, {}
        for example in examples:
            keys, tokens = example.keys[role], len(example.tokens)
            at = [example.rows.tolist().index(query) for query in keys.queries_PQ[0]]
            maps = torch.from_numpy(example.maps[:, at]) / 255

            def mean(spans, maps=maps, tokens=tokens):
                return (maps * torch.from_numpy(span_mask(spans, tokens))).sum(-1).mean(-1) / len(examples)

            own = own + mean(keys.target_PQ2[0])
            for name, spans in keys.others.items():
                others[name] = others.get(name, 0) + mean(spans[0])
        for index, weight in enumerate(own.tolist()):
            competing = max(others, key=lambda name, index=index: others[name][index])
            score = weight - float(others[competing][index])
            row = {"layer": index // heads, "head": index % heads, "role": role, "score": score, "weight": weight}
            spread = {"low": score - 0.03, "high": min(1.0, score + 0.03), "peakiness": float(weight > 0.5)}
            p = {"p": 0.001 if score > 0.5 else 0.7, "significant": score > 0.5}
            rows.append({**row, **spread, "competing": competing, **p})
    return sorted(rows, key=lambda row: -row["score"])


def interventions(model, batch, head):
    """The head ablated; redirected to x_{t+1}, with F's prediction; and an edited prompt."""
    layer, index = head
    spans = batch.input_spans_BL2[0]

    def redirected(_rows, _tokens):
        def new(pattern):
            moved = pattern.clone()
            for step in range(batch.length - 1):
                if spans[step + 1, 1] <= batch.queries_BL[0, step] + 1:
                    moved[..., step, :] = 0
                    moved[..., step, spans[step + 1, 0]] = 1
            return moved

        return replace(f"blocks.{layer}.attn.hook_pattern", new, head=index)

    def answers(make_hooks):
        return first_answers(model, batch, make_hooks, only=FIRST)[0].tolist()

    table = next_states(batch.task)[0]
    following = table[states_before(batch.task, batch.states_BL)[:, :-1], batch.inputs_BL[:, 1:]]
    predicted = batch.states_BL.copy()
    predicted[:, :-1], predicted[:, -1] = following, -1
    made = {
        "head ablated": Intervention(
            answers=answers(lambda _rows, _tokens: ablate_head(layer, index)), about="Its output is zero."
        ),
        "looking at x_{t+1}": Intervention(
            answers=answers(redirected), predicted_BL=predicted, about="The head looks one step too far."
        ),
    }
    if batch.length > 1:
        edited = batch.with_state(1, (batch.states_BL[:, 0] + 1) % batch.task.alphabet)
        made["a written state replaced"] = Intervention(batch=edited, predicted_BL=edited.next_states_BL)
    return made
