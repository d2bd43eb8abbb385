// What is shown, and listeners for its changes.

class State {
  /** values: at the beginning, by name. */
  constructor(values) {
    this.values = { ...values };
    this.listeners = [];
  }

  get(name) {
    return this.values[name];
  }

  /** Call a listener now, and whenever one of the names changes. */
  watch(names, listener) {
    this.listeners.push({ names, listener });
    listener();
  }

  /** Change values; a listener that watches several of them is called once. */
  set(changes) {
    const changed = Object.keys(changes).filter((name) => this.values[name] !== changes[name]);
    Object.assign(this.values, changes);
    for (const { names, listener } of this.listeners) {
      if (names.some((name) => changed.includes(name))) listener();
    }
  }
}
