// The maps through training: which network, which sequence, which head; and what that network predicts.

const MOST_AT_ONCE = 2; // maps side by side; the others are small and can be chosen

/** The stored maps and predictions of replay.py. */
class Replay {
  constructor({ facts, arrays }) {
    this.facts = facts;
    this.arrays = arrays;
    this.epochs = facts.replay.epochs;
  }

  sequences(length) {
    return this.arrays[`tokens.${length}`].shape[0];
  }

  /** Return what one stored network did with one test sequence. */
  view(stop, length, sequence) {
    const { facts, arrays } = this;
    const layout = new Layout(length, facts.cot);
    const size = layout.inputSize;
    const cells = (size * (size + 1)) / 2;
    const [, sequences, layers, heads] = arrays[`maps.${length}`].shape;
    const maps = arrays[`maps.${length}`].values;
    const start = (stop * sequences + sequence) * layers * heads;
    const part = (name, index, count) =>
      arrays[`${name}.${length}`].values.subarray(index * count, (index + 1) * count);
    const tokens = Array.from(part("tokens", sequence, size + 1));
    const targets = tokens.slice(layout.endOfInput + 1);
    return {
      layout,
      size,
      tokens,
      targets,
      names: tokens.map((token, place) => tokenName(facts, token, place)),
      predictions: Array.from(part("predictions", stop * sequences + sequence, targets.length)),
      when: `epoch ${this.epochs[stop]}`,
      weight: (layer, head, query, key) =>
        maps[(start + layer * heads + head) * cells + (query * (query + 1)) / 2 + key] / 255,
    };
  }
}

/** Return what a person reads for a token. */
function tokenName(facts, token, place) {
  const { eoi, eos, problems } = facts.ids;
  if (token === eoi) return "EoI";
  if (token === eos) return "EoS";
  if (place === 0) return problems.length > 1 ? `task ${problems.indexOf(token) + 1}` : "task";
  return String(token);
}

