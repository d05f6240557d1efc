package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func searchCommand() *cli.Command {
	return &cli.Command{
		Name: "search", Usage: "search the library and print ranked hits", ArgsUsage: "QUERY", Category: "Shortcuts",
		Flags: flags(slices.Concat(config.TaskFlags(), []cli.Flag{
			&cli.StringFlag{Name: "collection", Usage: "search in this collection only"},
			&cli.IntFlag{Name: "limit", Value: 10, Usage: "hits to print, at most 100"},
			&cli.IntFlag{Name: "offset", Usage: "hits to skip"},
			&cli.StringSliceFlag{Name: "filter", Usage: "`FIELD=VALUE`, may be repeated; fields: " + strings.Join(tasks.SearchFields(), ", ")},
			&cli.StringSliceFlag{Name: "facet", Usage: "count the hits by the values of `FIELD`, may be repeated"},
			&cli.BoolFlag{Name: "exact", Usage: "tolerate no typos"},
			&cli.StringFlag{Name: "min-token", Usage: "the answer must reflect the write with this `TOKEN`"},
			config.WaitFlag(tasks.MaxTimeout),
		})...),
		Action: search,
	}
}

func search(c *cli.Context) error {
	if !c.Args().Present() {
		return config.Usage("search takes a query")
	}
	p := tasks.SearchPayload{
		Query: strings.Join(c.Args().Slice(), " "), Collection: c.String("collection"), Limit: c.Int("limit"),
		Offset: c.Int("offset"), Facets: c.StringSlice("facet"), MinToken: c.String("min-token"),
	}
	if c.Bool("exact") {
		p.Fuzzy = "off"
	}
	for _, f := range c.StringSlice("filter") {
		field, value, ok := strings.Cut(f, "=")
		if !ok {
			return config.Usage("--filter must be FIELD=VALUE, got %q", f)
		}
		if p.Filters == nil {
			p.Filters = map[string][]string{}
		}
		p.Filters[field] = append(p.Filters[field], value)
	}
	r, err := ask(c, tasks.Search, p)
	if err != nil {
		return err
	}
	return submit(c, r, true, nil)
}
