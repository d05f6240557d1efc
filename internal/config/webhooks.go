package config

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/webhooks"
)

// WebhookFlags say how webhooks are signed and where they may go.
func WebhookFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "webhook-secret-file", Category: serveCategory, Usage: "`FILE` with the secret that webhooks are signed from, the same for all producers; without it this one calls nobody"},
		&cli.BoolFlag{Name: "webhook-allow-private", Category: serveCategory, Usage: "let webhooks go to addresses that are not public, and by http: for tests"},
	}
}

// Webhooks is what WebhookFlags say. Master is nil without a secret.
type Webhooks struct {
	Master       webhooks.Master
	AllowPrivate bool
}

// WebhookSettings reads WebhookFlags.
func WebhookSettings(c *cli.Context) (Webhooks, error) {
	w := Webhooks{AllowPrivate: c.Bool("webhook-allow-private")}
	name := c.String("webhook-secret-file")
	if name == "" {
		return w, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return w, Usage("--webhook-secret-file: cannot read %s: %w", name, reason(err))
	}
	if w.Master, err = webhooks.ParseMaster(raw); err != nil {
		return w, Usage("--webhook-secret-file: %w", err)
	}
	return w, nil
}
