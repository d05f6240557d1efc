package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// answer is what a command line gave.
type answer struct {
	code     int
	out, err string
}

func command(t *testing.T, url, stdin string, args ...string) answer {
	t.Helper()
	return commandContext(t.Context(), url, stdin, args...)
}

func commandContext(ctx context.Context, url, stdin string, args ...string) answer {
	var out, errs bytes.Buffer
	if url != "" {
		args = append(args, "--redis-url", url)
	}
	code := run(ctx, args, config.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return answer{code, out.String(), errs.String()}
}

func (a answer) want(t *testing.T, code int, out, err string) {
	t.Helper()
	if a.code != code || !strings.Contains(a.out, out) || !strings.Contains(a.err, err) {
		t.Errorf("got code %d\nstdout %q\nstderr %q\nwant code %d, %q, %q", a.code, a.out, a.err, code, out, err)
	}
	if strings.Contains(a.out+a.err, "\x1b") {
		t.Errorf("colors without a terminal: %q %q", a.out, a.err)
	}
}

func (a answer) task(t *testing.T) tasks.Task {
	t.Helper()
	var task tasks.Task
	if err := json.Unmarshal([]byte(a.out), &task); err != nil {
		t.Fatalf("stdout is not a task: %v\n%s%s", err, a.out, a.err)
	}
	return task
}

// yard starts Redis and a worker whose jobs tell what they were given.
func yard(t *testing.T) (url string, b *broker.Broker) {
	t.Helper()
	server := brokertest.Server(t, "")
	b = brokertest.Open(t, server.URL)
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		if p.Query == "fail" {
			return tasks.SearchResult{}, fault.PermanentError(tasks.ReasonNotFound, "nothing there")
		}
		return tasks.SearchResult{Total: 1, Token: "1-0", Hits: []tasks.SearchHit{{Title: p.Query, Document: fmt.Sprint(p.Filters), Snippet: "x"}}}, nil
	})
	worker.Register(jobs, tasks.SDKFetch, func(_ context.Context, p tasks.SDKFetchPayload) (tasks.SDKFetchResult, error) {
		if p.Name == "missing" {
			return tasks.SDKFetchResult{}, fault.PermanentError(tasks.ReasonNotFound, "no such package")
		}
		return tasks.SDKFetchResult{Ecosystem: p.Ecosystem, Name: p.Name, Version: p.Version}, nil
	})
	worker.Register(jobs, tasks.ConfigGen, func(_ context.Context, p tasks.ConfigGenPayload) (tasks.ConfigGenResult, error) {
		return tasks.ConfigGenResult{Valid: true, Files: []tasks.ConfigFile{
			{Path: "app.json", Format: "json", Content: string(p.Parameters), Changed: true},
			{Path: "sub/x.txt", Format: "text", Content: "x", Changed: true},
		}}, nil
	})
	worker.Register(jobs, tasks.DocumentParse, func(_ context.Context, p tasks.DocumentParsePayload) (tasks.DocumentParseResult, error) {
		if p.Source.Base64 != "" && p.ContentType == "text/markdown" {
			return tasks.DocumentParseResult{}, tasks.Invalid("payload.source.base64", "is not text")
		}
		return tasks.DocumentParseResult{Title: p.Filename, ContentType: p.ContentType, Markdown: "# " + p.Source.Text, Language: p.URI}, nil
	})
	cfg := worker.DefaultConfig()
	cfg.DrainTimeout = time.Second
	w, err := worker.New(cfg, b, &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.URL, b
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShortcuts(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	payload := file(t, "p.json", `{"query":"from file"}`)
	md := file(t, "guide.md", "hello")
	for name, tt := range map[string]struct {
		stdin string
		args  []string
		code  int
		out   string
		err   string
	}{
		"enqueue waits":             {args: []string{"enqueue", "search", "--payload", `{"query":"inline"}`, "--wait"}, out: " 1. inline"},
		"enqueue reads a file":      {args: []string{"enqueue", "search", "--payload", "@" + payload, "--wait"}, out: "from file"},
		"enqueue reads stdin":       {stdin: `{"query":"from stdin"}`, args: []string{"enqueue", "--wait", "search", "--payload", "-"}, out: "from stdin"},
		"search prints hits":        {args: []string{"search", "two", "words", "--filter", "language=en", "--filter", "language=de"}, out: "two words 0.00\n    map[language:[en de]]"},
		"search fails":              {args: []string{"search", "fail"}, code: 1, out: "search archived, not_found: nothing there"},
		"fetch takes several":       {args: []string{"fetch", "npm:@scope/x@^1", "go:example.com/y"}, out: "npm @scope/x ^1"},
		"fetch shows all, fails":    {args: []string{"fetch", "npm:missing", "npm:there"}, code: 1, out: "npm there"},
		"config prints":             {args: []string{"config", "expo-app", "--set", "a.b=x=y", "--set-json", "a.n=[1,2]"}, out: `{"a":{"b":"x=y","n":[1,2]}}`},
		"parse reads a file":        {args: []string{"parse", md}, out: "guide.md\ntext/markdown ·"},
		"parse prints Markdown":     {args: []string{"parse", md, "--markdown"}, out: "# hello"},
		"parse reads stdin":         {stdin: "text", args: []string{"parse", "-", "--filename", "x.html"}, out: "x.html\ntext/html"},
		"parse takes an address":    {args: []string{"parse", "https://example.com/x", "--content-type", "text/html"}, out: "text/html"},
		"parse names what it files": {args: []string{"parse", md, "--index"}, out: "guide.md"},
		"binary as Markdown":        {args: []string{"parse", file(t, "b.md", "\x00\x01\xff")}, code: 1, out: "payload.source.base64: is not text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command(t, url, tt.stdin, tt.args...).want(t, tt.code, tt.out, tt.err)
		})
	}
}

