// The network at work: a person's input, the chain of thought token by token, and interventions.

const PAUSE_BETWEEN_TOKENS = 330; // milliseconds

class Chain {
  constructor({ facts, arrays }, replay, state) {
    const choices = { first: "own", second: "own" };
    Object.assign(this, { facts, arrays, replay, state, choices, layout: null, timer: null });
    byId("chain-part").hidden = !facts.network.shape && !facts.interventions;
    this.layInterventions();
    if (!facts.network.shape) {
      byId("machine").hidden = true;
      setText(byId("no-network"), facts.network.left_out);
      return;
    }
    this.arcs = new Arcs(this);
    this.layForm();
  }

  /** Set up the network and let it write a first chain. */
  begin() {
    if (!this.facts.network.shape) return;
    const weights = Object.keys(this.arrays).filter((name) => name.startsWith("weights."));
    const named = weights.map((name) => [name.slice("weights.".length), fromFloat16(this.arrays[name].values)]);
    this.network = new Network(this.facts.network.shape, Object.fromEntries(named));
    const stored = this.facts.replay.lengths;
    const length = stored.findLast((length) => length <= 8) ?? stored[0];
    const { tokens } = this.replay.view(0, length, 0);
    byId("inputs").value = tokens.slice(1, length + 1).join(" ");
    byId("component").value = this.facts.ids.problems.indexOf(tokens[0]);
    this.explainInput();
    this.write({ slowly: false });
  }

  // ---- the input

