// What the pages do when a button is pressed: ask whether that is meant, call,
// and say what came of it.
import { text } from "./dom.js";
import { signedIn } from "./live.js";

const by = (id) => document.getElementById(id);

let end = null; // of the question that is asked now

// confirmed asks, and is true only after a clear yes. A question that is asked
// before the last one's end has come through is not answered twice.
export function confirmed(title, words, yes) {
  const ask = by("ask");
  end?.(false);
  text(by("ask-title"), title);
  text(by("ask-text"), words);
  text(by("ask-yes"), yes);
  ask.returnValue = "no";
  ask.showModal();
  return new Promise((done) => {
    const closed = () => {
      if (!ask.open) end?.(ask.returnValue === "yes"); // else it is the last question's, which comes late
    };
    end = (sure) => {
      ask.removeEventListener("close", closed);
      end = null;
      done(sure);
    };
    ask.addEventListener("close", closed);
  });
}

// act calls the server and returns its answer, or nothing if it failed.
export async function act(url, said, body) {
  try {
    const did = await call(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });
    problem("");
    text(by("announce"), typeof said === "function" ? said(did) : said);
    return did;
  } catch (e) {
    problem(e.message);
  }
}

// call fetches JSON; an answer that says what is wrong becomes an error.
export async function call(url, options) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new Error("The monitor does not answer.");
  }
  if (answer.status === 401) await signedIn();
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(sentence(data.error ?? `The monitor answered ${answer.status}.`)), { status: answer.status });
  return data;
}

// problem shows what went wrong, or nothing.
export function problem(words) {
  const p = by("problem");
  if (!p) {
    if (words) text(by("announce"), words);
    return;
  }
  p.hidden = !words;
  text(p, words);
}

const sentence = (s) => s[0].toUpperCase() + s.slice(1) + (s.endsWith(".") ? "" : ".");
