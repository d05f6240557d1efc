package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"
)

// HealthcheckCommand asks a URL and fails unless it answers 2xx: for container
// health checks in images that hold no curl.
func HealthcheckCommand() *cli.Command {
	return &cli.Command{
		Name: "healthcheck", Hidden: true, Usage: "ask a URL; exit 0 if it answers well, else 1", ArgsUsage: "URL",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("healthcheck takes one URL, as http://127.0.0.1:8080/readyz")
			}
			return healthcheck(c.Context, c.Args().First())
		},
	}
}

func healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	// A proxy of the environment is not asked for what runs in this container.
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 500)) // only a hint
		return fmt.Errorf("health check: %s: %s", response.Status, body)
	}
	return nil
}