func TestShortcuts_JSON(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	if got := command(t, url, "", "search", "x", "--json", "--id", "my-id").task(t); got.ID != "my-id" || got.State != tasks.Completed || got.Queue != "search" || len(got.Result) == 0 {
		t.Errorf("got %+v", got)
	}
	a := command(t, url, "", "--json", "search", "fail")
	if got := a.task(t); a.code != 1 || got.State != tasks.Archived || got.Error.Reason != tasks.ReasonNotFound {
		t.Errorf("got %+v", got)
	}
	lines := strings.Split(strings.TrimSpace(command(t, url, "", "fetch", "npm:a", "npm:b@1", "--json").out), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"name":"a"`) || !strings.Contains(lines[1], `"name":"b","version":"1"`) {
		t.Errorf("got %q, want a task a line, in order", lines)
	}
}

func TestConfig_Out(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	dir := filepath.Join(t.TempDir(), "new")
	command(t, url, "", "config", "x", "--set", "a=1", "--out", dir).want(t, 0, "wrote "+filepath.Join(dir, "app.json"), "")
	if got, _ := os.ReadFile(filepath.Join(dir, "sub", "x.txt")); string(got) != "x" {
		t.Errorf("got %q", got)
	}
	command(t, url, "", "config", "x", "--set", "a=2", "--out", dir).want(t, 2, "", "app.json, sub/x.txt are there already; nothing was written")
	if got, _ := os.ReadFile(filepath.Join(dir, "app.json")); string(got) != `{"a":"1"}` {
		t.Errorf("the file was replaced: %q", got)
	}
	if a := command(t, url, "", "config", "x", "--set", "a=2", "--out", dir, "--force", "--json"); a.code != 0 || a.task(t).State != tasks.Completed {
		t.Errorf("got %+v", a)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "app.json")); string(got) != `{"a":"2"}` {
		t.Errorf("--force did not replace the file: %q", got)
	}
	outside := t.TempDir()
	linked := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(linked, "sub")); err != nil {
		t.Fatal(err)
	}
	if a := command(t, url, "", "config", "x", "--out", linked); a.code == 0 {
		t.Errorf("it wrote through a link: %+v", a)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Error("a file lies outside --out")
	}
}

func TestTaskCommands(t *testing.T) {
	t.Parallel()
	b := brokertest.Server(t, "") // without a worker
	a := command(t, b.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`)
	id := strings.TrimSpace(a.out)
	a.want(t, 0, id, "")
	command(t, b.URL, "", "status", id).want(t, 0, "pending", "")
	command(t, b.URL, "", "result", id).want(t, 3, "", "still pending")
	command(t, b.URL, "", "result", id, "--wait", "--wait-timeout", "50ms").want(t, 3, "", "producer result "+id)
	if got := command(t, b.URL, "", "result", id, "--json"); got.code != 3 || got.task(t).State != tasks.Pending {
		t.Errorf("got %+v", got)
	}
	a = command(t, b.URL, "", "search", "y", "--wait-timeout", "50ms")
	a.want(t, 3, "", "still pending after 50ms and goes on")
	a.want(t, 3, "", "; no worker serves search: start one on the same Redis")
	command(t, b.URL, "", "cancel", id).want(t, 0, "canceled", "")
	command(t, b.URL, "", "cancel", id).want(t, 0, "canceled", "")
	command(t, b.URL, "", "result", id).want(t, 1, "canceled by a caller", "")
	command(t, b.URL, "", "status", "unknown").want(t, 2, "", "no such task: unknown")
	command(t, b.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`, "--id", "i", "--in", "1h").want(t, 0, "i\n", "")
	command(t, b.URL, "", "status", "i").want(t, 0, "scheduled", "")
	command(t, b.URL, "", "enqueue", "search", "--payload", `{"query":"z"}`, "--id", "i").want(t, 2, "", "belongs to a task with another payload")
}

func TestCancel_EndedTask(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	command(t, url, "", "search", "x", "--id", "done").want(t, 0, "1 hit", "")
	command(t, url, "", "result", "done").want(t, 0, "1 hit", "")
	command(t, url, "", "cancel", "done").want(t, 2, "", "ended already: it is completed")
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	away := "unix:///nowhere/redis.sock"
	unreadable := file(t, "secret.json", "{}")
	if err := os.Chmod(unreadable, 0); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.bin")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, tasks.MaxPayloadBytes-100); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		err  string
	}{
		"unknown kind":           {[]string{"enqueue", "serch", "--payload", "{}"}, 2, "kind: must be one of search, sdk_fetch"},
		"no kind":                {[]string{"enqueue", "--payload", "{}"}, 2, "takes one kind"},
		"no payload":             {[]string{"enqueue", "search"}, 2, "--payload is missing"},
		"malformed JSON":         {[]string{"enqueue", "search", "--payload", `{"query":`}, 2, "payload: is not valid JSON: it ends too early"},
		"wrong type":             {[]string{"enqueue", "search", "--payload", `{"query":1}`}, 2, "payload.query: must be a string, got number"},
		"unknown field":          {[]string{"enqueue", "search", "--payload", `{"query":"x","color":1}`}, 2, "payload.color: is not a field"},
		"negative timeout":       {[]string{"search", "x", "--timeout", "-5s"}, 2, "options.timeout: must be from 1ms to 2m0s, got -5s"},
		"zero timeout":           {[]string{"search", "x", "--timeout", "0s"}, 2, "--timeout must not be 0"},
		"timeout without unit":   {[]string{"search", "x", "--timeout", "5"}, 2, "--timeout must be a duration with a unit"},
		"a name twice":           {[]string{"enqueue", "search", "--payload", `{"query":"x","query":"y"}`}, 2, "payload.query: is given twice"},
		"not UTF-8":              {[]string{"enqueue", "search", "--payload", "{\"query\":\"\xff\"}"}, 2, "payload: must be UTF-8"},
		"an empty id":            {[]string{"search", "x", "--id", ""}, 2, "--id must not be empty"},
		"a payload without file": {[]string{"enqueue", "search", "--payload", "@"}, 2, "--payload @ lacks the file"},
		"another scheme":         {[]string{"parse", "ftp://h/x.md"}, 2, "payload.source.url: must be an absolute http or https address"},
		"a nameless parameter":   {[]string{"config", "x", "--set", "=v"}, 2, "--set must be NAME=TEXT"},
		"negative retries":       {[]string{"search", "x", "--max-retry", "-1"}, 2, "options.max_retry"},
		"negative wait":          {[]string{"search", "x", "--wait-timeout", "-1s"}, 2, "--wait-timeout must be positive"},
		"bad time":               {[]string{"search", "x", "--at", "tomorrow"}, 2, "--at must be a time as"},
		"two times":              {[]string{"search", "x", "--at", "2026-12-01T00:00:00Z", "--in", "1s"}, 2, "options.at: must not be set together with options.in"},
		"bad queue":              {[]string{"search", "x", "--queue", "fast"}, 2, "options.queue"},
		"bad id":                 {[]string{"search", "x", "--id", "a b"}, 2, "options.id"},
		"no query":               {[]string{"search"}, 2, "takes a query"},
		"bad filter":             {[]string{"search", "x", "--filter", "language"}, 2, "--filter must be FIELD=VALUE"},
		"no such file":           {[]string{"parse", "/nowhere/x.md"}, 2, "cannot read /nowhere/x.md: no such file"},
		"a directory":            {[]string{"parse", t.TempDir()}, 2, "it is a directory"},
		"an empty file":          {[]string{"parse", file(t, "e.md", "")}, 2, "is empty"},
		"a large binary":         {[]string{"parse", large}, 2, "travels as base64"},
		"a secret in an address": {[]string{"parse", "https://u:p@example.com/"}, 2, "must not hold a user name or password"},
		"no package":             {[]string{"fetch"}, 2, "takes 1 to 100 packages, as npm:NAME@RANGE or go:PATH@VERSION, got 0"},
		"no ecosystem":           {[]string{"fetch", "react"}, 2, `got "react"`},
		"unknown ecosystem":      {[]string{"fetch", "pip:x"}, 2, `must be "npm" or "go", got "pip"`},
		"bad part":               {[]string{"fetch", "npm:x", "--include", "all"}, 2, "payload.include[0]"},
		"one id, two packages":   {[]string{"fetch", "npm:x", "npm:y", "--id", "i"}, 2, "--id fits one package"},
		"bad parameter":          {[]string{"config", "x", "--set", "a"}, 2, "--set must be NAME=TEXT"},
		"bad JSON parameter":     {[]string{"config", "x", "--set-json", "a={"}, 2, "--set-json must be NAME=JSON"},
		"a parameter twice":      {[]string{"config", "x", "--set", "a=1", "--set", "a=2"}, 2, `"a" is set twice`},
		"value and object":       {[]string{"config", "x", "--set", "a=1", "--set", "a.b=2"}, 2, `"a" is set both`},
		"no batch":               {[]string{"batch"}, 2, "takes one file"},
		"no batch file":          {[]string{"batch", "/nowhere.ndjson"}, 2, "no such file"},
		"bad id of a task":       {[]string{"status", "a b"}, 2, "status takes the id of one task"},
		"half a certificate":     {[]string{"serve", "--tls-cert", "x"}, 2, "must be given together"},
		"no verb of keys":        {[]string{"keys"}, 2, "keys takes add NAME"},
		"no name of a key":       {[]string{"keys", "add"}, 2, "takes one argument, got 0"},
		"too many waits":         {[]string{"serve", "--max-waits", "0"}, 2, "max waits must be"},
		"serve nowhere":          {[]string{"serve", "--listen", "8080"}, 2, "--listen must be host:port"},
		"bad log level":          {[]string{"status", "x", "--log-level", "loud"}, 2, "--log-level must be"},
		"Redis away":             {[]string{"search", "x"}, 3, "redis at /nowhere/redis.sock: "},
		"Redis away, status":     {[]string{"status", "x"}, 3, "start Redis there, or give another address"},
		"Redis away, doctor":     {[]string{"doctor"}, 3, "REDIS_URL"},
		"Redis away, serve":      {[]string{"serve", "--listen", "127.0.0.1:0"}, 3, "redis at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command(t, away, "", tt.args...).want(t, tt.code, "", tt.err)
		})
	}
	if os.Getuid() != 0 { // root reads everything
		command(t, away, "", "enqueue", "search", "--payload", "@"+unreadable).want(t, 2, "", "permission denied")
	}
	command(t, "", "", "status", "x").want(t, 2, "", "no Redis is named: set REDIS_URL")
}

func TestRedisWithPassword(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	if err := b.Client().ConfigSet(t.Context(), "requirepass", "hunter2").Err(); err != nil {
		t.Fatal(err)
	}
	path := b.Options().Addrs[0]
	command(t, "unix://"+path, "", "status", "x").want(t, 3, "", "it wants a password")
	a := command(t, "unix://:wrong-secret@"+path, "", "status", "x")
	a.want(t, 3, "", "check the user name and password")
	if strings.Contains(a.err, "wrong-secret") {
		t.Errorf("the password is shown: %s", a.err)
	}
	command(t, "unix://:hunter2@"+path, "", "status", "x").want(t, 2, "", "no such task")
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	b := brokertest.Server(t, "")
	command(t, b.URL, "", "enqueue", "search", "--payload", `{"query":"x"}`, "--queue-limit", "1").want(t, 0, "", "")
	command(t, b.URL, "", "enqueue", "search", "--payload", `{"query":"y"}`, "--queue-limit", "1").want(t, 4, "", "queue search is full: 1 of 1 tasks wait")
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	b := brokertest.Server(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	commandContext(ctx, b.URL, "", "search", "x").want(t, 3, "", "stopped waiting; the task goes on")
}

func TestBatch(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	in := `{"kind":"search","payload":{"query":"a"}}` + "\n" + `{"kind":"sdk_fetch","payload":{"ecosystem":"npm","name":"x"}}` + "\n"
	a := command(t, url, in, "batch", "-")
	a.want(t, 0, `"kind":"search","queue":"search:bulk","state":"completed"`, "batch: 2 lines, 2 completed, 0 failed in ")
	bad := file(t, "b.ndjson", in+"{\n")
	a = command(t, url, "", "batch", bad)
	a.want(t, 1, `"fields":[{"path":"line"`, "2 completed, 1 failed (1 not valid)")
	if n := strings.Count(a.out, "\n"); n != 3 {
		t.Errorf("got %d lines, want 3", n)
	}
	idle := brokertest.Server(t, "")
	command(t, idle.URL, in, "batch", "-", "--wait-timeout", "1s").want(t, 3, `"state":"pending"`, "stood still for 1s")
	command(t, idle.URL, in, "batch", "-", "--window", "0").want(t, 2, "", "batch window")
	command(t, "unix:///nowhere/redis.sock", in, "batch", "-").want(t, 3, "", "redis at")
}

func TestServe(t *testing.T) {
	t.Parallel()
	b := brokertest.Server(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	command(t, b.URL, "", "serve", "--listen", "0.0.0.0:0").want(t, 2, "", "--allow-remote")
	command(t, b.URL, "", "serve", "--listen", "127.0.0.1:0", "--tls-cert", "/nowhere", "--tls-key", "/nowhere").want(t, 2, "", "--tls-cert: read the certificate")
	command(t, b.URL, "", "serve", "--listen", l.Addr().String()).want(t, 1, "", "another process has this port; end it, or choose another with --listen")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	commandContext(ctx, b.URL, "", "serve", "--listen", "127.0.0.1:0").want(t, 0, "", "only this machine is served")
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	commandContext(ctx, b.URL, "", "serve", "--listen", "0.0.0.0:0", "--allow-remote").want(t, 0, "", "whoever reaches this address can run tasks")
}

func TestHealthcheckCommand(t *testing.T) {
	t.Parallel()
	command(t, "", "", "healthcheck", "http://127.0.0.1:1/").want(t, 1, "", "health check")
	command(t, "", "", "healthcheck").want(t, 1, "", "takes one URL")
	if a := command(t, "", "", "--help"); a.code != 0 || strings.Contains(a.out, "healthcheck") {
		t.Errorf("healthcheck is not hidden: %+v", a)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := brokertest.Server(t, "")
	command(t, b.URL, "", "keys", "list").want(t, 0, "There are no keys", "")
	command(t, b.URL, "", "keys", "add", "shop", "--kinds", "search", "--rate", "5").want(t, 0, "jy_", "")
	command(t, b.URL, "", "keys", "list").want(t, 0, "enqueue, read, cancel of search, 5 requests a second", "")
	a := command(t, b.URL, "", "keys", "add", "ops", "--actions", "admin", "--expires-in", "24h", "--json")
	a.want(t, 0, `"token":"jy_`, "")
	if a = command(t, b.URL, "", "keys", "list", "--json"); strings.Contains(a.out, "hash") || strings.Contains(a.out, "token") {
		t.Errorf("the list shows a hash: %s", a.out)
	}
	command(t, b.URL, "", "keys", "add", "x", "--kinds", "sing").want(t, 2, "", "must be of search")
	command(t, b.URL, "", "keys", "add", "x", "--expires-in", "-1h").want(t, 2, "", "must be positive")
	command(t, b.URL, "", "keys", "revoke", "nobody").want(t, 2, "", "no key has the id")
	command(t, b.URL, "", "keys", "revoke", "shop").want(t, 0, "is revoked", "")
	command(t, b.URL, "", "keys", "list").want(t, 0, "revoked 2", "")
	command(t, b.URL, "", "keys", "audit").want(t, 0, "revoke key", "")
	// Who has keys may serve others.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	commandContext(ctx, b.URL, "", "serve", "--listen", "0.0.0.0:0").want(t, 0, "", "keys are asked for")
}
