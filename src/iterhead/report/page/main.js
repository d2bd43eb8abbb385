// From the data to a page that answers.

async function begin(data) {
  const { facts } = data;
  const colours = new Colours();
  const replay = new Replay(data);
  const last = replay.epochs.length - 1;
  const still = last === 0 || window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const lengths = facts.replay.lengths;
  const head = (facts.best?.[1] ?? [facts.layers - 1, 0]).join(".");
  const state = new State({ stop: still ? last : 0, length: lengths.at(-1), sequence: 0, head, theme: 0, own: "" });
  const player = new Player(replay.epochs, state);
  const chain = new Chain(data, replay, state);
  new Explorer(data, replay, state, colours, chain);
  new Curves(facts, replay, state, colours, player);
  new HeadsTable(data, replay, state);
  showClaims(facts);
  showOrigin(facts);
  byId("no-chain").hidden = facts.cot;
  byId("key").hidden = byId("arcs-text").hidden = !facts.best;
  followTheme(colours, state);
  window.addEventListener("beforeprint", () => player.pause());
  // For the console, and for the tests: report.chain.network, report.state.set({stop: 3}), ...
  globalThis.report = { ...data, replay, state, player, chain, interactive: performance.now() };
  if (!still) player.play();
  await new Promise((done) => setTimeout(done)); // the maps are drawn and answer before the network sets to work
  chain.begin();
}

start(begin);
