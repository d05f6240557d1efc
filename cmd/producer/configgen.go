package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "generate configuration files from a template", ArgsUsage: "TEMPLATE", Category: "Shortcuts",
		Description: "Prints the files, or writes them with --out. Files that are there are only replaced with --force.",
		Flags: flags(slices.Concat(config.TaskFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "set", Usage: "parameter `NAME=TEXT`, may be repeated; NAME may be a path as a.b"},
			&cli.StringSliceFlag{Name: "set-json", Usage: "parameter `NAME=JSON`, may be repeated"},
			&cli.StringFlag{Name: "template-version", Usage: "the template's `VERSION`", DefaultText: "the newest"},
			&cli.StringFlag{Name: "format", Usage: "json, yaml or toml, where the template offers them"},
			&cli.StringFlag{Name: "out", Usage: "write the files below `DIR`"},
			&cli.BoolFlag{Name: "force", Usage: "replace files that are there"},
			config.WaitFlag(tasks.MaxTimeout),
		})...),
		Action: generate,
	}
}

func generate(c *cli.Context) error {
	if c.NArg() != 1 {
		return config.Usage("config takes one template")
	}
	parameters, err := parameters(c.StringSlice("set"), c.StringSlice("set-json"))
	if err != nil {
		return err
	}
	r, err := ask(c, tasks.ConfigGen, tasks.ConfigGenPayload{
		Template: c.Args().First(), Version: c.String("template-version"), Format: c.String("format"), Parameters: parameters,
	})
	if err != nil {
		return err
	}
	if c.String("out") == "" {
		return submit(c, r, true, nil)
	}
	return submit(c, r, true, func(_ *session, t tasks.Task) (string, error) {
		result, err := tasks.ConfigGen.Result(t)
		if err != nil {
			return "", err
		}
		return write(c.String("out"), result, c.Bool("force"))
	})
}

// parameters makes the template's parameters of "name=value" pairs. Names with
// dots lead into objects.
func parameters(texts, values []string) (json.RawMessage, error) {
	root := map[string]any{}
	for _, pair := range texts {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, config.Usage("--set must be NAME=TEXT, got %q", pair)
		}
		if err := put(root, name, text); err != nil {
			return nil, err
		}
	}
	for _, pair := range values {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" || !json.Valid([]byte(text)) {
			return nil, config.Usage("--set-json must be NAME=JSON, got %q", pair)
		}
		if err := put(root, name, json.RawMessage(text)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(root)
}

func put(root map[string]any, name string, value any) error {
	path := strings.Split(name, ".")
	for i, part := range path {
		if part == "" {
			return config.Usage("parameter %q has an empty part", name)
		}
		if i == len(path)-1 {
			if _, taken := root[part]; taken {
				return config.Usage("parameter %q is set twice", name)
			}
			root[part] = value
			return nil
		}
		if root[part] == nil {
			root[part] = map[string]any{}
		}
		next, ok := root[part].(map[string]any)
		if !ok {
			return config.Usage("parameter %q is set both as a value and as an object", strings.Join(path[:i+1], "."))
		}
		root = next
	}
	return nil
}

// write puts the files below dir, all or none: first it looks whether any is
// there already. The root keeps it inside dir even through links.
func write(dir string, r tasks.ConfigGenResult, force bool) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", config.Usage("--out: cannot make %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", config.Usage("--out: cannot open %s: %w", dir, err)
	}
	defer root.Close() //nolint:errcheck // the files in it are closed and checked one by one
	var taken []string
	for _, f := range r.Files {
		if !tasks.SafePath(f.Path) {
			return "", fmt.Errorf("the result has the unsafe path %q; nothing was written", f.Path)
		}
		if _, err := root.Lstat(f.Path); err == nil {
			taken = append(taken, f.Path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for %s: %w", f.Path, err)
		}
	}
	if len(taken) > 0 && !force {
		return "", config.Usage("%s: %s there already; nothing was written (--force replaces)", dir, strings.Join(taken, ", ")+verb(len(taken)))
	}
	var b strings.Builder
	for _, f := range r.Files {
		if err := writeFile(root, f); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "wrote %s\n", filepath.Join(dir, filepath.FromSlash(f.Path)))
	}
	return b.String(), nil
}

func verb(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func writeFile(root *os.Root, f tasks.ConfigFile) error {
	if dir := filepath.Dir(filepath.FromSlash(f.Path)); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", f.Path, err)
		}
	}
	if err := root.WriteFile(f.Path, []byte(f.Content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return nil
}
