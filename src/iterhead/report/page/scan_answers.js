// The answers step by step, as they are and under an intervention.

const ANSWER_MARKS = { right: ["✓", "right"], follows: ["F", "follows F"], wrong: ["✗", "wrong"] };

class AnswersTable {
  constructor(state, getView) {
    Object.assign(this, { state, getView });
    state.watch(["example"], () => this.offer());
    state.watch(["example", "answers", "step"], () => this.fill());
  }

  /** Offer the interventions that were made on this prompt. */
  offer() {
    const { example } = this.getView();
    const chosen = this.state.get("answers");
    const choices = example.answers.map((answers, index) => {
      const input = make("input", {
        type: "radio",
        name: "intervention",
        value: index,
        checked: index === chosen,
        change: () => this.state.set({ answers: index }),
      });
      return make("label", {}, input, make("span", {}, ...typeset(answers.name || "none")));
    });
    byId("interventions").replaceChildren(make("legend", {}, "Intervention"), ...choices);
    byId("interventions").hidden = choices.length < 2;
  }

  fill() {
    const { example, answers } = this.getView();
    const own = example.answers[0];
    const steps = Array.from({ length: example.length }, (_, i) => i + 1);
    const predicts = answers.predicted.some((token) => token !== null);
    const rows = [
      this.row("input x_t", steps, (step) => plainCell(example.text(example.inputs[step - 1]))),
      this.row("right s_t", steps, (step) => plainCell(visible(example.right[step - 1]))),
      this.row("the model", steps, (step) => answerCell(own, step)),
    ];
    if (answers !== own) {
      if (predicts)
        rows.push(this.row("F predicts", steps, (step) => plainCell(visible(answers.predicted[step - 1] ?? "–"))));
      rows.push(this.row(answers.name, steps, (step) => answerCell(answers, step)));
    }
    const heads = steps.map((step) => {
      const choose = () => this.state.set({ step });
      const button = make("button", { type: "button", class: "link", click: choose, "aria-label": `Step ${step}` }, String(step));
      return make("th", { scope: "col", class: this.chosen(step) }, button);
    });
    const corner = make("th", { scope: "row" }, ...typeset("step t"));
    byId("answers").replaceChildren(
      make("thead", {}, make("tr", {}, corner, ...heads)),
      make("tbody", {}, ...rows),
    );
    setText(byId("intervention-about"), answers.about);
    setText(byId("answers-text"), summary(answers));
    this.keepInSight();
  }

  /** Scroll the table, where it is wider than the window, to the chosen step. */
  keepInSight() {
    const box = byId("answers").parentElement;
    const [names, column] = ["th", "th.now"].map((selector) => byId("answers").querySelector(selector));
    const { offsetLeft: left, offsetWidth: width } = column;
    if (left - names.offsetWidth < box.scrollLeft || left + width > box.scrollLeft + box.clientWidth)
      box.scrollLeft = left - names.offsetWidth;
  }

  row(name, steps, cellOf) {
    const cells = steps.map((step) => {
      const cell = cellOf(step);
      if (this.chosen(step)) cell.classList.add("now");
      return cell;
    });
    return make("tr", {}, make("th", { scope: "row" }, ...typeset(name)), ...cells);
  }

  chosen(step) {
    return step === this.state.get("step") ? "now" : "";
  }
}

const plainCell = (text) => make("td", {}, make("span", { class: "text" }, text.trim() || text));

/** Return a cell with an answer and its mark. */
function answerCell(answers, step) {
  const i = step - 1;
  const kind = answers.right[i] ? "right" : answers.follows[i] ? "follows" : "wrong";
  const [sign, words] = ANSWER_MARKS[kind];
  const text = visible(answers.answers[i]);
  return make(
    "td",
    { class: `answer ${kind}` },
    make("span", { class: "text" }, text.trim() || text),
    make("span", { class: `mark ${kind}`, "aria-hidden": "true" }, sign),
    make("span", { class: "unseen" }, ` ${words}`),
  );
}

/** Count the right answers, and those that follow F where it predicts another one. */
function summary(answers) {
  const right = answers.right.filter(Boolean).length;
  const told = answers.follows.filter((follows) => follows !== null);
  const name = answers.name ? `With “${answers.name}”: ` : "The model as it is: ";
  const follow = told.length
    ? ` Of ${counted(told.length, "step")} where F predicts another answer, ${told.filter(Boolean).length} follow it.`
    : "";
  return `${name}${right} of ${counted(answers.right.length, "answer")} right.${follow}`;
}
