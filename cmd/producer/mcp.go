package main

import (
	"context"
	"io"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/app"
	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/mcp"
)

func mcpCommand() *cli.Command {
	return &cli.Command{
		Name: "mcp", Usage: "offer the four kinds as tools to an assistant (Model Context Protocol)", Category: "Yard",
		Description: "Speaks over standard input and output, as an assistant starts it. producer serve offers the same at /mcp.",
		Flags:       flags(), Action: serveMCP,
	}
}

func serveMCP(c *cli.Context) error {
	if c.Args().Present() {
		return config.Usage("mcp takes no arguments, got %q", c.Args().First())
	}
	tools, err := mcp.NewTools(app.Version())
	if err != nil {
		return err
	}
	return talk(c, func(ctx context.Context, s *session) error {
		return tools.Serve(ctx, mcp.Yard{
			Enqueue: s.client.Enqueue, Wait: s.client.Wait, Cancel: s.client.Cancel, Status: s.client.Status,
			Explain: func(err error) string { return config.Explain("producer", err) },
		}, &sdk.IOTransport{Reader: io.NopCloser(c.App.Reader), Writer: keepOpen{s.out}})
	})
}

// keepOpen is a writer that is not ours to close.
type keepOpen struct{ io.Writer }

// Close implements io.Closer.
func (keepOpen) Close() error { return nil }
