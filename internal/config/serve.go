package config

import (
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/api"
)

// APIFlags say where the API is served, and to whom.
func APIFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Category: serveCategory, Value: api.DefaultConfig().Listen, Usage: "`ADDRESS` of the HTTP API"},
		&cli.BoolFlag{Name: "allow-remote", Category: serveCategory, Usage: "serve other machines too: whoever reaches the address can run tasks"},
	}
}

// API reads APIFlags.
func API(c *cli.Context) (api.Config, error) {
	cfg := api.DefaultConfig()
	cfg.Listen, cfg.AllowRemote = c.String("listen"), c.Bool("allow-remote")
	if err := address("listen", cfg.Listen); err != nil {
		return cfg, err
	}
	return cfg, wrong(cfg.Validate())
}
