// The cells that stand in no map, one in a row.

class CellList {
  constructor(cells, inMaps, state) {
    Object.assign(this, { cells, state });
    const listed = cells.list.map((_, index) => index).filter((index) => !inMaps.has(index));
    byId("list-part").hidden = !listed.length;
    byId("list-title").textContent = inMaps.size ? "Cells that stand in no map" : "All cells";
    byId("list-title").classList.toggle("unseen", !inMaps.size);
    this.rows = listed.map((index) => this.row(index));
    byId("list").tBodies[0].replaceChildren(...this.rows.map(({ row }) => row));
    state.watch(["cell"], () => this.mark());
  }

  row(index) {
    const choose = () => this.state.set({ cell: index, seed: 0 });
    const button = make("button", { type: "button", class: "link" }, this.cells.place(index));
    const { length } = this.cells.measured(index);
    const epochs = this.cells.mean(index, "epochs");
    const columns = [
      `${length} of ${this.cells.list[index].seeds.length}`,
      ...["accuracy", "second_peakiness", "first_peakiness"].map((name) => score(this.cells.mean(index, name))),
      Number.isNaN(epochs) ? "–" : String(Math.round(epochs * 10) / 10),
      this.cells.quickness(index),
    ];
    const row = make(
      "tr",
      { click: choose },
      make("th", { scope: "row" }, button),
      ...columns.map((text) => make("td", { class: "number" }, text)),
    );
    return { index, button, row };
  }

  mark() {
    for (const { index, button, row } of this.rows) {
      const chosen = index === this.state.get("cell");
      button.setAttribute("aria-pressed", String(chosen));
      row.classList.toggle("chosen", chosen);
    }
  }
}
