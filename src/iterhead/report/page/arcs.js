// The tokens of a chain in a row, and arcs from a written token to what was read for it: the iteration head above, the
// first head below, other heads thin.

const FAINTEST = 0.04; // lighter arcs are not drawn
const BOX = 30; // pixels from one token to the next
const TALLEST = 110; // pixels of an arc

class Arcs {
  constructor(chain) {
    this.chain = chain;
    this.facts = chain.facts;
  }

  draw() {
    const { prompt, written } = this.chain;
    const total = this.chain.layout.inputSize + 1;
    const width = total * BOX;
    byId("chain").replaceChildren(
      this.svg("above", width),
      make(
        "div",
        { class: "tokens" },
        ...prompt.map((token, place) => this.given(token, place)),
        ...written.map((_, i) => this.made(i)),
      ),
      this.svg("below", width),
    );
    this.readOut();
    this.keepInSight();
  }

  given(token, place) {
    const kind = place === 0 || token === this.facts.ids.eoi ? "special" : "input";
    return make("span", { class: `token ${kind}` }, ...this.faces(token, place));
  }

  made(index) {
    const { prompt, written, truth, selected } = this.chain;
    const place = prompt.length + index;
    const wrong = written[index] !== truth[index];
    const name = tokenName(this.facts, written[index], 1);
    const label = `${this.chain.layout.name(place)}: ${name}, ${wrong ? "wrong" : "right"}`;
    return make(
      "button",
      {
        type: "button",
        class: `token written${wrong ? " wrong" : ""}`,
        "aria-label": label,
        "aria-pressed": String(index === selected),
        click: () => this.select(index, true),
        keydown: (event) => this.move(event, index),
      },
      ...this.faces(written[index], place),
    );
  }

  faces(token, place) {
    const { layout } = this.chain;
    const name = layout.name(place);
    const shown = tokenName(this.facts, token, place);
    return [
      make("b", {}, place === 0 ? "·" : shown),
      make("small", {}, ...(/_/.test(name) ? typeset(name) : [place === 0 ? shown : ""])),
    ];
  }

  select(index, focus) {
    this.chain.selected = index;
    this.draw();
    if (focus) byId("chain").querySelectorAll("button")[index]?.focus({ preventScroll: true });
  }

  move(event, index) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.select(Math.min(Math.max(index + step, 0), this.chain.written.length - 1), true);
  }

  /** The heads that read for the chosen token, each with its role and row of weights. */
  readings() {
    const { prompt, selected, rows } = this.chain;
    if (selected < 0) return [];
    const query = prompt.length + selected - 1;
    const best = (this.facts.best ?? []).map(String);
    return rows[query].flatMap((heads, layer) =>
      heads.map((weights, head) => {
        const at = `${layer},${head}`;
        const role = best[1] === at ? "second" : best[0] === at ? "first" : "other";
        return { layer, head, role, weights };
      }),
    );
  }

  svg(side, width) {
    const height = reach(this.chain.layout.length + 1) + 4;
    const from = this.chain.prompt.length + this.chain.selected;
    const paths = this.readings()
      .filter(({ role }) => (role === "first") === (side === "below"))
      .flatMap(({ role, weights }) =>
        Array.from(
          weights,
          (weight, key) => weight >= FAINTEST && this.arc(side, height, from, key, weight, role),
        ).filter(Boolean),
      );
    return make(
      "svg",
      { class: `arcs ${side}`, width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      ...paths,
    );
  }

  arc(side, height, from, key, weight, role) {
    const middle = (place) => (place + 0.5) * BOX;
    const bend = (4 / 3) * Math.min(height - 4, reach(from - key)); // the curve comes three quarters of the way
    const [base, tip] = side === "above" ? [height, height - bend] : [0, bend];
    const d = `M${middle(from)} ${base}C${middle(from)} ${tip} ${middle(key)} ${tip} ${middle(key)} ${base}`;
    const path = make("path", { d, class: `arc ${role}`, "stroke-width": (1 + 3.5 * weight).toFixed(2) });
    path.style.opacity = (0.25 + 0.75 * weight).toFixed(2);
    return path;
  }

  /** Say for the chosen token what was read, and whether it is right. */
  readOut() {
    const { prompt, selected, written, truth, layout } = this.chain;
    if (selected < 0) {
      setText(byId("chain-readout"), "The network has read the input and writes next.");
      return;
    }
    const place = prompt.length + selected;
    const names = [...prompt, ...written].map((token, at) => tokenName(this.facts, token, at));
    const right = written[selected] === truth[selected];
    const target = layout.name(prompt.length + selected);
    const truthName = tokenName(this.facts, truth[selected], 1);
    const verdict = right ? "right" : `wrong, ${truthName} is right`;
    const token = (at) => (/_/.test(layout.name(at)) ? `${layout.name(at)} = ${names[at]}` : layout.name(at));
    const reads = this.readings()
      .filter(({ role }) => role !== "other" || !this.facts.best)
      .reverse()
      .map(({ role, layer, head, weights }) => {
        const key = argmax(weights);
        const who = role === "other" ? headName(layer, head) : `the ${ROLE_NAMES[role]}`;
        const silent = this.chain.intervention.silent(layer, head)
          ? "is switched off"
          : `read ${token(key)} with weight ${weightText(weights[key])}`;
        return `${who} ${silent}`;
      });
    const wrote = target === names[place] ? target : `${target} = ${names[place]}`;
    setText(
      byId("chain-readout"),
      `To write ${wrote} (${verdict}), standing on ${token(place - 1)}: ${reads.join("; ")}.`,
    );
  }

  keepInSight() {
    const box = byId("chain-box");
    const place = (this.chain.prompt.length + Math.max(0, this.chain.selected)) * BOX;
    if (place + 2 * BOX > box.scrollLeft + box.clientWidth) box.scrollLeft = place + 2 * BOX - box.clientWidth;
  }
}

/** Return how far an arc between tokens so far apart stands out, in pixels. */
const reach = (distance) => Math.min(TALLEST, 16 + 6 * distance);
