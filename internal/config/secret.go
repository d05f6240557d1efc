package config

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// maxSecret bounds a secret's file.
const maxSecret = 4 << 10

// secretFile reads the file that a flag names: a secret in a file is in no
// process list and no environment. Blanks around it are none of it.
func secretFile(c *cli.Context, flag string) (string, error) {
	name := c.String(flag)
	if name == "" {
		return "", nil
	}
	raw, err := ReadInput(name, c.App.Reader, maxSecret)
	if err != nil {
		return "", Usage("--%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", Usage("--%s: %s must hold one line, the secret", flag, clip(name, 60))
	}
	return secret, nil
}
