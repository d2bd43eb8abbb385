// All studies on one page: their claims in one table.

function showStudies({ facts }) {
  const link = (study) => make("a", { href: study.link }, study.name);
  const claiming = facts.studies.filter((study) => study.claims.length);
  byId("claims-part").hidden = !claiming.length;
  fillClaims(
    byId("claims"),
    claiming.map((study) => ({ title: [link(study), ": ", ...typeset(study.title)], claims: study.claims })),
  );
  const silent = facts.studies.filter((study) => !study.claims.length);
  const names = silent.flatMap((study, i) => [i ? ", " : "", link(study)]);
  byId("no-claims").replaceChildren(...(silent.length ? ["Without claims: ", ...names, "."] : []));
  byId("missing-part").hidden = !facts.missing.length;
  byId("missing").replaceChildren(...facts.missing.map((command) => make("li", {}, make("code", {}, command))));
  globalThis.report = { facts };
}

start(showStudies);
