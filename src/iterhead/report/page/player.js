// The slider through the stored networks, with play and step.

const WHOLE_STORY = 7000; // milliseconds from the first network to the last
const SLOWEST = 450;
const FASTEST = 80;

class Player {
  constructor(epochs, state) {
    Object.assign(this, { epochs, state, timer: null });
    const slider = byId("epoch");
    slider.max = epochs.length - 1;
    slider.addEventListener("input", () => this.go(Number(slider.value)));
    byId("back").addEventListener("click", () => this.go(this.state.get("stop") - 1));
    byId("forward").addEventListener("click", () => this.go(this.state.get("stop") + 1));
    byId("play").addEventListener("click", () => (this.timer === null ? this.play() : this.pause()));
    state.watch(["stop"], () => this.show());
    this.label();
  }

  show() {
    const stop = this.state.get("stop");
    const last = this.epochs.length - 1;
    const when = this.epochs[stop] === 0 ? "before training" : `epoch ${this.epochs[stop]}`;
    const slider = byId("epoch");
    slider.value = stop;
    slider.setAttribute("aria-valuetext", when);
    byId("epoch-text").textContent = capital(when);
    byId("back").disabled = stop === 0;
    byId("forward").disabled = stop === last;
  }

  /** Show one network, and stop playing. */
  go(stop) {
    this.pause();
    this.state.set({ stop: Math.min(Math.max(stop, 0), this.epochs.length - 1) });
  }

  /** Show one network after another, from the beginning if the last one is shown. */
  play() {
    const last = this.epochs.length - 1;
    if (this.state.get("stop") === last) this.state.set({ stop: 0 });
    const pause = Math.min(SLOWEST, Math.max(FASTEST, WHOLE_STORY / (last + 1)));
    this.timer = setInterval(() => {
      const next = this.state.get("stop") + 1;
      this.state.set({ stop: Math.min(next, last) });
      if (next >= last) this.pause();
    }, pause);
    this.label();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.label();
  }

  label() {
    byId("play").textContent = this.timer === null ? "▶ Play" : "❚❚ Pause";
    byId("play").setAttribute("aria-label", this.timer === null ? "Play the training" : "Pause");
  }
}
