// A prompt as its tokens: shaded by the attention of one query of one head, the role's key outlined.

const CONTROL_PICTURES = 0x2400; // code of the picture of U+0000
const [DELETE, DELETE_PICTURE] = [0x7f, "\u2421"];

/** One prompt with the attention of a head. */
class Example {
  constructor({ facts, arrays }, index) {
    Object.assign(this, facts.examples[index]);
    this.maps = arrays[`maps.${index}`];
    this.rowOf = new Map(this.rows.map((position, row) => [position, row]));
  }

  /** Return the weights [T] of the query of a step; null for a head that is not stored. */
  weights(mapIndex, role, step) {
    if (mapIndex === undefined) return null;
    const [, rows, tokens] = this.maps.shape;
    const row = this.rowOf.get(this.keys[role].queries[step - 1]);
    const start = (mapIndex * rows + row) * tokens;
    return Array.from(this.maps.values.subarray(start, start + tokens), (byte) => byte / 255);
  }

  /** Return the keys of a step: {query, ideal: [start, end), rivals: [{name, span}]}. */
  at(role, step, competing) {
    const { queries, ideal, competing: others } = this.keys[role];
    const query = queries[step - 1];
    const spans = Object.entries(others).map(([name, byStep]) => ({ name, span: byStep[step - 1] }));
    const back = /^(\d+) tokens back$/.exec(competing ?? "");
    if (back) spans.push({ name: competing, span: [query - back[1], query - back[1] + 1] });
    const rivals = spans.filter(({ span: [from, to] }) => from >= 0 && to > from);
    return { query, ideal: ideal[step - 1], rivals };
  }

  /** Return the name of a token by its place, such as `x_3`; "" for the others. */
  name(place) {
    const inSpan = ([from, to]) => place >= from && place < to;
    const input = this.inputs.findIndex(inSpan);
    if (input >= 0) return `x_${input + 1}`;
    const state = this.states.findIndex(inSpan);
    if (state >= 0) return `s_${state + 1}`;
    return inSpan(this.marker) ? "end" : "";
  }

  /** Return the step of an input or a written state; 0 for other tokens. */
  step(place) {
    const name = this.name(place);
    return /_/.test(name) ? Number(name.slice(2)) : 0;
  }

  text([from, to]) {
    return this.tokens.slice(from, to).map(visible).join("");
  }
}

/** Return a text with pictures of characters that cannot be seen. */
function visible(text) {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0);
    if (character === "\n") return "⏎";
    if (character === "\t") return "⇥";
    if (code < 0x20) return String.fromCodePoint(CONTROL_PICTURES + code);
    if (code === DELETE) return DELETE_PICTURE;
    if (code > DELETE && code < 0xa0) return `\\x${code.toString(16)}`;
    return character;
  }).join("");
}

/** Return a token between quotation marks, in one line. */
const quoted = (text) => `“${visible(text).replaceAll(" ", "\u00a0")}”`;

const sumOf = (weights, [from, to]) => weights.slice(from, to).reduce((sum, weight) => sum + weight, 0);

class PromptText {
  /** getView: returns what is shown (see scan.js). */
  constructor(state, colours, getView) {
    Object.assign(this, { state, colours, getView });
    this.box = byId("prompt");
    this.box.addEventListener("pointerover", (event) => this.point(event));
    this.box.addEventListener("pointerleave", () => this.state.set({ pointed: -1 }));
    this.box.addEventListener("click", (event) => this.pick(event));
    this.box.addEventListener("keydown", (event) => this.move(event));
    state.watch(["example", "answers"], () => this.lay());
    state.watch(["example", "answers", "place", "step", "theme", "pointed", "highlighted"], () => this.paint());
  }

  lay() {
    const { example, answers } = this.getView();
    const edited = answers?.edited ?? {};
    this.elements = example.tokens.map((token, place) => {
      const name = example.name(place);
      const isFirst = name !== (place ? example.name(place - 1) : "");
      const label = name && isFirst ? [make("small", {}, ...typeset(name))] : [];
      const kind = name.startsWith("x") ? "input" : name.startsWith("s_") ? "state" : name ? "marker" : "";
      const classes = `tok ${kind}${place in edited ? " edited" : ""}${place < example.start ? " before" : ""}`;
      const text = make("span", { class: "text" }, visible(edited[place] ?? token));
      return make("span", { class: classes, "data-place": place }, text, ...label);
    });
    const breaks = this.elements.flatMap((element, place) =>
      example.tokens[place].includes("\n") ? [element, make("br")] : [element],
    );
    this.box.replaceChildren(...breaks);
  }

  paint() {
    const { role, weights, keys, rival, highlighted } = this.getView();
    const ramp = this.colours.ramps[ROLE_COLOURS[role]];
    this.elements.forEach((element, place) => {
      const inSpan = (span) => span && place >= span[0] && place < span[1];
      element.classList.toggle("query", place === keys.query);
      element.classList.toggle("ideal", Boolean(inSpan(keys.ideal)));
      element.classList.toggle("rival", Boolean(inSpan(rival?.span)) && !inSpan(keys.ideal));
      element.classList.toggle("later", place > keys.query);
      element.classList.toggle("pointed", place === this.state.get("pointed") || Boolean(inSpan(highlighted)));
      const colour = weights && ramp[level(weights[place])];
      element.firstChild.style.background = colour && place <= keys.query ? `rgb(${colour.join(" ")})` : "";
      element.firstChild.style.color = colour && place <= keys.query ? readable(colour) : "";
    });
    this.keepInSight(this.elements[keys.query]);
  }

  keepInSight(element) {
    const { offsetTop: top, offsetHeight: height } = element;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop || top + height > scrollTop + clientHeight) this.box.scrollTop = top - clientHeight / 2;
  }

  placeOf(event) {
    const element = event.target.closest("[data-place]");
    return element ? Number(element.dataset.place) : -1;
  }

  point(event) {
    this.state.set({ pointed: this.placeOf(event) });
  }

  pick(event) {
    const place = this.placeOf(event);
    const step = place < 0 ? 0 : this.getView().example.step(place);
    if (step) this.state.set({ step });
  }

  move(event) {
    const change = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!change) return;
    event.preventDefault();
    const { example } = this.getView();
    this.state.set({ step: Math.min(Math.max(this.state.get("step") + change, 1), example.length) });
  }
}
