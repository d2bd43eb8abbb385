// The runs of the chosen cell, seed by seed; and the chosen one with its settings, versions and commands.

class RunList {
  constructor(cells, state) {
    Object.assign(this, { cells, state });
    state.watch(["cell"], () => this.fill());
    state.watch(["cell", "seed"], () => this.show());
  }

  fill() {
    const index = this.state.get("cell");
    setText(byId("cell-text"), `${capital(this.cells.place(index))}: ${this.cells.seedsText(index)} measured.`);
    byId("no-peakiness").hidden = this.cells.hasChain(index);
    this.rows = this.cells.list[index].seeds.map((seed, i) => this.row(index, seed, i));
    byId("runs").tBodies[0].replaceChildren(...this.rows.map(({ row }) => row));
  }

  row(index, seed, i) {
    const run = this.cells.list[index].runs[i];
    const state = this.cells.state(run);
    const whole = (name, unit = "") => {
      const value = this.cells.value(run, name);
      return Number.isNaN(value) ? "–" : `${Math.round(value).toLocaleString("en")}${unit}`;
    };
    const button = make("button", { type: "button", class: "link", "aria-label": `Seed ${seed}` }, String(seed));
    const row = make(
      "tr",
      { click: () => this.state.set({ seed: i }) },
      make("th", { scope: "row" }, button),
      make("td", {}, make("code", {}, this.cells.facts.names[run])),
      make("td", { class: state === "finished" ? "" : "quiet" }, state),
      ...["accuracy", "second_peakiness", "first_peakiness"].map((name) =>
        make("td", { class: "number" }, score(this.cells.value(run, name))),
      ),
      make("td", { class: "number" }, whole("epochs")),
      make("td", { class: "number" }, whole("emerged")),
      make("td", { class: "number" }, whole("train_seconds", " s")),
    );
    return { row, button };
  }

  show() {
    const [index, chosen] = [this.state.get("cell"), this.state.get("seed")];
    const { facts, arrays } = this.cells;
    this.rows.forEach(({ row, button }, i) => {
      row.classList.toggle("chosen", i === chosen);
      button.setAttribute("aria-pressed", String(i === chosen));
    });
    const cell = this.cells.list[index];
    const run = cell.runs[chosen];
    byId("seed-title").textContent = `Seed ${cell.seeds[chosen]}: ${facts.names[run]}`;
    const commands = this.cells.commands(index, chosen);
    byId("run-command").textContent = commands.pop();
    byId("run-parents").hidden = !commands.length;
    byId("parent-commands").replaceChildren(...commands.map((text) => make("li", {}, make("code", {}, text))));
    byId("run-report").textContent = `iterhead report ${facts.names[run]}${facts.out}`;
    const versions = facts.versions[arrays.version.values[run]];
    const names = Object.entries(versions ?? {}).map(([name, value]) => `${name} ${value}`);
    setText(byId("run-versions"), `Versions: ${names.join(", ") || "not recorded"}.`);
    byId("settings").replaceChildren(...pairs(this.cells.settings(index, chosen)));
  }
}
