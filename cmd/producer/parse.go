package main

import (
	"encoding/base64"
	"mime"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/tasks"
)

func parseCommand() *cli.Command {
	return &cli.Command{
		Name: "parse", Usage: "parse a document and print what is in it", ArgsUsage: "FILE|URL|-", Category: "Shortcuts",
		Flags: flags(slices.Concat(config.TaskFlags(), []cli.Flag{
			&cli.BoolFlag{Name: "markdown", Usage: "print the document as Markdown, and nothing else"},
			&cli.BoolFlag{Name: "index", Usage: "put the document into the library"},
			&cli.StringFlag{Name: "uri", Usage: "the document's name in the library", DefaultText: "the file's name"},
			&cli.StringFlag{Name: "collection", Usage: "the library's collection"},
			&cli.StringFlag{Name: "filename", Usage: "name that tells the format, for standard input"},
			&cli.StringFlag{Name: "content-type", Usage: "the document's media type", DefaultText: "by the file's ending"},
			config.WaitFlag(tasks.MaxTimeout),
		})...),
		Action: parse,
	}
}

func parse(c *cli.Context) error {
	if c.NArg() != 1 {
		return config.Usage("parse takes one file, one address, or - for standard input")
	}
	p := tasks.DocumentParsePayload{
		URI: c.String("uri"), Collection: c.String("collection"), Index: c.Bool("index"),
		Filename: c.String("filename"), ContentType: c.String("content-type"),
	}
	name := c.Args().First()
	// The contract says which addresses are taken.
	if strings.Contains(name, "://") {
		p.Source.URL = name
	} else {
		data, err := config.ReadInput(name, c.App.Reader, tasks.MaxPayloadBytes)
		if err != nil {
			return err
		}
		if err := fill(&p, name, data); err != nil {
			return err
		}
	}
	r, err := ask(c, tasks.DocumentParse, p)
	if err != nil {
		return err
	}
	if c.Bool("markdown") {
		return submit(c, r, true, markdown)
	}
	return submit(c, r, true, nil)
}

// fill puts a file into the payload: text as it is, anything else as base64, so
// that every byte arrives.
func fill(p *tasks.DocumentParsePayload, name string, data []byte) error {
	if len(data) == 0 {
		return config.Usage("%s is empty", name)
	}
	if name != "-" {
		if p.Filename == "" {
			p.Filename = filepath.Base(name)
		}
		if p.URI == "" && p.Index {
			p.URI = filepath.ToSlash(filepath.Clean(name))
		}
	}
	if p.ContentType == "" {
		p.ContentType = mediaType(p.Filename)
	}
	if utf8.Valid(data) && !slices.Contains(data, 0) {
		p.Source.Text = string(data)
		return nil
	}
	if n := base64.StdEncoding.EncodedLen(len(data)); n > tasks.MaxPayloadBytes {
		return config.Usage("%s is too large: it is not text and travels as base64, which makes %d bytes of it; %d are allowed: upload it with producer blob put, and name it in source.blob", name, n, tasks.MaxPayloadBytes)
	}
	p.Source.Base64 = base64.StdEncoding.EncodeToString(data)
	return nil
}

// mediaType tells a file's type by its ending; documents' own endings first,
// because not every system knows them.
func mediaType(filename string) string {
	ending := strings.ToLower(filepath.Ext(filename))
	switch ending {
	case ".md", ".mdx", ".markdown":
		return "text/markdown"
	case ".ipynb":
		return "application/x-ipynb+json"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".rst":
		return "text/x-rst"
	case ".docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case ".epub":
		return "application/epub+zip"
	}
	// A charset that the system's table adds would be a guess.
	t, _, _ := strings.Cut(mime.TypeByExtension(ending), ";")
	return t
}

func markdown(s *session, t tasks.Task) (string, error) {
	r, err := tasks.DocumentParse.Result(t)
	if err != nil || !s.terminal {
		return r.Markdown, err
	}
	return s.style.Text(r.Markdown), nil
}
