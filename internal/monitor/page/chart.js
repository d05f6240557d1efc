// chart draws curves into one SVG, right-aligned in time. Strokes don't scale,
// so it fits any width without being measured.
import { attribute, text } from "./dom.js";
import { clock } from "./format.js";

const space = "http://www.w3.org/2000/svg";
const width = 360;
const fewest = 30; // slots shown at least, so that a young curve isn't a wall

function shape(svg, tag, className) {
  const e = document.createElementNS(space, tag);
  e.setAttribute("class", className);
  svg.append(e);
  return e;
}

// chart makes a picture named name. Each of kinds is a class: it gets a line,
// and the first one an area below it.
export function chart(name, className, kinds, height, write) {
  const root = document.createElement("div");
  root.className = `chart ${className}`;
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const area = shape(svg, "path", `area ${kinds[0]}`);
  const mark = shape(svg, "path", "mark");
  const lines = kinds.map((k) => shape(svg, "path", `line ${k}`));
  const hair = shape(svg, "path", "hair");
  const readout = document.createElement("output");
  readout.className = "readout";
  readout.setAttribute("aria-hidden", "true");
  root.append(svg, readout);

  let drawn = { curves: [], shown: fewest, end: 0, step: 10 };
  root.addEventListener("pointermove", (e) => {
    const box = svg.getBoundingClientRect();
    const back = Math.round((1 - (e.clientX - box.left) / box.width) * (drawn.shown - 1));
    const values = drawn.curves.map((c) => c[c.length - 1 - back] ?? null);
    if (values.every((v) => v === null)) return clear();
    const x = width * (1 - back / (drawn.shown - 1));
    hair.setAttribute("d", `M${x} 0V${height}`);
    const when = clock(new Date((drawn.end - back) * drawn.step * 1000));
    text(readout, `${when} · ${values.map((v) => (v === null ? "–" : write(v))).join(" · ")}`);
  });
  root.addEventListener("pointerleave", clear);
  function clear() {
    hair.removeAttribute("d");
    text(readout, "");
  }

  return {
    root,
    // update draws; most is the height of the picture, warn a mark in it.
    update(history, curves, { most = 0, warn = 0, words = "" } = {}) {
      const shown = Math.min(history.slots, Math.max(fewest, history.end - history.start + 1));
      const peak = curves.reduce((p, c) => c.reduce((q, v) => Math.max(q, v ?? 0), p), 0);
      const top = Math.max(most, most ? peak : peak * 1.1, Number.MIN_VALUE);
      const at = (c, i) => [width * (1 - (c.length - 1 - i) / (shown - 1)), height * (1 - c[i] / top)];
      curves.forEach((c, n) => attribute(lines[n], "d", trace(c, shown, at, (run) => `M${run.join("L")}`)));
      const floor = (run) => `M${run[0][0]} ${height}L${run.join("L")}V${height}Z`;
      attribute(area, "d", trace(curves[0], shown, at, floor));
      attribute(mark, "d", warn ? `M0 ${height * (1 - (most * warn) / top)}H${width}` : "");
      attribute(svg, "aria-label", `${name}: ${words}`);
      drawn = { curves, shown, end: history.end, step: history.step };
    },
  };
}

// trace joins the runs between gaps. A value that stands alone becomes a dash.
function trace(curve, shown, at, join) {
  let d = "";
  let run = [];
  for (let i = Math.max(0, curve.length - shown); i <= curve.length; i++) {
    if (i < curve.length && curve[i] !== null) {
      const [x, y] = at(curve, i);
      run.push([x.toFixed(1), y.toFixed(1)]);
    } else if (run.length) {
      if (run.length === 1) run.unshift([Math.max(0, run[0][0] - 4), run[0][1]]);
      d += join(run);
      run = [];
    }
  }
  return d;
}
