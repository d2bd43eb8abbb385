// One head's attention map on a canvas: queries are rows, keys are columns, outlined where the ideal head looks.

const ROLE_NAMES = { first: "first head", second: "iteration head" };
const SMALLEST_NAMED_CELL = 8.5; // pixels; below, tokens' names would run into each other

class AttentionMap {
  /**
   * place: {layer, head, role}; role is "first", "second" or null.
   * getView: returns what is shown (see explorer.js).
   */
  constructor(place, colours, getView) {
    Object.assign(this, place, { colours, getView, cell: null });
    this.offscreen = document.createElement("canvas");
    this.canvas = make("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "attention map",
      pointermove: (event) => this.point(event),
      pointerdown: (event) => this.point(event),
      pointerleave: () => this.choose(null),
      keydown: (event) => this.move(event),
      focus: () => this.cell ?? this.choose(this.firstCell()),
      blur: () => this.choose(null),
    });
    this.title = make("strong");
    this.sentence = make("span", { class: "quiet" });
    this.readout = make("p", { class: "readout", "aria-live": "polite" });
    this.element = make(
      "figure",
      { class: `map ${this.role ?? ""}`, "data-head": `${this.layer}.${this.head}` },
      make("figcaption", {}, this.title, " ", this.sentence),
      this.canvas,
      this.readout,
    );
  }

  /** Draw what is looked at now; `sentence` says how far the head plays its role. */
  draw(sentence) {
    const name = headName(this.layer, this.head);
    setText(this.title, this.role ? `${capital(ROLE_NAMES[this.role])} (${name})` : capital(name));
    setText(this.sentence, sentence);
    const view = this.getView();
    this.canvas.setAttribute(
      "aria-label",
      `Attention of ${name}, ${view.when}. ${sentence} Arrow keys read the weights.`,
    );
    if (this.cell && this.cell.query >= view.size) this.cell = null;
    this.paint(view);
    this.read(view);
  }

  paint(view) {
    const ratio = window.devicePixelRatio || 1;
    const side = Math.max(160, Math.floor(this.canvas.clientWidth || 320));
    if (this.canvas.width !== side * ratio) this.canvas.width = this.canvas.height = side * ratio;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, side, side);
    this.frame = frameOf(side, view.size);
    paintCells(context, this.offscreen, this.frame, view, this, this.colours);
    this.paintGuides(context, view);
    if (this.frame.cell >= SMALLEST_NAMED_CELL) this.paintNames(context, view);
    this.paintGroups(context, view);
    if (this.cell) this.paintCell(context);
  }

  /** Outline where the ideal head looks, and rule off EoI's row and column. */
  paintGuides(context, view) {
    const { left, top, cell } = this.frame;
    const e = view.layout.endOfInput;
    const extent = cell * view.size;
    context.strokeStyle = this.colours.quiet;
    context.lineWidth = 0.5;
    context.strokeRect(left, top, extent, extent);
    for (const at of [e, e + 1]) {
      context.strokeRect(left, top + at * cell, extent, 0);
      context.strokeRect(left + at * cell, top, 0, extent);
    }
    if (!this.role) return;
    context.strokeStyle = this.colours.ink;
    context.lineWidth = 1.25;
    for (let query = 0; query < view.size; query++) {
      const key = view.layout.idealKey(this.role, query);
      if (key >= 0) context.strokeRect(left + key * cell, top + query * cell, cell, cell);
    }
  }

  paintNames(context, view) {
    const { left, top, cell } = this.frame;
    const size = Math.min(12, cell * 0.85);
    context.fillStyle = this.colours.ink;
    context.font = `${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (let i = 0; i < view.size; i++) {
      const name = i === 0 ? "·" : view.names[i];
      const middle = (i + 0.5) * cell;
      context.textAlign = "right";
      context.fillText(name, left - 3, top + middle);
      context.textAlign = "center";
      if (name.length * size * 0.6 <= cell + 1)
        context.fillText(name, left + middle, top + view.size * cell + size * 0.75);
    }
  }

  /** Write above what the columns are, and on the left what the rows are. */
  paintGroups(context, view) {
    const { left, top, cell } = this.frame;
    const e = view.layout.endOfInput;
    context.fillStyle = this.colours.quiet;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    const groups = [
      ["input", 1, e],
      [view.layout.cot ? "chain of thought" : "answer", e + 1, view.size],
    ];
    for (const [name, from, to] of groups) {
      const [start, end] = [from * cell + 2, to * cell - 2];
      context.fillRect(left + start, top - 4, end - start, 1);
      context.fillRect(4, top + start, 1, end - start);
      if (context.measureText(name).width > end - start) continue;
      context.fillText(name, left + (start + end) / 2, top - 7);
    }
    if (e * cell > 40) context.fillText("EoI", left + (e + 0.5) * cell, top - 7);
  }

  paintCell(context) {
    const { left, top, cell, size } = this.frame;
    const { query, key } = this.cell;
    context.strokeStyle = this.colours.ink;
    context.lineWidth = 1;
    context.strokeRect(left, top + query * cell, cell * size, cell);
    context.strokeRect(left + key * cell, top, cell, cell * size);
    context.lineWidth = 2.5;
    context.strokeRect(left + key * cell, top + query * cell, cell, cell);
  }

  /** Choose a cell {query, key}, or none. */
  choose(cell) {
    this.cell = cell;
    const view = this.getView();
    this.paint(view);
    this.read(view);
  }

  point(event) {
    const { left, top, cell, size } = this.frame;
    const box = this.canvas.getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left - left) / cell);
    const query = Math.floor((event.clientY - box.top - top) / cell);
    const inside = [query, key].every((place) => place >= 0 && place < size);
    if (inside !== Boolean(this.cell) || (inside && (query !== this.cell.query || key !== this.cell.key))) {
      this.choose(inside ? { query, key } : null);
    }
  }

  /** The cell that the keyboard begins at: the first that the ideal head looks at, or else EoI's own. */
  firstCell() {
    const { layout, size } = this.getView();
    for (let query = 0; query < size; query++) {
      const key = this.role ? layout.idealKey(this.role, query) : -1;
      if (key >= 0) return { query, key };
    }
    return { query: layout.endOfInput, key: layout.endOfInput };
  }

  move(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const size = this.getView().size;
    const { query, key } = this.cell ?? this.firstCell();
    const kept = (place) => Math.min(Math.max(place, 0), size - 1);
    this.choose({ query: kept(query + step[0]), key: kept(key + step[1]) });
  }

  /** Say in words what the chosen cell holds. */
  read(view) {
    if (!this.cell) {
      setText(this.readout, "Point at a cell, or use the arrow keys, to read it.");
      return;
    }
    const { query, key } = this.cell;
    const token = (place) => {
      const name = view.layout.name(place);
      return /_/.test(name) ? `${name} = ${view.names[place]}` : name;
    };
    if (key > query) {
      setText(this.readout, `${capital(token(query))} cannot look ahead to ${token(key)}.`);
      return;
    }
    const weight = weightText(view.weight(this.layer, this.head, query, key));
    const roles = this.role ? [this.role] : ["first", "second"];
    const wants = roles.map((role) => wanted(view.layout, role, query, key)).join(" ");
    setText(this.readout, `Query ${token(query)}, key ${token(key)}: weight ${weight}. ${wants}`);
  }
}

/** Return what the ideal circuit wants of a cell, as a sentence. */
function wanted(layout, role, query, key) {
  const ideal = layout.idealKey(role, query);
  const who = ROLE_NAMES[role];
  if (ideal < 0) return `The circuit asks nothing of the ${who} here.`;
  if (ideal === key) return `The ideal ${who} looks here.`;
  return `The ideal ${who} looks at ${layout.name(ideal)}.`;
}

/** Return where the cells of a square canvas stand. */
function frameOf(side, size) {
  const [left, top, bottom] = [26, 22, 16];
  const cell = Math.min((side - left - 2) / size, (side - top - bottom) / size);
  return { left, top, cell, size };
}

/** Paint one map's cells, in the colour of its role: a pixel each offscreen, then scaled without smoothing. */
function paintCells(context, offscreen, { left, top, cell, size }, view, { layer, head, role }, colours) {
  const ramp = colours.ramps[role ?? "other"];
  if (offscreen.width !== size) offscreen.width = offscreen.height = size;
  const image = new ImageData(size, size);
  for (let query = 0, at = 0; query < size; query++) {
    for (let key = 0; key < size; key++, at += 4) {
      const colour = key > query ? colours.masked : ramp[Math.round(view.weight(layer, head, query, key) * 255)];
      image.data.set(colour, at);
      image.data[at + 3] = 255;
    }
  }
  offscreen.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(offscreen, left, top, cell * size, cell * size);
}
