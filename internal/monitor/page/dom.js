// The few things the views do with elements. Data reaches the page only as text
// nodes and attributes, never as markup.

// el makes an element with a class and children; text becomes a text node.
export function el(tag, className = "", ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// text writes only what changed, so that selections and screen readers are
// left in peace.
export function text(e, s) {
  if (e.textContent !== s) e.textContent = s;
}

export function attribute(e, name, value) {
  if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value);
}

// keyed keeps one child of parent per item, in the items' order. make(item)
// returns {root, update(item)}.
export function keyed(parent, make) {
  const views = new Map();
  return (items, key, ...context) => {
    const wanted = new Set(items.map(key));
    for (const [k, view] of views) {
      if (!wanted.has(k)) {
        view.root.remove();
        views.delete(k);
      }
    }
    items.forEach((item, i) => {
      const k = key(item);
      let view = views.get(k);
      if (!view) views.set(k, (view = make(item)));
      if (parent.children[i] !== view.root) parent.insertBefore(view.root, parent.children[i] ?? null);
      view.update(item, ...context);
    });
  };
}

// level says how near a part is to its limit.
export const level = (part, warn) => (part >= 1 ? "bad" : part >= warn ? "warn" : "ok");

// meter is a bar that also says its figure to those who don't see it.
export function meter(name) {
  const fill = el("span", "fill");
  const root = el("div", "meter", fill);
  root.setAttribute("role", "meter");
  root.setAttribute("aria-label", name);
  root.setAttribute("aria-valuemin", 0);
  return {
    root, fill,
    update(value, most, warn, words) {
      const part = most > 0 ? value / most : 0;
      fill.style.inlineSize = `${Math.min(100, 100 * part)}%`;
      attribute(root, "data-level", level(part, warn));
      attribute(root, "aria-valuemax", Math.max(most, value));
      attribute(root, "aria-valuenow", value);
      attribute(root, "aria-valuetext", words);
      root.style.setProperty("--mark", `${100 * warn}%`);
    },
  };
}

// facts is a list of names and figures; show hides those without one.
export function facts(className, names) {
  const root = el("dl", className);
  const values = new Map();
  for (const name of names) {
    const dd = el("dd", "", "–");
    values.set(name, dd);
    root.append(el("div", "", el("dt", "", name), dd));
  }
  const show = (name, s) => {
    values.get(name).parentElement.hidden = !s;
    if (s) text(values.get(name), s);
  };
  return { root, show, set: (name, s) => text(values.get(name), s), mark: (name, m) => attribute(values.get(name), "data-level", m) };
}
