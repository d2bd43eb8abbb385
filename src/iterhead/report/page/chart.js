// Axes and lines of a chart over epochs. A box has width, height, and the right and bottom ends of what is drawn.

const MARGIN = { left: 40, right: 14, top: 10, bottom: 34 };

const shareLevels = [0, 0.25, 0.5, 0.75, 1];

/** Return the box of a chart of this width. */
const chartBox = (width, height = 230) => ({
  width,
  height,
  right: width - MARGIN.right,
  bottom: height - MARGIN.bottom,
});

/** Return the function that takes from .. to onto start .. end. */
function scale(from, to, start, end) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

/** Return at most so many whole numbers between two, at round steps. */
function nice(from, to, most) {
  const steps = [1, 2, 5].flatMap((digit) => [digit, digit * 10, digit * 100, digit * 1000]).sort((a, b) => a - b);
  const step = steps.find((size) => (to - from) / size < most) ?? to - from;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => first + i * step);
}

/** Return about five round numbers from 0 to just above a positive one. */
function levelsTo(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [0.2, 0.5, 1, 2].map((digit) => digit * power).find((size) => most / size <= 5);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** Return a line across the chart at a value, and its name beside it. */
const level = (value, y, right) => [
  make("line", { x1: MARGIN.left, x2: right, y1: y(value), y2: y(value), class: "grid" }),
  make("text", { x: MARGIN.left - 6, y: y(value) + 4, class: "tick end" }, String(value)),
];

/** Return the names of some epochs, and what they are. */
function epochTicks(from, to, x, { width, height, right, bottom }, what = "epoch") {
  const ticks = nice(from, to, Math.max(2, Math.floor(width / 70)));
  return [
    ...ticks.map((epoch) => make("text", { x: x(epoch), y: bottom + 14, class: "tick middle" }, String(epoch))),
    make("text", { x: (MARGIN.left + right) / 2, y: height - 3, class: "tick middle" }, what),
  ];
}

/** Return the path through values over epochs; where one is missing (null, NaN) the line breaks. */
function linePath(epochs, values, x, y) {
  let pen = "M";
  const points = Array.from(values, (value, i) => {
    if (value === null || Number.isNaN(value)) return (pen = "M") && "";
    const point = `${pen}${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return point;
  });
  return points.join("");
}
