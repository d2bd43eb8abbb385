// A score over the epochs, one line for each seed of the chosen cell; the chosen seed stands out.

class SeedCurves {
  constructor(cells, state) {
    Object.assign(this, { cells, state, at: null });
    const options = Object.entries(SCORES).map(([name, label]) => make("option", { value: name }, capital(label)));
    byId("score").replaceChildren(...options);
    byId("score").addEventListener("change", () => state.set({ score: byId("score").value }));
    byId("curves").addEventListener("keydown", (event) => this.move(event));
    state.watch(["cell", "score", "seed", "theme"], () => this.build());
    new ResizeObserver(() => this.build()).observe(byId("curves"));
  }

  build() {
    const width = Math.max(200, byId("curves").clientWidth);
    const [index, name, chosen] = ["cell", "score", "seed"].map((key) => this.state.get(key));
    const key = [width, index, name, chosen, this.state.get("theme")].join();
    if (key === this.key) return;
    this.key = key;
    const cell = this.cells.list[index];
    this.curves = cell.runs.map((run) => this.cells.curve(run, name));
    const measured = this.curves.flatMap(({ values }) => values.filter((value) => !Number.isNaN(value)));
    byId("score").value = name;
    if (!measured.length) return this.absent(index, name);
    const epochs = this.curves.flatMap((curve) => curve.epochs);
    this.box = chartBox(width);
    const last = epochs.reduce((most, epoch) => Math.max(most, epoch), 0);
    const most = measured.reduce((least, value) => Math.max(least, value), 0);
    const levels = name === "loss" ? levelsTo(most || 1) : shareLevels;
    this.x = scale(0, last || 1, MARGIN.left, this.box.right);
    this.y = scale(0, levels.at(-1), this.box.bottom, MARGIN.top);
    const order = cell.seeds.map((_, i) => i).sort((a, b) => (a === chosen) - (b === chosen)); // the chosen one on top
    const lines = order.map((i) => {
      const d = linePath(this.curves[i].epochs, this.curves[i].values, this.x, this.y);
      return make("path", { d, class: i === chosen ? "curve second" : "curve seed" });
    });
    this.dot = make("circle", { r: 4.5, class: "dot" });
    const { height } = this.box;
    byId("curves").replaceChildren(
      make(
        "svg",
        {
          viewBox: `0 0 ${width} ${height}`,
          width,
          height,
          "aria-hidden": "true",
          pointermove: (event) => this.nearest(event),
          click: (event) => this.state.set({ seed: this.nearest(event).seed }),
        },
        ...levels.flatMap((value) => level(value, this.y, this.box.right)),
        ...lines,
        ...epochTicks(0, last, this.x, this.box, "epochs trained"),
        this.dot,
      ),
    );
    this.point({ seed: chosen, at: this.curves[chosen].epochs.length - 1 });
  }

  /** Say that there is nothing to draw, and why. */
  absent(index, name) {
    this.x = null;
    const label = SCORES[name];
    let why = `The ${label} of these runs is not on this page.`;
    if (!this.cells.measured(index).length) why = "None of these runs is measured yet.";
    else if (this.cells.facts.left_out.startsWith("The curves")) why = this.cells.facts.left_out;
    else if (name.endsWith("peakiness") && !this.cells.hasChain(index))
      why = "Without a chain of thought there is no peakiness.";
    byId("curves").replaceChildren(make("p", { class: "notice" }, why));
    byId("curve-text").textContent = "";
    this.describe(0, 0, why);
  }

  /** Show the evaluation nearest to the pointer, and return it. */
  nearest(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let nearest = this.at;
    let least = Infinity;
    this.curves.forEach(({ epochs, values }, seed) =>
      epochs.forEach((epoch, at) => {
        const distance = Math.hypot(this.x(epoch) - left, this.y(values[at]) - top);
        if (distance < least) [least, nearest] = [distance, { seed, at }];
      }),
    );
    this.point(nearest);
    return nearest;
  }

  /** Show one evaluation of one seed. */
  point(nearest) {
    this.at = nearest;
    const { epochs, values } = this.curves[nearest.seed];
    const seed = this.cells.list[this.state.get("cell")].seeds[nearest.seed];
    const value = values[nearest.at];
    const measured = value !== undefined && !Number.isNaN(value);
    const name = this.state.get("score");
    const number = !measured ? "not measured" : name === "loss" ? value.toFixed(3) : percent(value);
    const text = epochs.length
      ? `Seed ${seed}, epoch ${epochs[nearest.at]}: ${SCORES[name]} ${number}`
      : `Seed ${seed}: not measured yet`;
    this.dot.setAttribute("visibility", measured ? "visible" : "hidden");
    if (measured) {
      this.dot.setAttribute("cx", this.x(epochs[nearest.at]));
      this.dot.setAttribute("cy", this.y(value));
    }
    setText(byId("curve-text"), `${text}.`);
    this.describe(nearest.at, epochs.length - 1, text);
  }

  describe(now, most, text) {
    const chart = byId("curves");
    chart.setAttribute("aria-valuemax", Math.max(0, most));
    chart.setAttribute("aria-valuenow", Math.max(0, now));
    chart.setAttribute("aria-valuetext", text);
  }

  /** Arrows, Home and End: another evaluation; the page keys: another seed. */
  move(event) {
    if (!this.x) return;
    const last = this.curves[this.at.seed].epochs.length - 1;
    const [before, after] = [this.at.at - 1, this.at.at + 1];
    const ways = { ArrowLeft: before, ArrowDown: before, ArrowRight: after, ArrowUp: after, Home: 0, End: last };
    const to = ways[event.key];
    const step = { PageUp: 1, PageDown: -1 }[event.key];
    if (to === undefined && !step) return;
    event.preventDefault();
    if (step) {
      const seed = (this.at.seed + step + this.curves.length) % this.curves.length;
      this.state.set({ seed });
    } else this.point({ seed: this.at.seed, at: Math.min(Math.max(to, 0), last) });
  }
}
