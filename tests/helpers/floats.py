"""The network of section 4 once more, token by token with Python's floats: slow, plain, and sharing no code."""

import math


def row_times(row, matrix):
    return [sum(a * line[j] for a, line in zip(row, matrix, strict=True)) for j in range(len(matrix[0]))]


def plus(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def normalized(x, kind, weight):
    if kind == "none":
        return x
    mean = sum(x) / len(x) if kind == "layer" else 0.0
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return [(v - mean) / math.sqrt(variance + 1e-5) * w for v, w in zip(x, weight, strict=True)]


def gelu(x):
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def softmax(scores):
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def turned(x, position, coordinates):
    """Rotary: the pair (2j, 2j+1) is turned by position / 10000^(2j / C), for the first C coordinates."""
    x = list(x)
    for j in range(0, coordinates, 2):
        angle = position / 10000 ** (j / coordinates)
        a, b = x[j], x[j + 1]
        x[j] = a * math.cos(angle) - b * math.sin(angle)
        x[j + 1] = a * math.sin(angle) + b * math.cos(angle)
    return x


def attention(stream, weights, block, config):
    """What attention adds at each position, from the normalized stream (one list of floats for each position)."""
    size = config.width // config.heads
    turn = (config.position_width or config.width) // config.heads
    joined = [[] for _ in stream]
    for head in range(config.heads):
        part = slice(head * size, (head + 1) * size)
        q, k, v = ([row_times(x, weights[f"{block}.attn.W_{name}"])[part] for x in stream] for name in "QKV")
        if config.positions == "rotary":
            q, k = ([turned(x, position, turn) for position, x in enumerate(xs)] for xs in (q, k))
        for i in range(len(stream)):
            scores = [sum(a * b for a, b in zip(q[i], k[j], strict=True)) / math.sqrt(size) for j in range(i + 1)]
            pattern = softmax(scores)
            joined[i] += [sum(a * v[j][c] for j, a in enumerate(pattern)) for c in range(size)]
    return [row_times(z, weights[f"{block}.attn.W_O"]) for z in joined]


def logits(weights, config, tokens):
    """Return the logits [T][V] of `tokens`; `weights` are nested lists by the names of the state_dict."""
    stream = [list(weights["embed.W_E"][token]) for token in tokens]
    if config.positions in ("learned", "frozen", "sinusoidal"):
        for position, x in enumerate(stream):
            for c, value in enumerate(weights["pos_embed.W_pos"][position]):
                x[c] += value

    def norm(name, x):
        return normalized(x, config.norm, weights.get(f"{name}.w"))

    for layer in range(config.layers):
        block = f"blocks.{layer}"
        normal = [norm(f"{block}.ln1", x) for x in stream]
        if config.residual == "published":
            stream = normal
        stream = [plus(x, added) for x, added in zip(stream, attention(normal, weights, block, config), strict=True)]
        for i, x in enumerate(stream):
            hidden = row_times(norm(f"{block}.ln2", x), weights[f"{block}.mlp.W_in"])
            stream[i] = plus(x, row_times([gelu(h) for h in hidden], weights[f"{block}.mlp.W_out"]))
    return [row_times(norm("ln_final", x), weights["unembed.W_U"]) for x in stream]
