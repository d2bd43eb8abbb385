// What the shown query looks at, in words and bars, and what the model writes there.

const MOST_RIVALS = 6;

class Reading {
  constructor(state, getView) {
    Object.assign(this, { state, getView });
    state.watch(["example", "place", "step", "pointed", "answers"], () => this.fill());
  }

  fill() {
    const view = this.getView();
    const { example, role, step, weights, keys, answers } = view;
    const pointed = this.state.get("pointed");
    const doing = role === "iteration" ? `the token before s_${step}` : `s_${step}, its last token`;
    const parts = [
      make("p", {}, make("b", {}, ...typeset(`Step t = ${step}`)), ". ", ...typeset(`Query: ${doing}, ${quoted(example.tokens[keys.query])}.`)),
    ];
    if (weights) parts.push(this.bars(view));
    if (role === "iteration")
      parts.push(make("p", {}, ...typeset(`To write s_${step}, the model ${answerText(example, answers, step)}`)));
    if (weights && pointed >= 0) parts.push(make("p", { class: "quiet" }, ...typeset(this.tokenText(view, pointed))));
    byId("reading").replaceChildren(...parts);
  }

  /** One bar for the key of the role, and one for each competing key. */
  bars({ role, step, weights, keys, rival }) {
    const target = role === "iteration" ? `x_${step}` : "end of input";
    const same = (span) => span[0] >= keys.ideal[0] && span[1] <= keys.ideal[1];
    const others = keys.rivals
      .map((other) => ({ ...other, weight: sumOf(weights, other.span) }))
      .sort((a, b) => Number(b.name === rival?.name) - Number(a.name === rival?.name) || b.weight - a.weight)
      .slice(0, MOST_RIVALS);
    return make(
      "ul",
      { class: `bars ${ROLE_COLOURS[role]}` },
      this.bar(target, keys.ideal, sumOf(weights, keys.ideal), "ideal"),
      ...others.map(({ name, span, weight }) =>
        this.bar(same(span) ? `${name} (here ${target})` : name, span, weight, name === rival?.name ? "rival" : ""),
      ),
    );
  }

  bar(name, span, weight, kind) {
    const fill = make("span", { class: "fill" });
    fill.style.width = `${Math.round(100 * Math.min(1, weight))}%`;
    return make(
      "li",
      {
        class: kind,
        pointerenter: () => this.state.set({ highlighted: span }),
        pointerleave: () => this.state.set({ highlighted: null }),
      },
      make("span", { class: "name" }, ...typeset(name)),
      make("span", { class: "track", "aria-hidden": "true" }, fill),
      make("b", {}, weightText(weight)),
    );
  }

  tokenText({ example, weights, keys }, place) {
    const name = example.name(place);
    const token = `${name ? `${name}: ` : ""}${quoted(example.tokens[place])}`;
    if (place > keys.query) return `${token} comes later, so the query cannot see it.`;
    const roles = keys.rivals.filter(({ span: [from, to] }) => place >= from && place < to).map((rival) => rival.name);
    return `${token} has weight ${weightText(weights[place])}${roles.length ? ` (${roles.join(", ")})` : ""}.`;
  }
}

/** Say what the model answers at a step. */
function answerText(example, answers, step) {
  const answer = quoted(answers.answers[step - 1]);
  const when = answers.name ? ` (${answers.name})` : "";
  if (answers.right[step - 1]) return `answers ${answer}${when}, which is right.`;
  const follows = answers.follows[step - 1] ? ", as F predicts under the intervention" : "";
  return `answers ${answer}${when}${follows}; right is ${quoted(example.right[step - 1])}.`;
}
