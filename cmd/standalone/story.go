package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/tasks"
)

// screen writes the demo's report. The first failure to write ends it.
type screen struct {
	out   io.Writer
	style report.Style
	err   error
}

func (s *screen) print(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.out, text)
	}
}

func (s *screen) line(format string, args ...any) { s.print(fmt.Sprintf(format, args...) + "\n") }

// story is the demo's course: four kinds, one after the other, all through the
// queue.
type story struct {
	*screen
	yard         *yard
	done, failed int
	begun        time.Time
	token        string // of the newest document
}

// stepTimeout bounds one step.
const stepTimeout = 90 * time.Second

func (s *story) tell(ctx context.Context, packages []parcel) error {
	s.begun = time.Now()
	for _, step := range []func(context.Context) error{
		s.parse, s.search, func(ctx context.Context) error { return s.fetch(ctx, packages) }, s.generate,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

// chapter begins the block of a kind.
func (s *story) chapter(kind, asked string) {
	s.line("\n%s %s", s.style.Heading(kind), asked)
}

// run hands the requests over together and returns the ended tasks in order.
func (s *story) run(ctx context.Context, requests []tasks.Request) ([]tasks.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	answers, err := s.yard.client.EnqueueAll(ctx, requests)
	if err != nil {
		return nil, err
	}
	ended := make([]tasks.Task, len(answers))
	for i, a := range answers {
		if a.Err != nil {
			return nil, a.Err
		}
		if ended[i], err = s.yard.client.Wait(ctx, a.Task.ID); err != nil {
			return nil, err
		}
		s.done++
		if ended[i].State != tasks.Completed {
			s.failed++
		}
	}
	return ended, nil
}

func request[P tasks.Payload, R any](k tasks.Kind[P, R], p P) tasks.Request {
	r, err := k.New(p)
	if err != nil {
		panic(err) // our own payloads can be written as JSON
	}
	return r
}

// parse puts the documents into the library, shows the first and lists all.
func (s *story) parse(ctx context.Context) error {
	docs, own := documents(checkout())
	whose := "the project's own"
	if !own {
		whose = "a few that the demo brings"
	}
	s.chapter("document_parse", fmt.Sprintf("read and index %s: %s", report.Count(len(docs), "document"), whose))
	var requests []tasks.Request
	for _, d := range docs {
		requests = append(requests, request(tasks.DocumentParse, tasks.DocumentParsePayload{
			Source: tasks.DocumentSource{Text: d.text}, URI: d.name, Filename: d.name, ContentType: "text/markdown", Index: true,
		}))
	}
	ended, err := s.run(ctx, requests)
	if err != nil {
		return err
	}
	rows := [][]string{}
	for i, t := range ended {
		if i == 0 {
			s.print(s.style.Task(t))
		}
		r, err := tasks.DocumentParse.Result(t)
		if err != nil {
			rows = append(rows, []string{"  " + docs[i].name, err.Error()})
			continue
		}
		s.token = max(s.token, r.Token)
		rows = append(rows, []string{"  " + docs[i].name, report.Count(r.Words, "word"), report.Count(len(r.Sections), "section"),
			report.Count(len(r.Chunks), "chunk"), s.style.Dim(report.Took(t.StartedAt, t.FinishedAt))})
	}
	s.print(report.Table(rows))
	return nil
}

// search asks two questions; the second has a slip of the pen in it.
func (s *story) search(ctx context.Context) error {
	for _, query := range []string{"what happens when a worker is killed", "memry limit"} {
		s.chapter("search", fmt.Sprintf("%q in what was just indexed", query))
		ended, err := s.run(ctx, []tasks.Request{request(tasks.Search, tasks.SearchPayload{Query: query, Limit: 3, MinToken: s.token})})
		if err != nil {
			return err
		}
		s.print(s.style.Task(ended[0]))
	}
	return nil
}

func (s *story) fetch(ctx context.Context, packages []parcel) error {
	var requests []tasks.Request
	for _, p := range packages {
		requests = append(requests, request(tasks.SDKFetch, p.payload))
	}
	ended, err := s.run(ctx, requests)
	if err != nil {
		return err
	}
	for i, t := range ended {
		p := packages[i].payload
		s.chapter("sdk_fetch", fmt.Sprintf("%s %s %s, %s", p.Ecosystem, p.Name, p.Version, packages[i].from()))
		s.print(s.style.Task(t))
	}
	return nil
}

// shop is a small project for config_gen.
const shop = `{"name": "shop", "services": {
	"web": {"build": {"context": "./web"}, "ports": ["8080:3000"], "environment": {"DATABASE_PASSWORD": "secret"}, "depends_on": {"db": {"condition": "service_healthy"}}},
	"db": {"image": "postgres:18-alpine", "volumes": ["data:/var/lib/postgresql"], "healthcheck": {"test": ["CMD-SHELL", "pg_isready"], "interval": "10s"}}},
	"volumes": {"data": null}}`

// preview is how many lines of a generated file are shown.
const preview = 12

func (s *story) generate(ctx context.Context) error {
	s.chapter("config_gen", "a docker-compose project of two services")
	ended, err := s.run(ctx, []tasks.Request{request(tasks.ConfigGen, tasks.ConfigGenPayload{Template: "docker-compose", Parameters: json.RawMessage(shop)})})
	if err != nil {
		return err
	}
	if r, err := tasks.ConfigGen.Result(ended[0]); err == nil {
		s.print(s.style.Config(r, preview))
		s.line("%s", s.style.Dim(report.Times(ended[0])))
	} else {
		s.print(s.style.Task(ended[0]))
	}
	return nil
}

// end sums up and says where to look next.
func (s *story) end(with shown, stay bool) {
	s.line("\n%s, %d failed, in %s", s.style.Title(report.Count(s.done, "task")), s.failed, report.Span(time.Since(s.begun)))
	if !stay {
		return
	}
	s.line("monitor  http://%s/", with.page.Addr())
	s.line("api      http://%s/openapi.json", with.api.Addr())
	s.line("%s", s.style.Dim("Ctrl-C ends the demo; nothing is kept"))
}

// verdict turns failed tasks into an exit code.
func (s *story) verdict() error {
	if s.failed > 0 {
		return errors.Join(s.err, &config.FailedError{Count: s.failed})
	}
	return s.err
}
