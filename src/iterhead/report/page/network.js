// The network of model/transformer.py, one token at a time, with a cache of keys and values; plain arrays, no library.
// A weight is [D_in, D_out], row by row. Arithmetic is in double precision.

const NORM_EPSILON = 1e-5;
const LONGEST_WAVE = 10000;

class Network {
  /** shape: from run_page.py. weights: by the names of the Python network's parameters. */
  constructor(shape, weights) {
    this.shape = shape;
    this.weights = weights;
    this.headWidth = shape.width / shape.heads;
    this.begin();
  }

  /** Forget every token. */
  begin() {
    this.position = 0;
    this.cache = Array.from({ length: this.shape.layers }, () => ({ keys: [], values: [] }));
  }

  /**
   * Take in one token and return what the network makes of it.
   *
   * intervention.row(layer, head, weights, position) may change a query's attention in place;
   * intervention.silent(layer, head) says whether a head adds nothing.
   *
   * Returns {logits, rows}: a score for each token id, and rows[layer][head], the attention of this token to each token
   * so far.
   */
  step(token, intervention = null) {
    const { width, layers, positions, positions_on, residual } = this.shape;
    if (this.position >= this.shape.context) throw new Error("no position is left");
    let x = Float64Array.from(this.weights["embed.W_E"].subarray(token * width, (token + 1) * width));
    if (this.weights["pos_embed.W_pos"] && positions !== "none") {
      const start = this.position * positions_on;
      for (let i = 0; i < positions_on; i++) x[i] += this.weights["pos_embed.W_pos"][start + i];
    }
    const rows = [];
    for (let layer = 0; layer < layers; layer++) {
      const normed = this.norm(x, `blocks.${layer}.ln1.w`);
      if (residual === "published") x = normed;
      const attended = this.attend(layer, normed, intervention);
      rows.push(attended.rows);
      x = sum(x, attended.added);
      const hidden = multiply(this.norm(x, `blocks.${layer}.ln2.w`), this.weights[`blocks.${layer}.mlp.W_in`]);
      x = sum(x, multiply(hidden.map(gelu), this.weights[`blocks.${layer}.mlp.W_out`]));
    }
    this.position += 1;
    return { logits: multiply(this.norm(x, "ln_final.w"), this.weights["unembed.W_U"]), rows };
  }

  /** Return what a layer's attention adds to the stream, and each head's row of weights. */
  attend(layer, x, intervention) {
    const { heads, width } = this.shape;
    const [q, k, v] = ["Q", "K", "V"].map((name) => multiply(x, this.weights[`blocks.${layer}.attn.W_${name}`]));
    if (this.shape.positions === "rotary") [q, k].forEach((vector) => this.turn(vector));
    const { keys, values } = this.cache[layer];
    keys.push(k);
    values.push(v);
    const z = new Float64Array(width);
    const rows = [];
    for (let head = 0; head < heads; head++) {
      const start = head * this.headWidth;
      const row = softmax(keys.map((key) => this.product(q, key, start) / Math.sqrt(this.headWidth)));
      intervention?.row(layer, head, row, this.position);
      rows.push(row);
      if (intervention?.silent(layer, head)) continue;
      for (let key = 0; key < row.length; key++) {
        for (let i = start; i < start + this.headWidth; i++) z[i] += row[key] * values[key][i];
      }
    }
    return { added: multiply(z, this.weights[`blocks.${layer}.attn.W_O`]), rows };
  }

  product(a, b, start) {
    let total = 0;
    for (let i = start; i < start + this.headWidth; i++) total += a[i] * b[i];
    return total;
  }

  /** Turn the first coordinates of each head, pair by pair, by this position's angles (rotary positions). */
  turn(vector) {
    const coordinates = this.shape.positions_on / this.shape.heads;
    for (let head = 0; head < this.shape.heads; head++) {
      const start = head * this.headWidth;
      for (let i = 0; i < coordinates; i += 2) {
        const angle = this.position * LONGEST_WAVE ** (-i / coordinates);
        const [even, odd] = [vector[start + i], vector[start + i + 1]];
        vector[start + i] = even * Math.cos(angle) - odd * Math.sin(angle);
        vector[start + i + 1] = even * Math.sin(angle) + odd * Math.cos(angle);
      }
    }
  }

  norm(x, name) {
    const kind = this.shape.norm;
    if (kind === "none") return x.slice();
    const mean = kind === "layer" ? x.reduce((a, b) => a + b, 0) / x.length : 0;
    const variance = x.reduce((total, value) => total + (value - mean) ** 2, 0) / x.length;
    const scale = 1 / Math.sqrt(variance + NORM_EPSILON);
    return x.map((value, i) => (value - mean) * scale * this.weights[name][i]);
  }
}

function multiply(x, weight) {
  const columns = weight.length / x.length;
  const product = new Float64Array(columns);
  for (let i = 0; i < x.length; i++) {
    const factor = x[i];
    if (factor === 0) continue;
    const start = i * columns;
    for (let j = 0; j < columns; j++) product[j] += factor * weight[start + j];
  }
  return product;
}

const sum = (a, b) => a.map((value, i) => value + b[i]);

function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = Float64Array.from(scores, (value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}

const gelu = (x) => (x / 2) * (1 + erf(x / Math.SQRT2));

/**
 * The error function, to the precision of doubles: 2 / sqrt(pi) e^(-z^2) times the sum over n of
 * 2^n z^(2n+1) / (1 3 5 ... (2n+1)), whose terms have one sign; beyond 6 it is 1.
 */
function erf(z) {
  if (Math.abs(z) > 6) return Math.sign(z);
  let term = z;
  let total = z;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * z * z) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * total;
}
