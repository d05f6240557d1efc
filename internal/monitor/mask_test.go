package monitor

import (
	"strings"
	"testing"
)

func TestMasked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in        string
		want      string
		forbidden string
		hidden    int
	}{
		"a name":            {`{"parameters":{"DB_PASSWORD":"hunter22","port":5432}}`, `"port": 5432`, "hunter22", 1},
		"all below a name":  {`{"secrets":{"a":["s3cr3t"],"n":42}}`, maskedText, "s3cr3t", 2},
		"about a secret":    {`{"token_url":"https://id.example/token","max_tokens":100}`, `"max_tokens": 100`, maskedText, 0},
		"camel case":        {`{"apiKey":"abcd","privateKey":"x"}`, maskedText, "abcd", 2},
		"an address":        {`{"dsn_host":"postgres://app:hunter22@db/app"}`, "postgres://app:" + maskedText + "@db/app", "hunter22", 1},
		"a header":          {`{"text":"curl -H 'Authorization: Bearer abcdefghijklmnop'"}`, "curl -H", "abcdefghijklmnop", 1},
		"a key block":       {`{"text":"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- end"}`, " end", "MIIE", 1},
		"a known form":      {`{"text":"use ghp_0123456789abcdefghijABCDEFGHIJ here"}`, "use " + maskedText + " here", "ghp_", 1},
		"no JSON":           {`password=hunter22 and more`, "and more", "hunter22", 1},
		"a search for them": {`{"query":"how to set a password"}`, "how to set a password", maskedText, 0},
		"not whole":         {`{"a":1} {"password":"hunter22"}`, `{"a":1}`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, hidden := masked([]byte(tt.in))
			if !strings.Contains(got, tt.want) || tt.forbidden != "" && strings.Contains(got, tt.forbidden) || hidden != tt.hidden {
				t.Errorf("got %q, %d hidden; want %q in it, not %q, %d hidden", got, hidden, tt.want, tt.forbidden, tt.hidden)
			}
		})
	}
	long, _ := masked([]byte(`{"text":"` + strings.Repeat("ä", 5000) + `"}`))
	if len(long) > maxString+200 || !strings.Contains(long, "of 10000 bytes") {
		t.Errorf("got %d bytes, want the text cut", len(long))
	}
}

func FuzzMasked(f *testing.F) {
	f.Add([]byte(`{"password":"x","a":[1,"Bearer abcdefghijklmnop"]}`))
	f.Add([]byte(`{"a":`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, _ := masked(raw); len(got) > maxDocument+100 {
			t.Errorf("got %d bytes", len(got))
		}
	})
}
