// The causal tests, the best heads, accuracy by length, and how the scan was made.

const [FIRST_HEADS, MORE_HEADS] = [12, 50]; // rows of the table of heads

class BestHeads {
  constructor(heads, state) {
    Object.assign(this, { heads, state, shown: 0, rows: [] });
    byId("more-heads").addEventListener("click", () => this.show(this.shown + MORE_HEADS));
    this.show(FIRST_HEADS);
    state.watch(["place"], () => this.mark());
  }

  show(count) {
    const entries = this.heads.list.slice(this.shown, count);
    const rows = entries.map((entry) => this.row(entry));
    this.rows.push(...rows);
    this.shown += entries.length;
    byId("heads").tBodies[0].append(...rows.map(({ row }) => row));
    const left = this.heads.list.length - this.shown;
    byId("more-heads").hidden = left === 0;
    byId("more-heads").textContent = `Show ${Math.min(left, MORE_HEADS)} more (of ${left.toLocaleString("en")})`;
    this.mark();
  }

  row(entry) {
    const { layer, head, role } = entry;
    const choose = () => this.state.set({ place: { layer, head, role } });
    const button = make("button", { type: "button", class: "link" }, headName(layer, head));
    const number = (text) => make("td", { class: "number" }, text);
    const row = make(
      "tr",
      { click: choose },
      make("th", { scope: "row" }, button),
      make("td", {}, make("span", { class: `role ${ROLE_COLOURS[role]}` }, ROLE_TITLES[role])),
      number(signed(entry.score)),
      number(`${signed(entry.low)} to ${signed(entry.high)}`),
      number(score(entry.weight)),
      number(score(entry.peakiness)),
      make("td", {}, ...typeset(entry.competing)),
      number(probability(entry.p)),
      make("td", {}, entry.significant ? "✓ yes" : "no"),
    );
    return { entry, button, row };
  }

  mark() {
    const place = this.heads.key(this.state.get("place"));
    for (const { entry, button, row } of this.rows) {
      const chosen = this.heads.key(entry) === place;
      button.setAttribute("aria-pressed", String(chosen));
      row.classList.toggle("chosen", chosen);
    }
  }
}

/** Lay the causal tests: a bar for each share, with the interval of the one that it belongs to. */
function showCausal(rows) {
  byId("causal-part").hidden = !rows?.length;
  if (!rows?.length) return;
  const head = ["intervention", "heads", "right", "follows F"].map((name) => make("th", { scope: "col" }, name));
  const body = rows.map((row) => {
    const ofFollows = row.follows !== null && row.follows !== undefined;
    const heads = (row.heads ?? []).map(([layer, index]) => make("div", {}, headName(layer, index)));
    const interval = { low: row.low, high: row.high };
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, ...typeset(row.intervention)),
      make("td", { class: "quiet heads" }, ...(heads.length ? heads : ["–"])),
      make("td", {}, shareBar(row.accuracy, ofFollows ? null : interval, "first")),
      make("td", {}, ofFollows ? shareBar(row.follows, interval, "second") : "–"),
    );
  });
  byId("causal").replaceChildren(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

/** Return a bar from 0 to a share, its interval as a thin line, and the numbers. */
function shareBar(value, interval, colour) {
  const [width, height] = [120, 14];
  const at = (share) => (share ?? 0) * width;
  const line = { class: "whisker", y1: height / 2, y2: height / 2 };
  const parts = [
    make("rect", { class: "track", x: 0, y: 1, width, height: height - 2 }),
    make("rect", { class: `fill ${colour}`, x: 0, y: 1, width: at(value), height: height - 2 }),
    ...(interval ? [make("line", { ...line, x1: at(interval.low), x2: at(interval.high) })] : []),
  ];
  const text = interval ? `${percent(value)} (${percent(interval.low)} to ${percent(interval.high)})` : percent(value);
  const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...parts);
  return make("span", { class: "share" }, svg, make("span", {}, text));
}

function showLengths(behaviour) {
  const lengths = Object.entries(behaviour?.by_length ?? {});
  byId("lengths-part").hidden = !lengths.length;
  const row = (name, values) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, value)));
  const heads = lengths.map(([length]) => make("th", { scope: "col" }, length));
  const shares = (name) => lengths.map(([, shares]) => percent(shares[name]));
  const hasFree = lengths.some(([, shares]) => (shares.free ?? null) !== null);
  byId("lengths").replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "row" }, "length"), ...heads)),
    make("tbody", {}, row("right text before", shares("teacher_forced")), ...(hasFree ? [row("all by itself", shares("free"))] : [])),
  );
}

function showScanOrigin(facts, heads) {
  const total = heads.layers * heads.perLayer;
  const sentences = [
    ...(facts.notes ?? []),
    facts.examples.length &&
      "The prompts in this page are the first ones of their lengths; attention is shown of the model as it is, in steps of 1/255.",
    facts.examples.length &&
      heads.kept.size < total &&
      `This page has the attention of ${heads.kept.size.toLocaleString("en")} of ${counted(total, "head")}, those with the best scores; ` +
        `${(total - heads.kept.size).toLocaleString("en")} are left out, so that it stays below 1 MB.`,
    "Nothing is loaded from elsewhere, and nothing leaves this page.",
  ];
  byId("origin").replaceChildren(...sentences.filter(Boolean).map((sentence) => make("li", {}, ...typeset(sentence))));
  byId("command").textContent = facts.command;
  byId("command-part").hidden = !facts.command;
  const settings = Object.entries(facts.settings ?? {}).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(", ") : value,
  ]);
  const model = Object.entries(facts.model).map(([name, value]) => [`model.${name}`, value]);
  byId("settings").replaceChildren(...pairs(Object.fromEntries([...model, ...settings])));
}
