package template

import "testing"

func TestSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"DB_PASSWORD", "x", true}, {"dbpassword", "x", true}, {"apiKey", "x", true}, {"API_KEY", "x", true}, {"APIKEY", "x", true},
		{"AWS_SECRET_ACCESS_KEY", "x", true}, {"GITHUB_TOKEN", "x", true}, {"authToken", "x", true}, {"client-secret", "x", true},
		{"SENTRY_DSN", "x", true}, {"PASS", "x", true}, {"PGPASSWORD", "x", true}, {"private_key", "x", true}, {"tokens", "x", true},
		{"X", "postgres://u:p@h/db", true}, {"X", "redis://:p@h", true}, {"X", "host=h;Password=p", true}, {"X", "--token=abc", true},
		{"X", "-----BEGIN RSA PRIVATE KEY-----\nx", true},

		{"DB_PASSWORD", "", false}, {"DB_PASSWORD", "${DB_PASSWORD}", false}, {"DB_PASSWORD", "$DB_PASSWORD", false}, {"DB_PASSWORD", "${X:-}", false},
		{"DB_PASSWORD_FILE", "/run/x", false}, {"TOKEN_TTL", "5m", false}, {"TOKEN_URL", "https://x", false}, {"SECRET_NAME", "x", false},
		{"KEYBOARD", "x", false}, {"TOKENIZER", "x", false}, {"COMPASS", "x", false}, {"MONKEY", "x", false}, {"PUBLIC_KEY", "x", false}, {"SORT_KEY", "x", false},
		{"X", "https://h/a:b@c", false}, {"X", "postgres://u@h/db", false}, {"X", "postgres://u:${PW}@h/db", false}, {"X", "password=${PW}", false}, {"PASSENGER", "x", false},
		{"AWS_ACCESS_KEY_ID", "x", false}, {"", "", false},
	} {
		if got := Secret(c.key, c.value); got != c.want {
			t.Errorf("%s=%s: got %t, want %t", c.key, c.value, got, c.want)
		}
	}
}

func TestVault_names(t *testing.T) {
	t.Parallel()
	v := &Vault{}
	for i, c := range []struct{ owner, key, value, want string }{
		{"web", "PASSWORD", "one", "PASSWORD"},
		{"api", "PASSWORD", "one", "PASSWORD"},
		{"db", "PASSWORD", "two", "DB_PASSWORD"},
		{"db", "PASSWORD", "three", "DB_PASSWORD_"},
		{"web", "auth.token", "x", "AUTH_TOKEN"},
		{"web", "2fa-secret", "y", "SECRET_2FA_SECRET"},
	} {
		if got := v.Take(c.owner, c.key, c.value); got != c.want {
			t.Errorf("%d: got %s, want %s", i, got, c.want)
		}
	}
}
