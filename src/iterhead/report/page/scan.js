// From the data to the page of a scan.

function showScan(data) {
  const { facts } = data;
  const colours = new Colours();
  const heads = new Heads(data);
  const examples = facts.examples.map((_, index) => new Example(data, index));
  const { layer, head, role } = heads.best("iteration") ?? { layer: 0, head: 0, role: "iteration" };
  const middle = Math.floor((examples.length - 1) / 2);
  const state = new State({
    place: { layer, head, role },
    example: middle,
    step: Math.ceil(examples[middle]?.length / 2) || 1,
    answers: 0,
    pointed: -1,
    highlighted: null,
    theme: 0,
  });
  byId("summary").hidden = !byId("summary").textContent;
  showLengths(facts.behaviour);
  const pictures = showPictures(heads, state, colours);
  byId("prompt-part").hidden = !examples.length;
  if (examples.length) showPrompt(facts, heads, examples, state, colours);
  showCausal(facts.causal);
  new BestHeads(heads, state);
  showScanOrigin(facts, heads);
  followTheme(colours, state);
  globalThis.report = { ...data, heads, examples, pictures, state }; // for the console, and for the tests
}

function showPrompt(facts, heads, examples, state, colours) {
  /** What is shown: a prompt, a step, and where the chosen head looks from there. */
  const view = () => {
    const { place, step, example: index, answers, highlighted } = state.values;
    const example = examples[index];
    const competing = heads.get(place)?.competing;
    const keys = example.at(place.role, step, competing);
    const weights = example.weights(heads.mapIndex(place), place.role, step);
    const rival = keys.rivals.find(({ name }) => name === competing);
    return { example, role: place.role, step, weights, keys, rival, highlighted, answers: example.answers[answers] };
  };
  offerExamples(examples, state);
  offerRoles(state);
  followSteps(examples, state);
  new PromptText(state, colours, view);
  new Reading(state, view);
  new AnswersTable(state, view);
  state.watch(["place"], () => {
    const place = state.get("place");
    byId("head-text").textContent = headName(place.layer, place.head);
    const entry = heads.mapIndex(place);
    byId("no-maps").hidden = entry !== undefined;
    setText(
      byId("no-maps"),
      `The attention of ${headName(place.layer, place.head)} is not in this page, which has room for ${counted(heads.kept.size, "head")}, those with the best scores.`,
    );
  });
  state.watch(["place", "theme"], () => paintRamp(byId("prompt-ramp"), state.get("place").role, colours));
  state.watch(["example"], () => {
    const { note } = examples[state.get("example")];
    setText(byId("example-note"), note);
    byId("example-note").hidden = !note;
  });
}

function offerExamples(examples, state) {
  const options = examples.map(({ length }, index) =>
    make("option", { value: index }, `${counted(length, "input")}, ${counted(examples[index].tokens.length, "token")}`),
  );
  const select = byId("example");
  select.replaceChildren(...options);
  select.value = state.get("example");
  select.addEventListener("change", () => {
    const index = Number(select.value);
    const { length, answers } = examples[index];
    const kept = Math.min(state.get("answers"), answers.length - 1);
    state.set({ example: index, step: Math.min(state.get("step"), length), answers: kept, pointed: -1, highlighted: null });
  });
}

function offerRoles(state) {
  const inputs = ROLES.map((role) =>
    make("input", {
      type: "radio",
      name: "role",
      value: role,
      change: () => state.set({ place: { ...state.get("place"), role } }),
    }),
  );
  const about = (role) => [`as ${ROLE_TITLES[role]}, looking at `, ...typeset(ROLE_KEYS[role])];
  byId("roles").append(...inputs.map((input) => make("label", {}, input, make("span", {}, ...about(input.value)))));
  state.watch(["place"], () => inputs.forEach((input) => (input.checked = input.value === state.get("place").role)));
}

/** Join the slider and the two buttons to the step. */
function followSteps(examples, state) {
  const slider = byId("step");
  const length = () => examples[state.get("example")].length;
  const go = (step) => state.set({ step: Math.min(Math.max(step, 1), length()) });
  slider.addEventListener("input", () => go(Number(slider.value)));
  byId("back").addEventListener("click", () => go(state.get("step") - 1));
  byId("forward").addEventListener("click", () => go(state.get("step") + 1));
  state.watch(["step", "example"], () => {
    const step = state.get("step");
    Object.assign(slider, { max: length(), value: step });
    byId("step-text").textContent = `t = ${step} of ${length()}`;
    slider.setAttribute("aria-valuetext", `step ${step} of ${length()}`);
    byId("back").disabled = step === 1;
    byId("forward").disabled = step === length();
  });
}

start(showScan);
