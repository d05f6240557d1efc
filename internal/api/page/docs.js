"use strict";
// Shows /openapi.json and sends requests to try it. No library, no other host.

const el = (tag, props = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
};

const bodyOf = (op) => op.requestBody?.content?.["application/json"];

function exampleOf(body) {
  const first = Object.values(body.examples ?? {})[0];
  return JSON.stringify(first?.value ?? {}, null, 2);
}

// fields makes an input for each parameter and returns them with their element.
function fields(op, id) {
  return (op.parameters ?? []).map((p) => {
    const input = el("input", { id: `${id}-${p.in}-${p.name}`, spellcheck: false, autocomplete: "off" });
    if (p.example !== undefined) input.placeholder = String(p.example);
    const label = el("label", { htmlFor: input.id }, `${p.name} `, el("small", {}, `${p.in}${p.required ? ", needed" : ""}. ${p.description ?? ""}`));
    return { p, input, label };
  });
}

function requestOf(method, path, inputs, body) {
  const headers = {}, query = new URLSearchParams();
  for (const { p, input } of inputs) {
    if (input.value === "") continue;
    if (p.in === "path") path = path.replace(`{${p.name}}`, encodeURIComponent(input.value));
    if (p.in === "query") query.set(p.name, input.value);
    if (p.in === "header") headers[p.name] = input.value;
  }
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const search = query.toString();
  return [path + (search ? `?${search}` : ""), { method, headers, body: body?.value }];
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

async function send(out, request) {
  out.textContent = "…";
  try {
    const started = performance.now();
    const answer = await fetch(...request);
    const text = await answer.text();
    const named = ["location", "retry-after", "etag", "x-request-id"].filter((n) => answer.headers.get(n)).map((n) => `${n}: ${answer.headers.get(n)}\n`).join("");
    out.textContent = `${answer.status} in ${Math.round(performance.now() - started)} ms\n${named}\n${pretty(text)}`;
  } catch (e) {
    out.textContent = `no answer: ${e.message}`;
  }
}

function operation(method, path, op) {
  const id = op.operationId ?? `${method}-${path}`;
  const inputs = fields(op, id);
  const body = bodyOf(op) ? el("textarea", { id: `${id}-body`, spellcheck: false, value: exampleOf(bodyOf(op)) }) : null;
  const out = el("pre", {}, "");
  out.setAttribute("aria-live", "polite");
  const form = el("form", {}, ...inputs.flatMap((f) => [f.label, f.input]));
  if (body) form.append(el("label", { htmlFor: body.id }, "body"), body);
  form.append(el("button", { type: "submit" }, "Send"), out);
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    send(out, requestOf(method.toUpperCase(), path, inputs, body));
  });
  const statuses = Object.keys(op.responses ?? {}).filter((s) => s !== "default").join(", ");
  return el("details", { id }, el("summary", {}, el("span", { className: "method" }, method.toUpperCase()), el("code", {}, path), ` ${op.summary ?? ""}`),
    el("div", {}, el("p", {}, op.description ?? ""), el("p", {}, `Answers: ${statuses}`), form));
}

function show(spec) {
  document.getElementById("about").textContent = `Version ${spec.info.version}. ${spec.info.description ?? ""}`;
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, op] of Object.entries(item)) {
      const tag = op.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, el("section", {}, el("h2", {}, tag)));
      groups.get(tag).append(operation(method, path, op));
    }
  }
  document.getElementById("operations").append(...groups.values());
}

fetch("/openapi.json").then((r) => r.json()).then(show).catch((e) => {
  document.getElementById("about").textContent = `The description could not be loaded: ${e.message}`;
});
