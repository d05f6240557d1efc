// Curves keeps the history as the server does: time is cut into slots, a curve
// has at most one value a slot, the highest, and null where there was none.
export class Curves {
  step = 10; // seconds
  slots = 360;
  end = 0; // the newest slot
  start = 0; // the oldest slot that any curve has
  #lines = new Map();

  load(past) {
    this.step = past.step_seconds;
    this.slots = past.slots;
    this.end = past.end;
    this.start = past.end;
    this.#lines.clear();
    for (const c of past.curves) {
      this.#lines.set(key(c.what, c.of), c.points);
      this.start = Math.min(this.start, past.end - c.points.length + 1);
    }
  }

  // advance goes on to the slot of a moment; curves that get no value there
  // have a gap.
  advance(at) {
    const slot = Math.floor(at / 1000 / this.step);
    if (this.#lines.size === 0) this.start = this.end = slot;
    const gap = Math.min(slot - this.end, this.slots);
    for (const line of this.#lines.values()) {
      for (let i = 0; i < gap; i++) line.push(null);
      if (line.length > this.slots) line.splice(0, line.length - this.slots);
    }
    this.end = Math.max(this.end, slot);
    this.start = Math.max(this.start, this.end - this.slots + 1);
  }

  put(what, of, value) {
    let line = this.#lines.get(key(what, of));
    if (!line) this.#lines.set(key(what, of), (line = [null]));
    const last = line.length - 1;
    line[last] = Math.max(line[last] ?? 0, value);
  }

  // retain drops the curves of nodes that are no longer known.
  retain(what, known) {
    for (const k of this.#lines.keys()) {
      const [w, of] = JSON.parse(k);
      if (w === what && !known.has(of)) this.#lines.delete(k);
    }
  }

  // get returns a curve whose last value is of slot end.
  get(what, of = "") {
    return this.#lines.get(key(what, of)) ?? [];
  }

  // seconds is how far back the curves reach.
  get seconds() {
    return (this.end - this.start + 1) * this.step;
  }
}

const key = (what, of) => JSON.stringify([what, of]);
