package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// address is a free one of this machine.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts producer serve and waits until it answers.
func (y *yard) serve(client *http.Client, scheme string, args ...string) (url string, p *program) {
	y.t.Helper()
	at := address(y.t)
	p = y.start("producer", append([]string{"serve", "--listen", at}, args...)...)
	url = scheme + "://" + at
	brokertest.Until(y.t, "the producer answers", func() bool {
		answer, err := client.Get(url + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return url, p
}

// run runs the producer and returns what it printed.
func (y *yard) run(args ...string) string {
	y.t.Helper()
	out, err := y.command(y.t.Context(), "producer", args...).Output()
	if err != nil {
		y.t.Fatalf("producer %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Both that stay and serve keep their heap within the memory they are given: ten
// thousand waits at the door took 690 MB without a limit.
func TestHTTP_HeapIsLimited(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	door, _ := y.serve(http.DefaultClient, "http")
	page := address(t)
	y.start("monitor", "--listen", page)
	for _, url := range []string{door + "/metrics", "http://" + page + "/metrics"} {
		limit := 0.0
		brokertest.Until(t, "the limit is told", func() bool {
			answer, err := http.Get(url)
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			raw, _ := io.ReadAll(answer.Body)
			_, after, found := strings.Cut(string(raw), "\ngo_gc_gomemlimit_bytes ")
			text, _, _ := strings.Cut(after, "\n")
			limit, err = strconv.ParseFloat(text, 64)
			return found && err == nil
		})
		if limit > 1e15 {
			t.Errorf("%s: got a limit of %g bytes, want some of this machine's", url, limit)
		}
	}
}

var tokenPattern = regexp.MustCompile(`jy_[a-z2-7]{13}_[a-z2-7]{52}`)

// TestHTTP_ExamplesOfTheDocs runs docs/http.md as a reader would, against the
// real programs.
func TestHTTP_ExamplesOfTheDocs(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on PATH", program)
		}
	}
	y := newYard(t)
	y.start("worker", "--admin-listen", address(t))
	key := tokenPattern.FindString(y.run("keys", "add", "docs"))
	admin := tokenPattern.FindString(y.run("keys", "add", "ops", "--actions", "admin"))
	url, _ := y.serve(http.DefaultClient, "http")
	raw, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range strings.Split(string(raw), "```console\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		for _, example := range strings.Split("\n"+text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(example, "\n")
			n++
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
			cmd.Env = append(os.Environ(), "YARD="+url, "KEY="+key, "ADMIN="+admin)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			rest := string(out)
			for part := range strings.SplitSeq(want, "…") {
				_, after, found := strings.Cut(rest, strings.TrimSpace(part))
				if !found {
					t.Errorf("%s: got\n%s\nwithout %q", command, out, strings.TrimSpace(part))
					break
				}
				rest = after
			}
		}
	}
	if n < 13 {
		t.Errorf("found %d examples", n)
	}
}

// TestHTTP_TLSAndKeysFromOutside asks as another service would: encrypted, with
// a key, by the real program.
func TestHTTP_TLSAndKeysFromOutside(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	cert, key, pool := certificate(t)
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	token := tokenPattern.FindString(y.run("keys", "add", "shop", "--kinds", "search", "--actions", "enqueue,read", "--in-flight", "1"))
	url, p := y.serve(secure, "https", "--tls-cert", cert, "--tls-key", key)
	type said struct {
		status      int
		text, retry string
		major       int
	}
	ask := func(method, path, body, token string) said {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := secure.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		raw, _ := io.ReadAll(answer.Body)
		return said{answer.StatusCode, string(raw), answer.Header.Get("Retry-After"), answer.ProtoMajor}
	}
	search := `{"kind":"search","payload":{"query":"x"}}`
	for _, tt := range []struct {
		method, path, body, token string
		want                      int
	}{
		{"POST", "/v1/tasks", search, "", 401}, {"POST", "/v1/tasks", search, token[:len(token)-4] + "2222", 401},
		{"POST", "/v1/tasks", search, token, 202}, {"POST", "/v1/tasks", search, token, 429},
		{"POST", "/v1/tasks", `{"kind":"config_gen","payload":{"template":"x"}}`, token, 403}, {"DELETE", "/v1/tasks/x", "", token, 403},
		{"GET", "/v1/queues", "", token, 200}, {"GET", "/v1/audit", "", token, 403},
	} {
		if got := ask(tt.method, tt.path, tt.body, tt.token); got.status != tt.want || got.major != 2 || got.status == 429 && got.retry == "" {
			t.Errorf("%s %s: got %+v, want %d", tt.method, tt.path, got, tt.want)
		}
	}
	if answer, err := http.Get("http" + strings.TrimPrefix(url, "https") + "/v1/queues"); err == nil {
		if answer.Body.Close(); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("in plain text: got %d", answer.StatusCode)
		}
	}
	y.run("keys", "revoke", "shop")
	brokertest.Until(t, "the key is revoked", func() bool { return ask("GET", "/v1/queues", "", token).status == 401 })
	log, err := os.ReadFile(p.log.Name())
	if err != nil || bytes.Contains(log, []byte(token)) || !bytes.Contains(log, []byte("keys are asked for")) {
		t.Errorf("got %v, log\n%s", err, log)
	}
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
}

// certificate makes one for loopback, and the pool that trusts it.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, pool
}

// TestHTTP_StopAnswersWhoeverWaits: SIGTERM cuts nobody off.
func TestHTTP_StopAnswersWhoeverWaits(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	url, p := y.serve(http.DefaultClient, "http")
	type answered struct {
		status int
		retry  string
		err    error
	}
	const waits = 20
	answers := make(chan answered, waits)
	for i := range waits {
		go func() {
			body := fmt.Sprintf(`{"kind":"search","payload":{"query":"q%d"}}`, i)
			answer, err := http.Post(url+"/v1/tasks?wait=60s", "application/json", strings.NewReader(body))
			if err != nil {
				answers <- answered{err: err}
				return
			}
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			answers <- answered{answer.StatusCode, answer.Header.Get("Retry-After"), err}
		}()
	}
	b := y.broker()
	brokertest.Until(t, "all of them wait", func() bool {
		n, err := b.Client().LLen(t.Context(), "asynq:{search}:pending").Result()
		return err == nil && n == waits
	})
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
	for range waits {
		if a := <-answers; a.err != nil || a.status != http.StatusAccepted || a.retry == "" {
			t.Errorf("got %+v, want 202 and when to come again", a)
		}
	}
}

// TestMCP_OfficialClientOnARealWorker starts producer mcp as an assistant does.
func TestMCP_OfficialClientOnARealWorker(t *testing.T) {
	t.Parallel()
	y := newYard(t, registry(t)...)
	y.start("worker", "--admin-listen", address(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).
		Connect(ctx, &mcp.CommandTransport{Command: y.command(ctx, "producer", "mcp", "--log-level", "error")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.ListTools(ctx, nil)
	if err != nil || len(list.Tools) != 4 {
		t.Fatalf("got %+v, %v", list, err)
	}
	page := map[string]any{"source": map[string]any{"text": "# Camera\n\nAsk for the camera permission.\n\n" + strings.Repeat("Many words follow. ", 2000)}, "uri": "camera.md", "content_type": "text/markdown", "index": true, "max_tokens": 500}
	for _, tt := range []struct {
		tool, want string
		arguments  map[string]any
	}{
		{"document_parse", "trimmed", page},
		{"config_gen", "services:", map[string]any{"template": "docker-compose", "parameters": map[string]any{"services": map[string]any{"web": map[string]any{"image": "nginx:1"}}}}},
		{"sdk_fetch", "example.test/greeter", map[string]any{"ecosystem": "go", "name": "example.test/greeter"}},
	} {
		if got := callTool(ctx, t, s, tt.tool, tt.arguments); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s without %s", tt.tool, got, tt.want)
		}
	}
	brokertest.Until(t, "the document is found", func() bool {
		return strings.Contains(callTool(ctx, t, s, "search", map[string]any{"query": "camera permission"}), "camera.md")
	})
}

func callTool(ctx context.Context, t *testing.T, s *mcp.ClientSession, name string, arguments map[string]any) string {
	t.Helper()
	r, err := s.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r.Content)
	if err != nil || r.IsError || len(raw) > 40_000 {
		t.Fatalf("%s: got %.2000s, %v", name, raw, err)
	}
	text, _ := r.Content[0].(*mcp.TextContent)
	if !json.Valid([]byte(text.Text)) {
		t.Errorf("%s: got no JSON: %.500s", name, text.Text)
	}
	return text.Text
}
