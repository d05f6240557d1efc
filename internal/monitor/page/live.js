// listen keeps one stream open for as long as the page is. Browsers reconnect
// by themselves after a lost connection, but not after a refusal, and they
// don't notice a line that went dead: both are done here.

const again = 3000; // ms before a new try

export function listen(url, on) {
  let source, watchdog, retry;
  let sampled = null;
  let patience = 8000; // ms without a sample before the line counts as dead

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource(url);
    source.addEventListener("history", (e) => {
      const past = JSON.parse(e.data);
      patience = Math.max(patience, 4000 * past.sample_seconds);
      on.history(past);
    });
    source.addEventListener("sample", (e) => {
      const s = JSON.parse(e.data);
      sampled = s.sampled_at ? new Date(s.sampled_at) : null;
      on.state(s.redis.up ? "live" : "Redis is away", sampled);
      on.sample(s);
      watch();
    });
    source.addEventListener("error", () => {
      on.state("reconnecting", sampled);
      if (source.readyState === EventSource.CLOSED) later();
    });
    watch();
  }

  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      on.state("reconnecting", sampled);
      open();
    }, patience);
  }

  function later() {
    clearTimeout(retry);
    retry = setTimeout(() => signedIn().then(open), again);
  }

  open();
}

// signedIn leaves for the login page if the session has ended.
export async function signedIn() {
  if (!document.getElementById("sign-out")) return; // nobody is asked
  const answer = await fetch("/login/session").catch(() => null);
  if (answer?.status === 204) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}
