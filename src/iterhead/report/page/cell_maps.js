// The maps of the figures as grids of buttons: each cell can be looked at, and chosen.

const MOST_NUMBERED = 90; // cells of a map up to which each has its number written in it
const [COLUMN, CHARACTER] = [26, 7]; // of a dense map, pixels at most; study.css has the same

class CellMaps {
  constructor({ facts, arrays }, cells, state, colours) {
    Object.assign(this, { facts, arrays, cells, state, colours, buttons: [] });
    byId("maps").replaceChildren(...facts.maps.map((drawing, number) => this.drawing(drawing, number)));
    byId("map-scale").hidden = !facts.maps.length;
    state.watch(["theme"], () => this.paint());
    state.watch(["cell"], () => this.mark());
  }

  /** The cells that stand in some map. */
  shown() {
    return new Set(this.buttons.map(({ cell }) => cell));
  }

  drawing(drawing, number) {
    const readout = make("p", { class: "readout" }); // not live: the buttons' own names say the same
    const rest = "Point at a cell, or go through a map with the arrow keys; choose one to see its runs.";
    readout.textContent = rest;
    const grids = drawing.panels.map((panel, i) => this.grid(drawing, panel, `map.${number}.${i}`, readout, rest));
    return make(
      "div",
      { class: isDense(drawing) ? "drawing dense" : "drawing" },
      make("h3", {}, ...typeset(drawing.title)),
      make("div", { class: "grids" }, ...grids),
      readout,
    );
  }

  grid(drawing, panel, name, readout, rest) {
    const { xs, ys } = drawing;
    const { labels } = this.facts;
    const size = xs.length * ys.length;
    const when = panel.epoch === null ? "" : ` after ${counted(panel.epoch, "epoch")}`;
    const what = `${panel.score.replace("_", " ")}${when}`;
    const grid = [];
    const rows = ys.map((y, row) => {
      const line = xs.map((x, column) => {
        const cell = panel.cells[row][column];
        if (cell < 0) return make("td");
        const [mean, low, high] = [0, 1, 2].map((part) =>
          share(this.arrays[name].values[part * size + row * xs.length + column]),
        );
        const text = `${labels[drawing.x]} ${x}, ${labels[drawing.y]} ${y}: ${this.describe(cell, mean, low, high, what)}`;
        const button = make(
          "button",
          {
            type: "button",
            tabindex: "-1",
            "aria-label": text,
            click: () => {
              rove(grid, button);
              this.state.set({ cell, seed: 0 });
            },
            keydown: (event) => this.move(event, grid, column, row),
            focus: () => {
              rove(grid, button);
              readout.textContent = `${panel.title}. ${text}.`;
            },
            pointerenter: () => (readout.textContent = `${panel.title}. ${text}.`),
            pointerleave: () => (readout.textContent = rest),
          },
          !isDense(drawing) && !Number.isNaN(mean) ? short(mean) : "",
        );
        grid.push({ column, row, button });
        this.buttons.push({ cell, mean, button });
        return make("td", {}, button);
      });
      return make("tr", {}, make("th", { scope: "row" }, String(y)), ...line);
    });
    if (grid.length) grid[0].button.tabIndex = 0;
    const every = isDense(drawing) ? labelled(xs) : 1;
    const feet = xs.map((x, column) =>
      make("th", { scope: "col" }, make("span", { class: column % every ? "unseen" : "" }, String(x))),
    );
    const table = make(
      "table",
      { class: "cells", role: "grid", "aria-label": `${panel.title}: ${what}` },
      ...rows.reverse(), // the largest at the top, as in the figure
      make("tr", {}, make("td"), ...feet),
    );
    const axes = `${labels[drawing.x]} to the right, ${labels[drawing.y]} upwards`;
    return make(
      "figure",
      {},
      make("figcaption", {}, make("strong", {}, ...typeset(panel.title)), make("span", { class: "quiet small" }, axes)),
      make("div", { class: "scroll" }, table),
    );
  }

  describe(cell, mean, low, high, what) {
    const seeds = this.cells.seedsText(cell);
    if (!this.cells.measured(cell).length) return `not measured yet (${seeds})`;
    if (Number.isNaN(mean)) return `${what} is not defined here (${seeds})`;
    const range = high > low ? `, from ${score(low)} to ${score(high)}` : "";
    return `${what} ${score(mean)}${range} (${seeds})`;
  }

  /** Go to the next cell in the direction of an arrow; to the ends of its row with Home and End. */
  move(event, grid, column, row) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const ends = { Home: -1, End: 1 };
    const inRow = grid.filter((at) => at.row === row).sort((a, b) => a.column - b.column);
    let next;
    if (event.key in ends) next = inRow.at(ends[event.key] < 0 ? 0 : -1);
    else if (event.key in ways) {
      const [right, up] = ways[event.key];
      const ahead = (at) => (at.column - column) * right + (at.row - row) * up;
      const aside = (at) => (right ? at.row !== row : at.column !== column);
      next = grid.filter((at) => ahead(at) > 0 && !aside(at)).sort((a, b) => ahead(a) - ahead(b))[0];
    } else return;
    event.preventDefault();
    if (!next) return;
    next.button.focus();
  }

  paint() {
    for (const { mean, button } of this.buttons) {
      button.classList.toggle("unmeasured", Number.isNaN(mean));
      if (Number.isNaN(mean)) continue;
      const colour = this.colours.share(mean);
      const [r, g, b] = colour.match(/\d+/g).map(Number);
      button.style.background = colour;
      button.style.color = 0.299 * r + 0.587 * g + 0.114 * b > 128 ? "#000000" : "#ffffff";
    }
  }

  mark() {
    for (const { cell, button } of this.buttons) {
      button.setAttribute("aria-pressed", String(cell === this.state.get("cell")));
    }
  }
}

/** Whether a drawing's maps have so many cells that numbers do not fit, and each scrolls in a window of its own. */
const isDense = ({ xs, ys }) => xs.length * ys.length > MOST_NUMBERED;

/** Return of how many narrow columns one has its name below, so that names do not run into one another. */
const labelled = (xs) => Math.ceil((Math.max(...xs.map((x) => String(x).length)) * CHARACTER + 6) / COLUMN);

/** Make a button the one of its grid that Tab goes to. */
function rove(grid, button) {
  grid.find((at) => at.button.tabIndex === 0).button.tabIndex = -1;
  button.tabIndex = 0;
}

/** Return a share as `.97`, or `1` where nothing is missing, as the figures write it. */
const short = (value) => (value === 1 ? "1" : score(value).replace(/^0/, ""));
