// Where the ideal circuit looks, and replacements of the two heads' attention: what intervene/patterns.py does, for one
// sequence of the page's own network.

/** The geometry of a sequence of `length` inputs, as tasks/layout.py has it. */
class Layout {
  constructor(length, cot) {
    this.length = length;
    this.cot = cot;
    this.endOfInput = length + 1;
    this.written = cot ? length : 1;
    this.inputSize = this.endOfInput + this.written + 1; // without EoS
  }

  /** The key that a role's ideal head looks at from a query, or -1 where it has none. */
  idealKey(role, query) {
    if (!this.cot) return -1;
    if (role === "first") return query > this.endOfInput && query < this.inputSize ? this.endOfInput : -1;
    return query >= this.endOfInput && query < this.endOfInput + this.length ? query - this.length : -1;
  }

  /** What a position holds, in words: `x_3`, `EoI`, `s_2`. */
  name(position) {
    if (position === 0) return "the task token";
    if (position < this.endOfInput) return `x_${position}`;
    if (position === this.endOfInput) return "EoI";
    const step = this.cot ? position - this.endOfInput : "L";
    return position >= this.inputSize ? "EoS" : `s_${step}`;
  }
}

const INTERVENTIONS = {
  own: { label: "its own", about: "as trained" },
  ideal: { label: "ideal", about: "exactly where the circuit wants it" },
  random: { label: "random", about: "anywhere: one key drawn for each token" },
  shifted: { label: "one too far", about: "one position behind the ideal one" },
  off: { label: "no head", about: "the head adds nothing" },
};

/** The two heads' replacements in a forward pass; best: [layer, head] of both; choices: names in INTERVENTIONS by role. */
class Intervention {
  constructor(layout, best, choices) {
    this.layout = layout;
    this.parts = best ? ["first", "second"].map((role, i) => ({ role, head: best[i], kind: choices[role] })) : [];
    this.draw = drawing(1);
  }

  row(layer, head, weights, query) {
    for (const {
      role,
      head: [l, h],
      kind,
    } of this.parts) {
      if (l === layer && h === head) this.rewrite(role, kind, weights, query);
    }
  }

  silent(layer, head) {
    return this.parts.some(({ head: [l, h], kind }) => l === layer && h === head && kind === "off");
  }

  rewrite(role, kind, weights, query) {
    let key = -1;
    if (kind === "random") key = Math.floor(this.draw() * (query + 1));
    if (kind === "ideal" || kind === "shifted") {
      const ideal = this.layout.idealKey(role, query);
      key = ideal < 0 || kind === "ideal" ? ideal : ideal + 1;
    }
    if (key < 0 || key > query) return;
    weights.fill(0);
    weights[key] = 1;
  }
}

/** Return a source of numbers in 0 .. 1, the same for the same seed (a xorshift of 32 bits). */
function drawing(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
