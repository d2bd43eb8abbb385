// Colours come from the style sheet, so that light, dark and print are decided there alone.

const STEPS = 256;

class Colours {
  constructor() {
    this.read();
  }

  /** Take the colours as they are now. */
  read() {
    const style = getComputedStyle(document.documentElement);
    this.get = (name) => style.getPropertyValue(`--${name}`).trim();
    const ramps = ["first", "second", "other", "shares"].map((name) => [
      name,
      ramp(this.get(`ramp-${name}`).split(/\s+/)),
    ]);
    this.ramps = Object.fromEntries(ramps);
    for (const name of ["ink", "quiet"]) this[name] = this.get(name);
    this.masked = rgb(this.get("masked"));
  }

  /** Return the colour of a share, 0 .. 1, as CSS. */
  share(value) {
    const [r, g, b] = this.ramps.shares[Math.round(value * (STEPS - 1))];
    return `rgb(${r} ${g} ${b})`;
  }
}

/** Return STEPS colours between the anchors given as #rrggbb, evenly. */
function ramp(anchors) {
  const colours = anchors.map(rgb);
  return Array.from({ length: STEPS }, (_, step) => {
    const place = (step / (STEPS - 1)) * (colours.length - 1);
    const below = Math.min(Math.floor(place), colours.length - 2);
    return colours[below].map((value, i) => Math.round(value + (place - below) * (colours[below + 1][i] - value)));
  });
}

function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}
