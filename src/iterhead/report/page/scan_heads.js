// The scores of every head in both roles, as scan_page.py stored them.

const ROLES = ["iteration", "first"];
const ROLE_COLOURS = { iteration: "second", first: "first" }; // names in colours.css
const ROLE_TITLES = { iteration: "iteration head", first: "first head" };
const ROLE_KEYS = { iteration: "x_t", first: "the end of the input" };

class Heads {
  constructor({ facts, arrays }) {
    const { values: places } = arrays.head_places;
    const { values: scores } = arrays.head_scores;
    this.layers = facts.layers;
    this.perLayer = facts.heads_per_layer;
    this.list = Array.from({ length: arrays.head_places.shape[0] }, (_, i) => {
      const [layer, head, role, competing, significant] = places.subarray(5 * i, 5 * i + 5);
      const [score, low, high, p, weight, peakiness] = scores.subarray(6 * i, 6 * i + 6);
      const names = { role: ROLES[role], competing: facts.competing[competing], significant: significant === 1 };
      return { layer, head, ...names, score, low, high, p, weight, peakiness };
    });
    this.byPlace = new Map(this.list.map((entry) => [this.key(entry), entry]));
    this.kept = new Map(facts.kept.map(([layer, head], i) => [`${layer}.${head}`, i]));
  }

  key({ layer, head, role }) {
    return `${role}.${layer}.${head}`;
  }

  /** Return the scores of a head in a role; undefined where there are none. */
  get(place) {
    return this.byPlace.get(this.key(place));
  }

  /** Return the best head of a role, or of any. */
  best(role) {
    return this.list.find((entry) => entry.role === role) ?? this.list[0];
  }

  /** Return the place of a head's attention among the stored ones; undefined if it is left out. */
  mapIndex({ layer, head }) {
    return this.kept.get(`${layer}.${head}`);
  }

  /** Say what a head scores. */
  describe(place) {
    const entry = this.get(place);
    const name = `${capital(headName(place.layer, place.head))} as ${ROLE_TITLES[place.role]}`;
    if (!entry) return `${name}: not scored.`;
    const numbers = `score ${signed(entry.score)} (${signed(entry.low)} to ${signed(entry.high)}), weight ${score(entry.weight)}`;
    const verdict = entry.significant ? "significant" : "not significant";
    return `${name}: ${numbers}, best competing key: ${entry.competing}, p = ${probability(entry.p)}, ${verdict}.`;
  }
}

/** Return a score, which may be negative, with two decimals. */
const signed = (value) => (Number.isNaN(value) ? "–" : value.toFixed(2).replace("-", "−").replace("−0.00", "0.00"));

/** Return a probability with as many decimals as it has. */
const probability = (p) => (Number.isNaN(p) ? "–" : p < 0.001 ? "under 0.001" : p.toFixed(3));
