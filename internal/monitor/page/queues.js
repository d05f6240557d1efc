// The page of the queues, and how many workers they need.
import { start } from "./app.js";
import { chart } from "./chart.js";
import { el, text, attribute, keyed, meter } from "./dom.js";
import { brief, bytes, count, fine, percent, rate, span } from "./format.js";
import { cells, link, write } from "./table.js";
import { verdict } from "./verdict.js";

const by = (id) => document.getElementById(id);
const queues = keyed(by("queues").tBodies[0], queue);
const needs = keyed(by("plan").tBodies[0], need);

start(verdict(by("verdict")), (s, curves) => {
  text(by("queues-note"), `${count(s.total.waiting)} wait, ${count(s.total.active)} run`);
  queues(s.queues, (q) => q.queue, s, curves);
  const p = s.plan;
  const why = p.for === "min" ? "the fewest that are allowed" : p.for === "memory" ? "decided by memory" : `decided by ${p.for}`;
  text(by("plan-note"), `${count(p.desired_workers)} wanted, ${why}; ${count(s.total.nodes_taking)} take tasks`);
  needs(p.kinds ?? [], (n) => n.kind, s);
});

const seconds = (v) => (v > 0 ? fine(v) : "–");

function queue(q) {
  const { row, all } = cells(by("queues"));
  const [name, depth, pending, running, retry, scheduled, dead, p50, p95, oldest, drain, picture] = all;
  const paused = el("span", "chip warn", "paused");
  name.append(el("strong", "mono", q.queue), " ", paused);
  const bar = meter(`${q.queue}: waiting against the limit`);
  const words = el("p", "depth");
  depth.append(words, bar.root);
  const waiting = chart(`${q.queue}, waiting`, "low", ["waiting"], 30, (v) => `${brief(v)} waiting`);
  const wait = chart(`${q.queue}, wait p95`, "low wait", ["wait"], 30, (v) => seconds(v));
  picture.append(el("div", "pair", waiting.root, wait.root));
  const deadLink = link(`/tasks?state=archived&kind=${encodeURIComponent(q.kind)}`, "");
  return {
    root: row,
    update(q, s, curves) {
      paused.hidden = !q.paused;
      const part = q.waiting / q.limit;
      text(words, `${count(q.waiting)} of ${brief(q.limit)}`);
      attribute(words, "data-level", part >= 1 ? "bad" : part >= s.marks.queue ? "warn" : "ok");
      bar.update(q.waiting, q.limit, s.marks.queue, `${count(q.waiting)} of ${count(q.limit)} wait, ${percent(part)}`);
      write(pending, brief(q.counts.pending ?? 0));
      write(running, brief(q.counts.active ?? 0));
      write(retry, brief(q.counts.retry ?? 0));
      write(scheduled, brief(q.counts.scheduled ?? 0));
      if (q.counts.archived) {
        text(deadLink, brief(q.counts.archived));
        if (deadLink.parentNode !== dead) dead.replaceChildren(deadLink);
      } else write(dead, "0");
      write(p50, seconds(q.wait_p50_seconds));
      write(p95, seconds(q.wait_p95_seconds));
      write(oldest, seconds(q.oldest_seconds));
      const idle = !(q.counts.pending || q.counts.retry);
      write(drain, idle ? "–" : q.paused ? "paused" : q.drain_seconds === null ? "not known" : span(q.drain_seconds));
      // One that was empty for as long as is known needs no picture.
      const line = curves.get("waiting", q.queue);
      row.classList.toggle("idle", q.wait_p50_seconds === 0 && line.every((v) => !v) && Object.values(q.counts).every((n) => n === 0));
      waiting.update(curves, [line], { words: `now ${count(q.waiting)}` });
      wait.update(curves, [curves.get("wait", q.queue)], { words: `now ${seconds(q.wait_p95_seconds)}` });
    },
  };
}

function need() {
  const { row, all } = cells(by("plan"));
  const [name, arriving, takes, memory, busy, slots, workers] = all;
  return {
    root: row,
    update(n, s) {
      const k = s.kinds.find((k) => k.kind === n.kind) ?? {};
      text(name, n.kind);
      write(arriving, `${rate(k.arrive_per_second ?? 0)}/s`);
      write(takes, seconds(k.seconds_per_task));
      write(memory, k.peak_memory_bytes ? bytes(k.peak_memory_bytes) : "–");
      write(busy, `${count(k.busy ?? 0)} of ${count(k.slots ?? 0)}`);
      write(slots, n.slots.toFixed(1));
      write(workers, n.workers.toFixed(1));
    },
  };
}
