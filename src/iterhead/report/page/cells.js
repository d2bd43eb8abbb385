// The cells of a study, their runs and the runs' curves, as study_page.py stored them.

const MISSING = 65535;
const SHARE_STEPS = 10000;

const SCORES = {
  accuracy: "accuracy",
  second_peakiness: "second peakiness",
  first_peakiness: "first peakiness",
  loss: "loss",
};

class Cells {
  constructor({ facts, arrays }) {
    Object.assign(this, { facts, arrays, list: facts.cells });
    let first = 0;
    for (const cell of this.list) {
      cell.runs = cell.seeds.map((_, i) => first + i);
      first += cell.seeds.length;
    }
    this.starts = [0];
    for (const count of arrays.evaluations.values) this.starts.push(this.starts.at(-1) + count);
    this.losses = fromFloat16(arrays["curve.loss"].values);
  }

  /** Return where a cell stands, in words. */
  place(index) {
    const { axes, labels } = this.facts;
    const parts = this.list[index].place.map((value, i) =>
      typeof value === "string" ? `${labels[axes[i]]}: ${value}` : `${labels[axes[i]]} ${value}`,
    );
    return parts.join(", ");
  }

  measured(index) {
    return this.list[index].runs.filter((run) => this.arrays.state.values[run] > 0);
  }

  /** Return how many of a cell's seeds are measured, in words. */
  seedsText(index) {
    return `${this.measured(index).length} of ${counted(this.list[index].seeds.length, "seed")}`;
  }

  state(run) {
    return this.facts.states[this.arrays.state.values[run]];
  }

  /** Return a number of a run at its end; NaN where there is none. */
  value(run, name) {
    const { values } = this.arrays[name];
    return name in SCORES ? share(values[run]) : values[run];
  }

  /** Return the mean of a number over a cell's seeds that have it; NaN where none does. */
  mean(index, name) {
    const values = this.measured(index).map((run) => this.value(run, name));
    const known = values.filter((value) => !Number.isNaN(value));
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  }

  /** Return the epochs to accuracy 0.9, the median over seeds, in words. */
  quickness(index) {
    const epochs = this.measured(index).map((run) => this.value(run, "epochs_to_90"));
    if (!epochs.length) return "–";
    const sorted = epochs.map((value) => (Number.isNaN(value) ? Infinity : value)).sort((a, b) => a - b);
    const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
    const median = (low + high) / 2;
    return median === Infinity ? "never" : String(Math.round(median * 10) / 10);
  }

  /** Return {epochs, values} of a run's evaluations. */
  curve(run, name) {
    const [from, to] = [this.starts[run], this.starts[run + 1]];
    const epochs = Array.from(this.arrays["curve.epoch"].values.subarray(from, to));
    if (name === "loss") return { epochs, values: Array.from(this.losses.subarray(from, to)) };
    return { epochs, values: Array.from(this.arrays[`curve.${name}`].values.subarray(from, to), share) };
  }

  /** Return every setting of a run by name, in the order in which they are typed. */
  settings(index, seed) {
    const cell = this.list[index];
    const start = cell.start && { "start.run": cell.start.runs[seed], "start.epoch": cell.start.epoch ?? "the last" };
    const all = { ...this.facts.settings, ...cell.settings };
    const { task, ...rest } = all;
    const sorted = Object.fromEntries(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
    return { task, seed: cell.seeds[seed], ...start, ...sorted };
  }

  /** Return what is typed to make a run, after what makes those that it starts from. */
  commands(index, seed) {
    const typed = ({ command, start }) => {
      const run = start ? ` --start.run ${start.runs[seed]}` : "";
      const epoch = (start?.epoch ?? null) === null ? "" : ` --start.epoch ${start.epoch}`;
      return `${command} --seed ${this.list[index].seeds[seed]}${run}${epoch}${this.facts.out}`;
    };
    const commands = [];
    for (let at = this.list[index]; at; at = at.start) commands.unshift(typed(at));
    return commands;
  }

  /** Whether a cell's networks write a chain of thought. */
  hasChain(index) {
    return { ...this.facts.settings, ...this.list[index].settings }["data.cot"] !== false;
  }
}

/** Return the share that is stored in so many steps; NaN where it is not known. */
const share = (steps) => (steps === MISSING ? NaN : steps / SHARE_STEPS);
