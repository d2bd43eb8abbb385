// The heads, the claims, and how the run was made.

const HEAD_COLUMNS = ["peakiness", "weight", "invariance"];

/** Every head with its scores for both roles, in the network shown. */
class HeadsTable {
  constructor({ facts, arrays }, replay, state) {
    Object.assign(this, { facts, scores: arrays.head_scores, replay, state });
    byId("heads-part").hidden = !facts.best;
    if (!facts.best) return;
    this.rows = this.layRows();
    state.watch(["stop"], () => this.fill());
    state.watch(["head"], () => this.mark());
  }

  layRows() {
    const { layers, heads, best, kinds } = this.facts;
    const rows = [];
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) {
        const id = `${layer}.${head}`;
        const choose = () => this.state.set({ head: id });
        const button = make("button", { type: "button", class: "link" }, headName(layer, head));
        const cells = Array.from({ length: 2 * HEAD_COLUMNS.length }, () => make("td", { class: "number" }));
        const roles = ["first", "second"].filter((_, i) => String(best[i]) === `${layer},${head}`);
        const role = roles.map((name) => make("span", { class: `role ${name}` }, ROLE_NAMES[name]));
        const row = make(
          "tr",
          { click: choose },
          make("th", { scope: "row" }, button),
          make("td", {}, ...role),
          ...cells,
          make("td", { class: "quiet" }, kinds[id] ?? ""),
        );
        rows.push({ id, layer, head, button, row, cells });
      }
    }
    byId("heads").tBodies[0].replaceChildren(...rows.map(({ row }) => row));
    return rows;
  }

  fill() {
    const epoch = this.replay.epochs[this.state.get("stop")];
    const [, layers, heads, count] = this.scores.shape;
    const at = this.facts.curves.epochs.indexOf(epoch);
    byId("heads-when").textContent = `epoch ${epoch}`;
    for (const { layer, head, cells } of this.rows) {
      const start = ((at * layers + layer) * heads + head) * count;
      cells.forEach((cell, i) => (cell.textContent = score(this.scores.values[start + i])));
    }
  }

  mark() {
    for (const { id, button, row } of this.rows) {
      const chosen = id === this.state.get("head");
      button.setAttribute("aria-pressed", String(chosen));
      row.classList.toggle("chosen", chosen);
    }
  }
}

function showClaims(facts) {
  byId("claims-part").hidden = !facts.cot;
  byId("claims").hidden = !facts.claims;
  if (!facts.claims) {
    setText(
      byId("claims-text"),
      `Not checked yet: iterhead verify ${facts.run.name}, then iterhead report ${facts.run.name}.`,
    );
    return;
  }
  const { claims, circuit } = facts.claims;
  setText(byId("claims-text"), `${capital(circuit)}. Of ${claims.length} claims, ${verdictCounts(claims)}.`);
  fillClaims(byId("claims"), [{ claims }]);
}

/** Say how the numbers were made, what is not in the page, and how to make the run again. */
function showOrigin({ run, replay, network, curves }) {
  const tested = curves.sampled
    ? `the first ${counted(curves.sequences, "test sequence")} of each length (or all)`
    : "all test sequences";
  const settings = { ...run.settings, ...run.settings.data, ...run.settings.model, ...run.settings.training };
  const versions = Object.entries(run.versions).map(([name, value]) => `${name} ${value}`);
  const sentences = [
    `Test sequences were ${run.origin}.`,
    `Curves, and scores of heads: on ${tested}; means over lengths from ${curves.from} on.`,
    network.shape &&
      `The network in this page has its ${network.parameters.toLocaleString("en")} weights rounded to 16 bits; ` +
        `so rounded it gets ${percent(network.exact)} of the chains right that the interventions are measured on.`,
    ...replay.left_out,
    "Nothing is loaded from elsewhere, and nothing leaves this page.",
  ];
  byId("origin").replaceChildren(...sentences.filter(Boolean).map((sentence) => make("li", {}, ...typeset(sentence))));
  byId("settings").replaceChildren(...pairs(settings));
  const state = `Run ${run.name}: ${run.state} at epoch ${run.epoch}, ${run.seconds.toFixed(0)} s of training`;
  setText(byId("versions"), `${[state, versions.join(", ")].filter(Boolean).join("; ")}.`);
  byId("command").textContent = run.command;
  byId("command-part").hidden = !run.command;
}
