package config

import (
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/api"
)

// APIFlags say where the API is served, and to whom.
func APIFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Category: serveCategory, Value: api.DefaultConfig().Listen, Usage: "`ADDRESS` of the HTTP API"},
		&cli.BoolFlag{Name: "allow-remote", Category: serveCategory, Usage: "serve other machines too while there are no keys: whoever reaches the address can run tasks"},
		&cli.IntFlag{Name: "max-waits", Category: serveCategory, Value: api.DefaultConfig().MaxWaits, Usage: "requests that may wait at the same time"},
		&cli.StringFlag{Name: "tls-cert", Category: serveCategory, Usage: "`FILE` with the certificate and what signed it, as PEM; a new one is used without a restart"},
		&cli.StringFlag{Name: "tls-key", Category: serveCategory, Usage: "`FILE` with the certificate's private key, as PEM"},
	}
}

// API reads APIFlags.
func API(c *cli.Context) (api.Config, error) {
	cfg := api.DefaultConfig()
	cfg.Listen, cfg.AllowRemote, cfg.MaxWaits = c.String("listen"), c.Bool("allow-remote"), c.Int("max-waits")
	if err := address("listen", cfg.Listen); err != nil {
		return cfg, err
	}
	return cfg, wrong(cfg.Validate())
}

// TLS is where a certificate lies; both files or none are named.
type TLS struct{ Cert, Key string }

// APITLS reads those of APIFlags that say how the API is encrypted.
func APITLS(c *cli.Context) (TLS, error) {
	t := TLS{Cert: c.String("tls-cert"), Key: c.String("tls-key")}
	if (t.Cert == "") != (t.Key == "") {
		return t, Usage("--tls-cert and --tls-key must be given together")
	}
	return t, nil
}
