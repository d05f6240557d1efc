package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func fetchCommand() *cli.Command {
	return &cli.Command{
		Name: "fetch", Usage: "describe versions of packages", ArgsUsage: "npm:NAME[@RANGE]|go:PATH[@VERSION] …", Category: "Shortcuts",
		Flags: flags(slices.Concat(config.TaskFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "include", Usage: "`PART` to fetch, may be repeated: " + strings.Join(tasks.SDKParts(), ", ")},
			&cli.BoolFlag{Name: "index", Usage: "put readme and API into the library"},
			config.WaitFlag(tasks.MaxTimeout),
		})...),
		Action: fetch,
	}
}

// maxFetch bounds the packages of one call; more are a batch.
const maxFetch = 100

func fetch(c *cli.Context) error {
	if n := c.NArg(); n < 1 || n > maxFetch {
		return config.Usage("fetch takes 1 to %d packages, as npm:NAME@RANGE or go:PATH@VERSION, got %d", maxFetch, n)
	}
	limit, err := config.WaitTimeout(c)
	if err != nil {
		return err
	}
	var requests []tasks.Request
	for _, arg := range c.Args().Slice() {
		p, err := parsePackage(arg)
		if err != nil {
			return err
		}
		p.Include, p.Index = c.StringSlice("include"), c.Bool("index")
		r, err := ask(c, tasks.SDKFetch, p)
		if err != nil {
			return err
		}
		if r.Options.ID != "" && c.NArg() > 1 {
			return config.Usage("--id fits one package only")
		}
		if _, err := r.Check(time.Now()); err != nil {
			return err
		}
		requests = append(requests, r)
	}
	return talk(c, func(ctx context.Context, s *session) error { return s.fetchAll(ctx, requests, limit) })
}

// parsePackage reads npm:@scope/name@^1 or go:example.com/mod@v1.2.3.
func parsePackage(arg string) (tasks.SDKFetchPayload, error) {
	ecosystem, name, ok := strings.Cut(arg, ":")
	if !ok || name == "" {
		return tasks.SDKFetchPayload{}, config.Usage("a package is npm:NAME@RANGE or go:PATH@VERSION, got %q", arg)
	}
	p := tasks.SDKFetchPayload{Ecosystem: ecosystem, Name: name}
	// The first @ of an npm scope is part of the name.
	if i := strings.LastIndex(name, "@"); i > 0 {
		p.Name, p.Version = name[:i], name[i+1:]
	}
	return p, nil
}

// fetchAll hands all over, then shows them in the order asked for.
func (s *session) fetchAll(ctx context.Context, requests []tasks.Request, limit time.Duration) error {
	answers, err := s.client.EnqueueAll(ctx, requests)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(limit)
	failed, shown := 0, false
	var errs []error
	for _, a := range answers {
		t, err := a.Task, a.Err
		if err == nil {
			t, err = s.wait(ctx, a.Task, time.Until(deadline))
		}
		if err != nil {
			errs = append(errs, err)
			if s.json && t.ID != "" {
				errs = append(errs, s.encode(t))
			}
			continue
		}
		if shown && !s.json {
			errs = append(errs, s.print("\n"))
		}
		shown = true
		errs = append(errs, s.show(t, s.style.Task))
		if verdict(t) != nil {
			failed++
		}
	}
	return failures(failed, errs)
}
