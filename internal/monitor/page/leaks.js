// The page of the leaks: what stays alive in the processes of each kind, on
// each node, and where that leads.
import { start } from "./app.js";
import { el, text, attribute, keyed, facts, meter } from "./dom.js";
import { bytes, count, moment, span } from "./format.js";
import { cells, write } from "./table.js";
import { trend } from "./trend.js";

const by = (id) => document.getElementById(id);
const most = 60; // cards at once
const cards = keyed(by("leaks"), card);
const rows = keyed(by("incidents").tBodies[0], row);

start((s, curves) => {
  const up = s.nodes.filter((n) => n.up);
  const all = up.flatMap((n) => (n.leaks ?? []).map((l) => ({ ...l, node: n.id })));
  all.sort((a, b) => b.suspected - a.suspected || a.kind.localeCompare(b.kind)); // nodes keep their order
  sentence(s, all, up);
  by("no-leaks").hidden = all.length > 0 || !s.redis.up;
  cards(all.slice(0, most), (l) => `${l.kind}@${l.node}`, s, curves);
  by("leaks-hidden").hidden = all.length <= most;
  text(by("leaks-hidden"), `${count(Math.max(0, all.length - most))} more that are steady are not shown.`);
  const past = s.leak_incidents;
  rows(past, (i) => `${i.kind}@${i.node}@${i.since}`);
  by("incidents-sheet").hidden = past.length === 0;
  by("incidents-none").hidden = past.length > 0;
  text(by("step"), span(curves.step));
});

function sentence(s, all, up) {
  const open = all.filter((l) => l.suspected);
  const kinds = [...new Set(open.map((l) => l.kind))];
  let words = "Nothing is known while Redis is away.";
  let level = "none";
  if (s.redis.up && open.length) {
    level = "warn";
    const where = new Set(open.map((l) => l.node)).size;
    words = `${kinds.join(", ")} ${kinds.length === 1 ? "is" : "are"} suspected of a leak, on ${count(where)} of ${count(up.length)} nodes.`;
  } else if (s.redis.up) {
    level = all.length ? "ok" : "idle";
    words = all.length ? "No leak is suspected." : "Nothing has been measured yet.";
  }
  attribute(by("leaks-verdict"), "data-level", level);
  text(by("leaks-verdict").querySelector(".sentence"), words);
  text(by("leaks-note"), all.length ? `${count(all.length)} measured, ${count(open.length)} suspected` : "");
}

// rate writes a growth by minute with its sign.
const rate = (v) => (v === undefined ? "–" : `${v < 0 ? "−" : "+"}${bytes(Math.abs(v))}`);

// change is by how much what is alive differs from what the curve begins with.
const change = (curve, live) => rate(live - (curve.find((v) => v !== null) ?? 0) * (1 << 20));

const names = ["alive now", "change shown", "a minute", "99 % bounds", "a task", "ceiling in", "since"];

function card(leak) {
  const state = el("span", "chip");
  const title = el("h2", "", leak.kind);
  const where = el("p", "where muted", leak.node);
  where.title = leak.node;
  const bar = meter(`${leak.kind} on ${leak.node}: live memory against its ceiling`);
  const picture = trend(`${leak.kind} on ${leak.node}, live memory`);
  const figures = facts("facts pair-up", names);
  const root = el("article", "card leak", el("header", "", title, state), where, bar.root, picture.root, figures.root);
  root.setAttribute("aria-label", `${leak.kind} on node ${leak.node}`);
  return {
    root,
    update(l, s, curves) {
      text(state, l.suspected ? "leak suspected" : "steady");
      attribute(state, "class", `chip ${l.suspected ? "warn" : "ok"}`);
      const full = l.ceiling_bytes ? `${bytes(l.live_bytes)} of ${bytes(l.ceiling_bytes)}` : bytes(l.live_bytes);
      bar.root.hidden = !l.ceiling_bytes;
      bar.update(l.live_bytes, l.ceiling_bytes ?? 0, s.marks.memory, full);
      const curve = curves.get("live", `${l.kind}@${l.node}`);
      figures.show("alive now", full);
      figures.show("change shown", l.suspected ? "" : change(curve, l.live_bytes));
      figures.show("a minute", l.suspected && rate(l.bytes_per_minute));
      figures.show("99 % bounds", l.suspected && `${rate(l.bytes_per_minute_low)} to ${rate(l.bytes_per_minute_high)}`);
      figures.show("a task", l.suspected && l.bytes_per_task && rate(l.bytes_per_task));
      figures.show("ceiling in", l.suspected && l.ceiling_seconds && span(l.ceiling_seconds));
      figures.show("since", l.suspected && l.since && moment(new Date(l.since)));
      picture.update(curves, curve, l, Date.parse(s.sampled_at));
    },
  };
}

function row() {
  const { row, all } = cells(by("incidents"));
  const [kind, node, state, since, ended, rateCell, low, high] = all;
  return {
    root: row,
    update(i) {
      write(kind, i.kind);
      write(node, i.node);
      write(state, i.ended ? (i.node_gone ? "ended with its node" : "ended") : "open");
      write(since, moment(new Date(i.since)));
      write(ended, i.ended ? moment(new Date(i.ended)) : "–");
      write(rateCell, rate(i.bytes_per_minute));
      write(low, rate(i.bytes_per_minute_low));
      write(high, rate(i.bytes_per_minute_high));
    },
  };
}
