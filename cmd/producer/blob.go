package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/config"
)

func blobCommand() *cli.Command {
	return &cli.Command{
		Name: "blob", Usage: "upload bytes for tasks to come, or get some", ArgsUsage: "put FILE|- | get SHA", Category: "Tasks",
		Description: "put prints the SHA-256, which document_parse takes as payload.source.blob. The bytes are kept for an hour, and\n" +
			"for as long as a task names them. get writes the bytes of a blob to stdout.",
		Flags:  flags(),
		Action: blobs,
	}
}

func blobs(c *cli.Context) error {
	what := c.Args().Get(1)
	switch verb := c.Args().First(); {
	case c.NArg() == 2 && verb == "put":
		return putBlob(c, what)
	case c.NArg() == 2 && verb == "get":
		return getBlob(c, what)
	}
	return config.Usage("blob takes put and one file or -, or get and one SHA-256")
}

func putBlob(c *cli.Context, name string) error {
	data, err := config.ReadInput(name, c.App.Reader, client.MaxBlobBytes)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return config.Usage("there is nothing to upload: %s is empty", name)
	}
	return talk(c, func(ctx context.Context, s *session) error {
		sha, err := s.client.PutBlob(ctx, bytes.NewReader(data))
		switch {
		case err != nil:
			return err
		case s.json:
			return s.encode(map[string]any{"sha256": sha, "bytes": len(data)})
		}
		return s.print(sha + "\n")
	})
}

func getBlob(c *cli.Context, sha string) error {
	return talk(c, func(ctx context.Context, s *session) error {
		if s.terminal {
			return config.Usage("a blob may hold anything: send it into a file or a program, not to the terminal")
		}
		data, err := s.client.Blob(ctx, sha)
		if errors.Is(err, client.ErrNoBlob) {
			return config.Usage("no blob has the hash %.64s, or it is no longer kept", sha)
		}
		if err != nil {
			return err
		}
		if _, err := s.out.Write(data); err != nil {
			return fmt.Errorf("write the blob: %w", err)
		}
		return nil
	})
}
