// One card per kind of work: its flow, its slots and its two queues.
import { el, text, attribute, keyed, meter, facts } from "./dom.js";
import { chart } from "./chart.js";
import { brief, count, percent, rate, span } from "./format.js";
import { slots } from "./slots.js";

export function kinds(root) {
  const cards = keyed(root, card);
  return (s, curves) => cards(s.kinds, (k) => k.kind, s, curves);
}

function card(kind) {
  const flow = el("b", "", "–");
  const picture = chart(`${kind.kind}, tasks per second`, "low", ["rate"], 30, (v) => `${rate(v)}/s`);
  const busy = slots(`${kind.kind}: busy slots`);
  const sums = el("p", "sums muted");
  const rows = el("div", "queues");
  const queues = keyed(rows, queue);
  const title = el("h3", "", kind.kind);
  const root = el(
    "article", "card",
    el("header", "", title, el("p", "flow", flow, " tasks/s")),
    picture.root, busy.root, sums, rows,
  );
  title.id = `kind-${kind.kind}`;
  root.setAttribute("aria-labelledby", title.id);
  return {
    root,
    update(k, s, curves) {
      text(flow, rate(k.per_second));
      picture.update(curves, [curves.get("rate", k.kind)], { words: `now ${rate(k.per_second)}` });
      busy.update(k.busy, k.slots);
      text(sums, `${brief(k.completed)} done · ${brief(k.failed)} failed`);
      queues(s.queues.filter((q) => q.kind === k.kind), (q) => q.queue, s, curves);
    },
  };
}

const states = ["pending", "active", "retry", "scheduled", "archived"];

function queue(q) {
  const depth = el("p", "depth");
  const paused = el("span", "chip warn", "paused");
  const bar = meter(`${q.queue}: waiting against the limit`);
  const picture = chart(`${q.queue}, waiting`, "low", ["waiting"], 30, (v) => `${brief(v)} waiting`);
  const figures = facts("facts row", [...states, "oldest"]);
  const root = el(
    "section", "queue",
    el("header", "", el("h4", "", q.queue), paused, depth),
    bar.root, picture.root, figures.root,
  );
  root.setAttribute("aria-label", `Queue ${q.queue}`);
  return {
    root,
    update(q, s, curves) {
      const part = q.waiting / q.limit;
      text(depth, `${count(q.waiting)} of ${brief(q.limit)}`);
      attribute(depth, "data-level", part >= 1 ? "bad" : part >= s.marks.queue ? "warn" : "ok");
      paused.hidden = !q.paused;
      bar.update(q.waiting, q.limit, s.marks.queue, `${count(q.waiting)} of ${count(q.limit)} wait, ${percent(part)}`);
      const line = curves.get("waiting", q.queue);
      const peak = line.reduce((p, v) => Math.max(p, v ?? 0), 0);
      picture.update(curves, [line], { words: `now ${count(q.waiting)}, highest ${brief(peak)}` });
      for (const state of states) figures.set(state, brief(q.counts[state] ?? 0));
      figures.set("oldest", q.oldest_seconds > 0 ? span(q.oldest_seconds) : "–");
      // A queue that was empty for as long as is known needs no picture.
      const idle = q.bulk && peak === 0 && states.every((state) => !q.counts[state]);
      picture.root.hidden = figures.root.hidden = idle;
    },
  };
}
