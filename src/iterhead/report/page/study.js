// From the data to the page of a study.

function showStudy(data) {
  const { facts } = data;
  const colours = new Colours();
  const cells = new Cells(data);
  const state = new State({ cell: firstShown(facts, cells), seed: 0, score: "accuracy", theme: 0 });
  byId("chosen").replaceChildren(...facts.study.chosen.map((text) => make("li", {}, ...typeset(text))));
  byId("figures-part").hidden = !byId("figures-part").querySelector("figure");
  byId("claims-part").hidden = !facts.claims.length;
  fillClaims(byId("claims"), [{ claims: facts.claims }]);
  const maps = new CellMaps(data, cells, state, colours);
  const list = new CellList(cells, maps.shown(), state);
  const runs = new RunList(cells, state);
  const curves = new SeedCurves(cells, state);
  const done = cells.list.filter((_, index) => cells.measured(index).length).length;
  byId("cells-text").textContent = `${done.toLocaleString("en")} of ${counted(cells.list.length, "cell")} measured`;
  const how = facts.maps.length ? "The maps of the figures again, to look into." : "One setting in each row.";
  byId("cells-how").textContent = `${how} Choosing a cell shows its runs below.`;
  const sentences = [
    facts.left_out,
    "Scores of runs: on all test sequences, at the end. Curves: on some test sequences of each length, at regular " +
      "evaluations. Shares on this page are rounded down to a ten-thousandth.",
    "Nothing is loaded from elsewhere, and nothing leaves this page.",
  ];
  byId("origin").replaceChildren(...sentences.filter(Boolean).map((sentence) => make("li", {}, ...typeset(sentence))));
  followTheme(colours, state);
  globalThis.report = { ...data, cells, state, maps, list, runs, curves };
}

/** Return the cell to begin with: the most accurate one of the first map, else the first that is measured. */
function firstShown(facts, cells) {
  const mapped = facts.maps[0]?.panels[0].cells.flat().filter((index) => index >= 0 && cells.measured(index).length);
  if (mapped?.length) return mapped[argmax(mapped.map((index) => cells.mean(index, "accuracy")))];
  return Math.max(
    0,
    cells.list.findIndex((_, index) => cells.measured(index).length),
  );
}

start(showStudy);