class Explorer {
  constructor(data, replay, state, colours, chain) {
    Object.assign(this, { facts: data.facts, arrays: data.arrays, replay, state, colours, chain });
    this.places = this.allHeads();
    this.offerSequences();
    this.layMaps();
    state.watch(["head"], () => this.layMaps());
    state.watch(["stop", "length", "sequence", "head", "theme", "own"], () => this.draw());
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth !== width) this.draw();
      width = window.innerWidth;
    });
  }

  allHeads() {
    const { layers, heads, best } = this.facts;
    const roleOf = (layer, head) =>
      ["second", "first"].find((role) => best && String(best[role === "first" ? 0 : 1]) === `${layer},${head}`) ?? null;
    return Array.from({ length: layers * heads }, (_, i) => {
      const [layer, head] = [Math.floor(i / heads), i % heads];
      return { layer, head, role: roleOf(layer, head) };
    });
  }

  /** What is shown: a stored network's view, or the chain that a person made. */
  view() {
    const { stop, length, sequence } = this.state.values;
    const own = sequence === "own" ? this.chain?.view() : null;
    return own ?? this.replay.view(stop, length, sequence === "own" ? 0 : sequence);
  }

  /** Show the chosen head, and beside it the other role's (with two heads, both). */
  layMaps() {
    const chosen = this.places.find(({ layer, head }) => this.state.get("head") === `${layer}.${head}`);
    const others = this.places.filter((place) => place !== chosen);
    const partner = others.find(({ role }) => role === "first") ?? others.find(({ role }) => role) ?? others[0];
    const shown = [partner, chosen].filter(Boolean).sort((a, b) => a.layer - b.layer || a.head - b.head);
    const names = shown.map(({ layer, head }) => `${layer}.${head}`).join(" ");
    if (names !== this.laid) {
      this.maps = shown.map((place) => new AttentionMap(place, this.colours, () => this.view()));
      byId("maps").replaceChildren(...this.maps.map((map) => map.element));
      this.laid = names;
    }
    for (const map of this.maps) {
      const isChosen = map.layer === chosen.layer && map.head === chosen.head;
      map.element.classList.toggle("chosen", isChosen && this.places.length > 1);
    }
    this.layThumbnails();
  }

  layThumbnails() {
    const place = byId("all-heads");
    place.hidden = this.places.length <= MOST_AT_ONCE;
    if (place.hidden) return;
    this.thumbnails ??= this.places.map((head) => {
      const name = headName(head.layer, head.head);
      const id = `${head.layer}.${head.head}`;
      const canvas = make("canvas", { width: 64, height: 64, "aria-hidden": "true" });
      const words = make("span", {}, `${head.layer + 1}.${head.head + 1}`);
      const attributes = { type: "button", "aria-label": `Show ${name}`, click: () => this.state.set({ head: id }) };
      return { ...head, id, canvas, offscreen: make("canvas"), button: make("button", attributes, canvas, words) };
    });
    byId("thumbnails").replaceChildren(...this.thumbnails.map(({ button }) => button));
  }

  draw() {
    const view = this.view();
    for (const map of this.maps) map.draw(this.sentence(map));
    for (const { id, canvas, offscreen, button, ...place } of byId("all-heads").hidden ? [] : this.thumbnails) {
      const frame = { left: 0, top: 0, cell: 64 / view.size, size: view.size };
      paintCells(canvas.getContext("2d"), offscreen, frame, view, place, this.colours);
      button.setAttribute("aria-pressed", String(id === this.state.get("head")));
    }
    const own = this.state.get("sequence") === "own";
    byId("own-note").hidden = !own;
    this.showPredictions(view);
  }

  /** Say how far a head plays its role in the network shown, over all test sequences of the evaluation. */
  sentence({ layer, head, role }) {
    if (!role)
      return this.facts.kinds[`${layer}.${head}`] ? `At the end: ${this.facts.kinds[`${layer}.${head}`]}.` : "";
    const epoch = this.replay.epochs[this.state.get("stop")];
    const { shape, values } = this.arrays.head_scores;
    const at = this.facts.curves.epochs.indexOf(epoch);
    const [, layers, heads, scores] = shape;
    const value = values[((at * layers + layer) * heads + head) * scores + (role === "first" ? 0 : 3)];
    const target = role === "first" ? "states look at EoI" : "steps look at x_t";
    return `${percent(value)} of ${target}.`;
  }

  offerSequences() {
    const lengths = this.facts.replay.lengths;
    const choose = (event) => {
      const length = Number(event.target.value);
      const sequence = Math.min(
        this.state.get("sequence") === "own" ? 0 : this.state.get("sequence"),
        this.replay.sequences(length) - 1,
      );
      this.state.set({ length, sequence });
    };
    byId("length").append(...lengths.map((length) => make("option", { value: length }, String(length))));
    byId("length").addEventListener("change", choose);
    byId("sequence").addEventListener("change", (event) => {
      const chosen = event.target.value;
      this.state.set({ sequence: chosen === "own" ? chosen : Number(chosen) });
    });
    this.state.watch(["length", "sequence", "own"], () => {
      const { length, sequence } = this.state.values;
      const stored = Array.from({ length: this.replay.sequences(length) }, (_, i) =>
        make("option", { value: i }, `test ${i + 1}`),
      );
      const own = this.chain?.view() ? [make("option", { value: "own" }, "your own")] : [];
      byId("sequence").replaceChildren(...stored, ...own);
      byId("sequence").value = sequence;
      byId("length").value = length;
    });
  }

  /** Lay the predicted states beside the true ones. */
  showPredictions({ layout, tokens, targets, predictions, when }) {
    const { facts } = this;
    const steps = targets.map((_, i) => i + 1);
    const cells = (kind, values) => values.map((value) => make(kind, {}, ...[value].flat()));
    const row = (name, values) => make("tr", {}, make("th", { scope: "row" }, ...typeset(name)), ...values);
    const inputs = steps.map((step) => (layout.cot && step <= layout.length ? String(tokens[step]) : ""));
    const wrong = predictions.filter((token, i) => token !== targets[i]).length;
    const predicted = predictions.map((token, i) => {
      const name = tokenName(facts, token, 1);
      if (token === targets[i]) return make("td", {}, name);
      return make("td", { class: "wrong" }, name, make("span", { class: "unseen" }, " wrong"));
    });
    const heads = steps.map((step, i) =>
      make("th", { scope: "col" }, i === targets.length - 1 ? "end" : facts.cot ? String(step) : "L"),
    );
    byId("predictions").replaceChildren(
      make("thead", {}, row("step t", heads)),
      make(
        "tbody",
        {},
        ...(facts.cot ? [row("input x_t", cells("td", inputs))] : []),
        row(
          "true s_t",
          cells(
            "td",
            targets.map((token) => tokenName(facts, token, 1)),
          ),
        ),
        row("predicted", predicted),
      ),
    );
    const count = wrong === 0 ? "all right" : `${wrong} of ${targets.length} wrong`;
    const before = this.state.get("sequence") === "own" ? "tokens it wrote" : "true tokens";
    setText(
      byId("predictions-text"),
      `The network, ${when}: ${count}. Each token is predicted after the ${before} before it.`,
    );
  }
}
