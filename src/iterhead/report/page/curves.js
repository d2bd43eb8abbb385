// Accuracy by length and peakiness over the epochs, with a cursor at the network shown.

const MOST_COLUMNS = 150; // of the heat map; of more evaluations, some are left out evenly

const LINES = {
  second: { label: "iteration head's peakiness", class: "second" },
  first: { label: "first head's peakiness", class: "first" },
  mean: { label: "mean accuracy", class: "mean" },
};

class Curves {
  constructor(facts, replay, state, colours, player) {
    Object.assign(this, { facts, curves: facts.curves, replay, state, colours, player });
    this.lines = Object.keys(LINES).filter((name) => this.curves[name].some((value) => value !== null));
    this.legend();
    state.watch(["theme"], () => this.build(true));
    state.watch(["stop", "length"], () => this.point());
    new ResizeObserver(() => this.build()).observe(byId("accuracy"));
  }

  build(repaint = false) {
    const width = Math.max(200, byId("accuracy").clientWidth);
    if (width === this.box?.width && !repaint) return;
    this.box = chartBox(width);
    const { epochs } = this.curves;
    const span = epochs.at(-1) - epochs[0];
    const half = (span || 1) / Math.max(1, epochs.length - 1) / 2;
    this.x = scale(epochs[0] - half, epochs.at(-1) + half, MARGIN.left, this.box.right);
    byId("accuracy").replaceChildren(this.chart(this.heat(), "accuracy-cursor"));
    byId("peakiness").replaceChildren(this.chart(this.drawLines(), "peakiness-cursor"));
    this.point();
  }

  chart(parts, cursor) {
    const { width, height, bottom } = this.box;
    const { epochs } = this.curves;
    return make(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        role: "img",
        pointerdown: (e) => this.jump(e),
        pointermove: (e) => e.buttons && this.jump(e),
      },
      ...parts,
      ...epochTicks(epochs[0], epochs.at(-1), this.x, this.box),
      make("line", { id: cursor, y1: MARGIN.top - 4, y2: bottom + 3, class: "cursor" }),
    );
  }

  /** A column for each evaluation, a row for each length, the shortest below. */
  heat() {
    const { epochs, accuracy } = this.curves;
    const { lengths } = this.facts;
    const { bottom } = this.box;
    const rows = (bottom - MARGIN.top) / lengths.length;
    const every = Math.ceil(epochs.length / MOST_COLUMNS);
    const columns = epochs.map((_, i) => i).filter((i) => i % every === 0 || i === epochs.length - 1);
    const edges = columns.map((i, n) => (n ? (this.x(epochs[i]) + this.x(epochs[columns[n - 1]])) / 2 : MARGIN.left));
    edges.push(this.box.right);
    this.rowOf = (length) => bottom - (lengths.indexOf(length) + 1) * rows;
    const cells = columns.flatMap((i, n) =>
      lengths.map((length, row) => {
        const share = accuracy[i][row];
        const fill = share === null ? "none" : this.colours.share(share);
        const place = { x: edges[n], y: this.rowOf(length), width: edges[n + 1] - edges[n] + 0.3, height: rows + 0.3 };
        return make("rect", { ...place, fill });
      }),
    );
    const named = lengths.filter(
      (length) => lengths.length <= 12 || (length - lengths[0] + 1) % Math.ceil(lengths.length / 8) === 0,
    );
    const names = named.map((length) =>
      make("text", { x: MARGIN.left - 10, y: this.rowOf(length) + rows / 2 + 4, class: "tick end" }, String(length)),
    );
    const side = {
      x: 10,
      y: (bottom + MARGIN.top) / 2,
      class: "tick middle",
      transform: `rotate(-90 10 ${(bottom + MARGIN.top) / 2})`,
    };
    const marker = make("rect", { id: "length-marker", x: MARGIN.left - 6, width: 4, height: rows, class: "marker" });
    return [...cells, ...names, make("text", side, "length L"), marker];
  }

  drawLines() {
    const { epochs } = this.curves;
    const { bottom, right } = this.box;
    const y = (this.y = scale(0, 1, bottom, MARGIN.top));
    const grid = shareLevels.flatMap((share) => level(share, y, right));
    const { threshold } = this.facts;
    const asked = this.curves.second.some((value) => value !== null)
      ? [
          make("line", { x1: MARGIN.left, x2: right, y1: y(threshold), y2: y(threshold), class: "asked" }),
          make("text", { x: MARGIN.left + 4, y: y(threshold) + 14, class: "tick" }, `emerged: ${threshold} or more`),
        ]
      : [];
    const paths = this.lines.map((name) => {
      const d = linePath(epochs, this.curves[name], this.x, y);
      return make("path", { d, class: `curve ${LINES[name].class}` });
    });
    return [...grid, ...asked, ...[...paths].reverse()];
  }

  legend() {
    this.values = {};
    const items = this.lines.map((name) => {
      this.values[name] = make("b");
      const key = make(
        "svg",
        { width: 26, height: 8, "aria-hidden": "true" },
        make("path", { d: "M0 4L26 4", class: `curve ${LINES[name].class}` }),
      );
      return make("li", {}, key, ` ${LINES[name].label} `, this.values[name]);
    });
    byId("legend").replaceChildren(...items);
  }

  /** Move the cursors to the network shown, and show the values there. */
  point() {
    const epoch = this.replay.epochs[this.state.get("stop")];
    const at = Math.max(0, this.curves.epochs.indexOf(epoch));
    for (const id of ["accuracy-cursor", "peakiness-cursor"]) {
      const place = this.x(epoch);
      byId(id).setAttribute("x1", place);
      byId(id).setAttribute("x2", place);
    }
    const length = this.state.get("length");
    byId("length-marker").setAttribute("y", this.rowOf(length));
    for (const name of this.lines) this.values[name].textContent = percent(this.curves[name][at]);
    const share = percent(this.curves.accuracy[at][this.facts.lengths.indexOf(length)]);
    byId("accuracy-text").textContent = `length ${length}, epoch ${epoch}: ${share}`;
    const values = this.lines.map((name) => `${LINES[name].label} ${percent(this.curves[name][at])}`).join(", ");
    byId("accuracy").firstChild.setAttribute(
      "aria-label",
      `Accuracy by length over epochs. At epoch ${epoch}, length ${length}: ${share}.`,
    );
    byId("peakiness").firstChild.setAttribute("aria-label", `Curves over epochs. At epoch ${epoch}: ${values}.`);
  }

  /** Go to the stored network nearest to where the pointer is. */
  jump(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const place = event.clientX - box.left;
    const distances = this.replay.epochs.map((epoch) => -Math.abs(this.x(epoch) - place));
    this.player.go(argmax(distances));
  }
}
