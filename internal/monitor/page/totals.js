// The row of figures at the top.
import { el, text, attribute } from "./dom.js";
import { chart } from "./chart.js";
import { brief, count, rate, span } from "./format.js";

export function totals(root) {
  const tile = (name, className = "") => {
    const value = el("dd", "value", "–");
    const note = el("dd", "note muted");
    const box = el("div", `tile ${className}`, el("dt", "", name), value, note);
    list.append(box);
    return { box, value, note };
  };
  const list = el("dl");
  root.append(list);
  const flow = tile("Tasks per second", "wide");
  const picture = chart("Tasks per second", "flow", ["rate"], 60, (v) => `${rate(v)}/s`);
  flow.box.append(el("dd", "picture", picture.root));
  const waiting = tile("Waiting");
  const running = tile("Running");
  const oldest = tile("Oldest wait");
  const failing = tile("Failing");
  const dead = tile("Dead letters");

  return (s, curves) => {
    const t = s.total;
    text(flow.value, rate(t.per_second));
    const peak = Math.max(0, ...curves.get("rate").map((v) => v ?? 0));
    text(flow.note, `peak ${rate(peak)}`);
    picture.update(curves, [curves.get("rate")], { words: `now ${rate(t.per_second)}, highest ${rate(peak)}` });
    text(waiting.value, count(t.waiting));
    const full = s.queues.filter((q) => q.waiting >= q.limit).length;
    text(waiting.note, full ? `${full} of ${s.queues.length} queues full` : `in ${s.queues.length} queues`);
    text(running.value, count(t.active));
    text(running.note, `${count(t.busy)} of ${count(t.slots)} slots busy`);
    text(oldest.value, span(t.oldest_seconds));
    text(oldest.note, "for a slot");
    text(failing.value, `${rate(t.failed_per_second)}/s`);
    attribute(failing.value, "data-level", t.failed_per_second > 0 ? "warn" : "ok");
    text(failing.note, t.per_second > 0 ? `${Math.round((100 * t.failed_per_second) / t.per_second)} % of attempts` : "no attempts now");
    text(dead.value, brief(t.archived));
    text(dead.note, t.archived ? "archived: replay or delete" : "nothing archived");
  };
}