  layForm() {
    const { components } = this.facts.task;
    byId("component").append(...components.map((part, i) => make("option", { value: i }, part.name)));
    byId("component-part").hidden = components.length === 1;
    byId("component").addEventListener("change", () => this.explainInput());
    byId("chain-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.write({ slowly: true });
    });
    byId("next-token").addEventListener("click", () => this.writeNext());
    byId("example").addEventListener("click", () => {
      const length = this.layout?.length ?? this.longest();
      const { symbols } = this.component();
      const inputs = Array.from({ length }, () => symbols[Math.floor(Math.random() * symbols.length)]);
      byId("inputs").value = inputs.join(" ");
      this.write({ slowly: true });
    });
  }

  component() {
    return this.facts.task.components[Number(byId("component").value || 0)];
  }

  /** The longest input whose chain fits the positions that the network knows. */
  longest() {
    const { context } = this.facts.network.shape;
    let length = 1;
    while (new Layout(length + 1, this.facts.cot).inputSize <= context) length++;
    return length;
  }

  explainInput() {
    const { symbols, formula } = this.component();
    const [least, most] = [symbols[0], symbols.at(-1)];
    const range = symbols.length === most - least + 1 ? `from ${least} to ${most}` : `among ${symbols.join(", ")}`;
    const lengths = spanText(this.facts.lengths[0], this.facts.lengths.at(-1));
    const rule = formula ? ` The task: s_t = ${formula}.` : "";
    setText(
      byId("inputs-help"),
      `Up to ${this.longest()} numbers ${range}, with spaces between; trained on ${lengths}.${rule}`,
    );
  }

  /** Return {inputs}, or {problem}: what is wrong with a text, in one sentence. */
  parse(text) {
    const words = text
      .trim()
      .split(/[\s,;]+/)
      .filter(Boolean);
    const { symbols } = this.component();
    const allowed =
      symbols.length > 12 ? `a number from ${symbols[0]} to ${symbols.at(-1)}` : `one of ${symbols.join(", ")}`;
    if (!words.length) return { problem: "Nothing to read: give at least one number." };
    const wrong = words.findIndex((word) => !/^\d+$/.test(word) || !symbols.includes(Number(word)));
    if (wrong >= 0) return { problem: `x_${wrong + 1} is ${words[wrong].slice(0, 20)}: expected ${allowed}.` };
    const { context } = this.facts.network.shape;
    if (words.length > this.longest()) {
      const most = `at most ${this.longest()}, as the network knows ${context} positions`;
      return { problem: `${words.length} numbers: expected ${most}.` };
    }
    return { inputs: words.map(Number) };
  }

  // ---- writing

  /** Read the input and write the chain, at once or token by token; return whether the input is legal. */
  write({ slowly }) {
    const { inputs, problem } = this.parse(byId("inputs").value);
    byId("problem").hidden = !problem;
    byId("inputs").setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem) {
      setText(byId("problem"), problem);
      return false;
    }
    this.read(inputs);
    if (slowly && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.show();
      this.timer = setInterval(() => this.writeNext({ byTimer: true }), PAUSE_BETWEEN_TOKENS);
    } else {
      while (!this.finished()) this.advance();
      this.selected = Math.floor((this.written.length - 1) / 2);
      this.show();
    }
    return true;
  }

  /** Let the network read the task token, the inputs and EoI. */
  read(inputs) {
    clearInterval(this.timer);
    const { ids, cot, best } = this.facts;
    this.layout = new Layout(inputs.length, cot);
    this.prompt = [ids.problems[Number(byId("component").value || 0)], ...inputs, ids.eoi];
    this.truth = this.trueTargets(inputs);
    this.intervention = new Intervention(this.layout, best, this.choices);
    this.written = [];
    this.rows = [];
    this.selected = -1;
    this.network.begin();
    for (const token of this.prompt) this.feed(token);
  }

  trueTargets(inputs) {
    const { table, first } = this.component();
    const states = [];
    for (const x of inputs) states.push(states.length ? table[states.at(-1)][x] : first[x]);
    return [...states.slice(-this.layout.written), this.facts.ids.eos];
  }

  feed(token) {
    const { logits, rows } = this.network.step(token, this.intervention);
    this.rows.push(rows);
    this.next = argmax(logits);
  }

  finished() {
    return this.written.length === this.truth.length || this.written.at(-1) === this.facts.ids.eos;
  }

  /** Write one token. */
  advance() {
    this.written.push(this.next);
    this.selected = this.written.length - 1;
    if (!this.finished()) this.feed(this.next);
  }

  writeNext({ byTimer = false } = {}) {
    if (!byTimer) clearInterval(this.timer);
    if (!this.finished()) this.advance();
    if (this.finished()) clearInterval(this.timer);
    this.show();
  }

  show() {
    byId("next-token").disabled = this.finished();
    this.arcs.draw();
    const wrong = this.truth.filter((token, i) => token !== this.written[i]).length; // what is missing is wrong, too
    const what = this.facts.cot ? "chain" : "answer";
    const [text, look] = !this.finished()
      ? ["Writing.", ""]
      : wrong
        ? [`The ${what} is wrong: ${counted(wrong, "token")} of ${this.truth.length}.`, "bad"]
        : [`The whole ${what} is right.`, "good"];
    byId("chain-verdict").textContent = text;
    byId("chain-verdict").className = look;
    this.state.set({ own: `${this.prompt}|${this.written}|${this.choices.first}|${this.choices.second}` });
  }

  /** What the explorer shows of this chain, once it is written. */
  view() {
    if (!this.layout || !this.finished()) return null;
    const { facts } = this;
    const tokens = [...this.prompt, ...this.written];
    return {
      layout: this.layout,
      size: this.rows.length,
      tokens,
      targets: this.truth,
      names: tokens.map((token, place) => tokenName(facts, token, place)),
      predictions: this.truth.map((_, i) => this.written[i] ?? facts.ids.eos),
      when: `your own input, epoch ${facts.run.epoch}`,
      weight: (layer, head, query, key) => this.rows[query][layer][head][key],
    };
  }

  // ---- interventions

  layInterventions() {
    byId("interventions-part").hidden = !this.facts.interventions;
    if (!this.facts.interventions) return;
    for (const role of ["first", "second"]) {
      const [layer, head] = this.facts.best[role === "first" ? 0 : 1];
      const labels = this.facts.interventions.names.map((name) => {
        const change = () => this.choose({ ...this.choices, [role]: name });
        const button = make("input", { type: "radio", name: role, value: name, checked: name === "own", change });
        return make("label", { title: INTERVENTIONS[name].about }, button, make("span", {}, INTERVENTIONS[name].label));
      });
      const legend = make(
        "legend",
        {},
        `${capital(ROLE_NAMES[role])} `,
        make("span", { class: "quiet" }, headName(layer, head)),
      );
      byId(`choice-${role}`).replaceChildren(legend, ...labels);
    }
    this.showMeasured();
  }

  choose(choices) {
    this.choices = choices;
    this.showMeasured();
    if (this.network && this.layout) {
      const selected = this.selected;
      this.read(this.prompt.slice(1, -1));
      while (!this.finished()) this.advance();
      this.selected = Math.min(Math.max(selected, 0), this.written.length - 1);
      this.show();
    }
  }

  showMeasured() {
    const { accuracies, sequences, lengths, chance } = this.facts.interventions;
    const { first, second } = this.choices;
    const { exact, states } = accuracies[`${first}.${second}`];
    for (const [id, share] of [
      ["exact", exact],
      ["states", states],
    ]) {
      byId(id).value = share;
      byId(`${id}-text`).textContent = percent(share);
    }
    const asItIs = accuracies["own.own"].exact;
    const span = spanText(...lengths);
    const sentences = [
      `Measured on ${counted(sequences, "test sequence")}, ${span}, with the true states before each prediction.`,
      `As trained: ${percent(asItIs)} of chains.`,
      `Who knows s_{t-1} but not x_t gets ${percent(chance)} of states at best.`,
    ];
    setText(byId("measured"), sentences.join(" "));
  }
}
