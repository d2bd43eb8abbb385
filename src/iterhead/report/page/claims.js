// Claims with their evidence and verdicts: of a network, or of a study over seeds.

const VERDICT_SIGNS = { holds: "✓", "does not hold": "✗", undecided: "?" };

const BOUND_SIGNS = { "at least": "≥", "more than": ">", "at most": "≤" };

/** Return how many claims have which verdict, in words. */
function verdictCounts(claims) {
  return Object.keys(VERDICT_SIGNS)
    .map((verdict) => [claims.filter((claim) => claim.verdict === verdict).length, verdict])
    .filter(([count]) => count)
    .map(
      ([count, verdict]) =>
        `${count} ${count === 1 ? verdict : verdict.replace("holds", "hold").replace("does", "do")}`,
    )
    .join(", ");
}

const CLAIM_COLUMNS = [
  ["no.", ""],
  ["claim", ""],
  ["found", "number"],
  ["95% interval", "number"],
  ["asked", "number"],
  ["verdict", ""],
];

/** Fill a table with claims, in groups {title, claims}; without a title it has no row of its own. */
function fillClaims(table, groups) {
  const head = CLAIM_COLUMNS.map(([name, kind]) => make("th", { scope: "col", class: kind }, name));
  const bodies = groups.map(({ title, claims }) => {
    const spread = { scope: "rowgroup", colspan: CLAIM_COLUMNS.length };
    const heading = title ? [make("tr", { class: "group" }, make("th", spread, ...title))] : [];
    return make("tbody", {}, ...heading, ...claims.map((claim) => make("tr", {}, ...claimCells(claim))));
  });
  table.replaceChildren(make("thead", {}, make("tr", {}, ...head)), ...bodies);
}

/** Return the cells of a claim's row; over no seed at all nothing was found. */
function claimCells(claim) {
  const nothing = claim.seeds === 0 || claim.value === null;
  const seeds = claim.seeds ? ` (${counted(claim.seeds, "seed")})` : "";
  const interval = nothing ? "–" : `${figure(claim.low)} to ${figure(claim.high)}${seeds}`;
  const sentence = claim.sentence ? [make("p", { class: "quiet small" }, ...typeset(claim.sentence))] : [];
  return [
    make("th", { scope: "row" }, claim.id),
    make("td", {}, ...typeset(claim.claim), ...sentence),
    make("td", { class: "number" }, nothing ? "–" : figure(claim.value)),
    make("td", { class: "number quiet" }, interval),
    make("td", { class: "number" }, `${BOUND_SIGNS[claim.bound]} ${claim.threshold.toFixed(2)}`),
    make(
      "td",
      { class: `verdict ${claim.verdict.replaceAll(" ", "-")}` },
      `${VERDICT_SIGNS[claim.verdict]} ${claim.verdict}`,
    ),
  ];
}

/** Return a number with three decimals, a dash for null, and a sign such as ∞ as it is. */
const figure = (value) => (value === null ? "–" : typeof value === "number" ? value.toFixed(3) : value);
