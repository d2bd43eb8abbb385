// Layers by heads for one role: the score as colour, significant heads outlined.

const [SMALLEST_HEAD, LARGEST_HEAD] = [13, 44]; // pixels
const NUMBERED_HEAD = 38; // pixels; from here on a head has its score written in it
const HEAD_MARGIN = { left: 34, top: 20, right: 4, bottom: 4 };
const WIDE = 20; // heads in a layer; beyond, the two pictures are one below the other

class HeadsPicture {
  constructor(role, heads, state, colours) {
    Object.assign(this, { role, heads, state, colours, pointed: null });
    this.canvas = make("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "picture of heads",
      pointermove: (event) => this.point(event),
      pointerleave: () => this.show(null),
      click: (event) => this.pick(this.at(event)),
      keydown: (event) => this.move(event),
    });
    this.readout = make("p", { class: "readout" });
    this.ramp = make("span", { class: "ramp", "aria-hidden": "true" });
    const lowest = make("span", {}, "score 0 or less");
    const about = `weight on ${ROLE_KEYS[role]}`;
    this.element = make(
      "figure",
      { class: `map ${ROLE_COLOURS[role]}`, "data-role": role },
      make("figcaption", {}, make("strong", {}, capital(ROLE_TITLES[role])), " ", make("span", { class: "quiet" }, ...typeset(about))),
      make("div", { class: "scroll" }, this.canvas),
      make("p", { class: "scale" }, lowest, this.ramp, make("span", {}, "1"), make("span", { class: "outline" }, "significant")),
      this.readout,
    );
  }

  draw() {
    const { layers, perLayer } = this.heads;
    const room = this.element.clientWidth - HEAD_MARGIN.left - HEAD_MARGIN.right;
    this.cell = Math.min(LARGEST_HEAD, Math.max(SMALLEST_HEAD, Math.floor(room / perLayer)));
    const width = HEAD_MARGIN.left + this.cell * perLayer + HEAD_MARGIN.right;
    const height = HEAD_MARGIN.top + this.cell * layers + HEAD_MARGIN.bottom;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintRamp(this.ramp, this.role, this.colours);
    this.paintNames(context);
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < perLayer; head++) this.paintHead(context, { layer, head, role: this.role });
    const { layer, head, role } = this.state.get("place");
    this.element.classList.toggle("chosen", role === this.role);
    this.outline(context, layer, head, role === this.role ? 3 : 1.5, this.colours.get(ROLE_COLOURS[this.role]));
    this.canvas.setAttribute(
      "aria-label",
      `Scores as ${ROLE_TITLES[this.role]}, layers by heads. Arrow keys choose a head. ${this.sentence()}`,
    );
    this.show(this.pointed);
  }

  paintNames(context) {
    const { layers, perLayer } = this.heads;
    context.fillStyle = this.colours.quiet;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    const every = Math.ceil(14 / this.cell);
    for (let layer = 0; layer < layers; layer += every)
      context.fillText(`L${layer + 1}`, HEAD_MARGIN.left - 5, HEAD_MARGIN.top + (layer + 0.5) * this.cell);
    context.textAlign = "center";
    const apart = Math.ceil(24 / this.cell);
    for (let head = 0; head < perLayer; head += apart)
      context.fillText(`H${head + 1}`, HEAD_MARGIN.left + (head + 0.5) * this.cell, HEAD_MARGIN.top - 9);
  }

  paintHead(context, place) {
    const entry = this.heads.get(place);
    const [x, y] = [HEAD_MARGIN.left + place.head * this.cell, HEAD_MARGIN.top + place.layer * this.cell];
    const colour = entry ? this.colours.ramps[ROLE_COLOURS[this.role]][level(entry.score)] : this.colours.masked;
    context.fillStyle = `rgb(${colour.join(" ")})`;
    context.fillRect(x + 1, y + 1, this.cell - 2, this.cell - 2);
    context.strokeStyle = this.colours.get("line");
    context.lineWidth = 1;
    context.strokeRect(x + 1, y + 1, this.cell - 2, this.cell - 2);
    if (!entry) return;
    if (entry.significant) {
      context.strokeStyle = this.colours.ink;
      context.lineWidth = 2;
      context.strokeRect(x + 2, y + 2, this.cell - 4, this.cell - 4);
    }
    if (this.cell < NUMBERED_HEAD) return;
    context.fillStyle = readable(colour);
    context.font = "11px system-ui, sans-serif";
    context.fillText(signed(entry.score), x + this.cell / 2, y + this.cell / 2);
  }

  outline(context, layer, head, width, colour) {
    const [x, y] = [HEAD_MARGIN.left + head * this.cell, HEAD_MARGIN.top + layer * this.cell];
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x - 1, y - 1, this.cell + 2, this.cell + 2);
  }

  /** Say what the head scores that is pointed at, or else the chosen one. */
  show(place) {
    this.pointed = place;
    setText(this.readout, this.sentence());
  }

  sentence() {
    return this.heads.describe(this.pointed ?? { ...this.state.get("place"), role: this.role });
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const layer = Math.floor((event.clientY - box.top - HEAD_MARGIN.top) / this.cell);
    const head = Math.floor((event.clientX - box.left - HEAD_MARGIN.left) / this.cell);
    const inside = layer >= 0 && layer < this.heads.layers && head >= 0 && head < this.heads.perLayer;
    return inside ? { layer, head, role: this.role } : null;
  }

  point(event) {
    this.show(this.at(event));
  }

  pick(place) {
    if (place) this.state.set({ place });
  }

  move(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const { layer, head } = this.state.get("place");
    const within = (value, most) => Math.min(Math.max(value, 0), most - 1);
    this.pointed = null;
    this.pick({
      layer: within(layer + step[0], this.heads.layers),
      head: within(head + step[1], this.heads.perLayer),
      role: this.role,
    });
  }
}

/** Show the colours of a role from 0 to 1. */
function paintRamp(element, role, colours) {
  const steps = colours.get(`ramp-${ROLE_COLOURS[role]}`).split(/\s+/);
  element.style.background = `linear-gradient(to right, ${steps.join(", ")})`;
}

/** Return the step of a ramp for a score; 0 or less is the lightest. */
const level = (value) => Math.round(Math.min(Math.max(value || 0, 0), 1) * (STEPS - 1));

/** Return the colour of text on a ground [r, g, b]. */
const readable = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff");

/** Draw both pictures, and again when something changes; return them. */
function showPictures(heads, state, colours) {
  const pictures = ROLES.map((role) => new HeadsPicture(role, heads, state, colours));
  byId("pictures").classList.toggle("stacked", heads.perLayer > WIDE);
  byId("pictures").replaceChildren(...pictures.map((picture) => picture.element));
  const significant = heads.list.filter((entry) => entry.significant).length;
  const found = significant ? `${significant} significant` : "none significant";
  byId("picture-text").textContent =
    `${counted(heads.layers, "layer")} of ${counted(heads.perLayer, "head")}, two roles; ${found}`;
  const draw = () => pictures.forEach((picture) => picture.draw());
  state.watch(["place", "theme"], draw);
  window.addEventListener("resize", draw);
  return pictures;
}
