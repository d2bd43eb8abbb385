// What the page holds beside its code: facts and arrays, written by blob.py.

const ARRAY_TYPES = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  float16: Uint16Array, // its bits; see fromFloat16
  float32: Float32Array,
};

/** Return {facts, arrays}, decompressed from the element that holds them. */
async function readData(element) {
  const characters = atob(element.textContent);
  const packed = new Uint8Array(characters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = characters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const headerLength = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headerLength)));
  const arrays = {};
  for (const [name, { type, shape, start }] of Object.entries(header.arrays)) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    arrays[name] = { shape, values: new ARRAY_TYPES[type](buffer, 4 + headerLength + start, size) };
  }
  return { facts: header.facts, arrays };
}

/** Return the numbers that 16-bit floats stand for: sign, 5 bits of exponent, 10 of fraction. */
function fromFloat16(bits) {
  const powers = Float64Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 15));
  const numbers = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = bits[i] & 0x8000 ? -1 : 1;
    const exponent = (bits[i] >> 10) & 31;
    const fraction = bits[i] & 1023;
    if (exponent === 0) numbers[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) numbers[i] = fraction ? NaN : sign * Infinity;
    else numbers[i] = sign * (1 + fraction / 1024) * powers[exponent];
  }
  return numbers;
}

/** Return the index of the largest value, the first of equals. */
function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
