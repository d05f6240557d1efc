// trend draws one curve with where it leads: its slope as a line, and between
// the slope's bounds a band. Three quarters of the picture are the past, one is
// what comes if it goes on.
import { attribute, el, text } from "./dom.js";
import { clock, mebibytes, span } from "./format.js";

const space = "http://www.w3.org/2000/svg";
const [width, height] = [360, 110];
const now = 0.75 * width; // where the present is
const fewest = 30; // slots shown at least, so that a young curve isn't a wall

export function trend(name) {
  const svg = document.createElementNS(space, "svg");
  attribute(svg, "viewBox", `0 0 ${width} ${height}`);
  attribute(svg, "preserveAspectRatio", "none");
  attribute(svg, "role", "img");
  const [area, band, mark, present, line, slope, hair] = ["area", "band", "mark", "present", "line", "slope", "hair"].map((c) => {
    const p = document.createElementNS(space, "path");
    attribute(p, "class", c);
    svg.append(p);
    return p;
  });
  attribute(present, "d", `M${now} 0V${height}`);
  const readout = el("output", "readout");
  attribute(readout, "aria-hidden", "true");
  const top = el("span", "top-mark");
  const [from, here, to] = [el("span"), el("span", "here", "now"), el("span")];
  const axis = el("p", "axis muted", from, here, to);
  attribute(axis, "aria-hidden", "true");
  attribute(top, "aria-hidden", "true");
  const root = el("div", "chart trend", svg, top, axis, readout);

  let drawn = { curve: [], shown: fewest, end: 0, step: 10 };
  svg.addEventListener("pointermove", (e) => {
    const box = svg.getBoundingClientRect();
    const x = ((e.clientX - box.left) / box.width) * width;
    const back = Math.round((1 - x / now) * (drawn.shown - 1));
    const v = drawn.curve[drawn.curve.length - 1 - back] ?? null;
    attribute(hair, "d", v === null ? "" : `M${now * (1 - back / (drawn.shown - 1))} 0V${height}`);
    text(readout, v === null ? "" : `${clock(new Date((drawn.end - back) * drawn.step * 1000))} · ${mebibytes(v)}`);
  });
  svg.addEventListener("pointerleave", () => {
    attribute(hair, "d", "");
    text(readout, "");
  });

  return {
    root,
    // update draws the curve, in MiB a slot, and leak, as a heartbeat tells it.
    update(history, curve, leak, at) {
      const shown = Math.min(history.slots, Math.max(fewest, history.end - history.start + 1));
      const past = (shown - 1) * history.step; // seconds
      const ahead = past / 3;
      const minute = (v) => (v ?? 0) / (1 << 20) / 60; // MiB a second
      const live = leak.live_bytes / (1 << 20);
      const peak = Math.max(live, ...curve.map((v) => v ?? 0));
      const ceiling = (leak.ceiling_bytes ?? 0) / (1 << 20);
      const goal = leak.suspected ? live + ahead * minute(leak.bytes_per_minute_high) : 0;
      const most = Math.max(1, 1.2 * peak, 1.05 * goal);
      const x = (seconds) => (now * (1 + seconds / past)).toFixed(1);
      const y = (v) => (height * (1 - Math.max(0, Math.min(v, most)) / most)).toFixed(1);
      const runs = split(curve.slice(-shown)).map((run) => run.map(([i, v]) => `${x((i - Math.min(curve.length, shown) + 1) * history.step)} ${y(v)}`));
      attribute(line, "d", runs.map((r) => `M${r.length === 1 ? `${r[0]}l3 0` : r.join("L")}`).join(""));
      attribute(area, "d", runs.filter((r) => r.length > 1).map((r) => `M${r[0].split(" ")[0]} ${height}L${r.join("L")}V${height}Z`).join(""));
      attribute(mark, "d", ceiling && ceiling < most ? `M0 ${y(ceiling)}H${width}` : "");
      let [lead, wedge] = ["", ""];
      if (leak.suspected) {
        const open = Math.min(past, Math.max(0, (at - Date.parse(leak.since ?? at)) / 1000));
        const to = (seconds, rate) => `${x(seconds)} ${y(live + seconds * minute(rate))}`;
        const { bytes_per_minute: mid, bytes_per_minute_low: low, bytes_per_minute_high: high } = leak;
        lead = `M${to(-open, mid)}L${to(0, mid)}L${to(ahead, mid)}`;
        wedge = `M${to(0, mid)}L${to(ahead, high)}L${to(ahead, low)}Z`;
        if (open > 0) wedge += `M${to(0, mid)}L${to(-open, high)}L${to(-open, low)}Z`;
      }
      attribute(slope, "d", lead);
      attribute(band, "d", wedge);
      text(top, mebibytes(most));
      text(from, `−${about(past)}`);
      text(to, `+${about(ahead)}`);
      attribute(svg, "aria-label", `${name}: ${words(curve, shown, history, leak)}`);
      drawn = { curve, shown, end: history.end, step: history.step };
    },
  };
}

const about = (s) => (s < 100 ? `${Math.round(s)} s` : s < 6000 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`);

// words say what the picture shows.
function words(curve, shown, history, leak) {
  const seen = curve.slice(-shown);
  const first = seen.findIndex((v) => v !== null);
  const rate = (v) => mebibytes((v ?? 0) / (1 << 20));
  let said = `${mebibytes(leak.live_bytes / (1 << 20))} now`;
  if (first >= 0 && first < seen.length - 1) said += `, ${mebibytes(seen[first])} ${span((seen.length - 1 - first) * history.step)} ago`;
  if (!leak.suspected) return `${said}; no leak is suspected`;
  said += `; a leak of ${rate(leak.bytes_per_minute)} a minute is suspected, at least ${rate(leak.bytes_per_minute_low)}, at most ${rate(leak.bytes_per_minute_high)}`;
  return leak.ceiling_seconds ? `${said}; at its ceiling in ${span(leak.ceiling_seconds)}` : said;
}

// split makes runs of [index, value] between gaps. What is measured seldom is
// joined over short ones.
function split(curve) {
  const runs = [];
  let last = -Infinity;
  curve.forEach((v, i) => {
    if (v === null) return;
    if (i - last > 6) runs.push([]);
    runs.at(-1).push([i, v]);
    last = i;
  });
  return runs;
}
