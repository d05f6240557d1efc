package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/report"
	"github.com/jobyard/jobyard/internal/webhooks"
)

// deliveryLines is how many calls are shown.
const deliveryLines = 100

func webhooksCommand() *cli.Command {
	return &cli.Command{
		Name: "webhooks", Usage: "set up who is called when a task has ended; look at calls that failed", Category: "Yard",
		ArgsUsage: "add NAME URL | list | remove NAME | calls | dead | retry ID",
		Description: "Tasks name an endpoint in options.webhook, batches in webhook. add shows the endpoint's secret; add again makes\n" +
			"another. Calls are made by producer serve --webhook-secret-file, signed as standardwebhooks.com says.",
		Flags: flags(config.WebhookFlags()...), Action: webhooksAction,
	}
}

func webhooksAction(c *cli.Context) error {
	words := c.Args().Slice()
	verb, rest := "", []string(nil)
	if len(words) > 0 {
		verb, rest = words[0], words[1:]
	}
	takes := map[string]int{"add": 2, "list": 0, "remove": 1, "calls": 0, "dead": 0, "retry": 1}
	n, known := takes[verb]
	if !known {
		return config.Usage("webhooks takes add NAME URL, list, remove NAME, calls, dead or retry ID, got %q", verb)
	}
	if len(rest) != n {
		return config.Usage("webhooks %s takes %s, got %d", verb, []string{"no argument", "one argument", "a name and an address"}[n], len(rest))
	}
	settings, err := config.WebhookSettings(c)
	if err != nil {
		return err
	}
	return talk(c, func(ctx context.Context, s *session) error {
		store := webhooks.New(s.broker)
		switch verb {
		case "add":
			return s.addEndpoint(ctx, store, settings, webhooks.Endpoint{Name: rest[0], URL: rest[1]})
		case "list":
			return s.listEndpoints(ctx, store)
		case "remove":
			return s.removeEndpoint(ctx, store, rest[0])
		case "retry":
			return s.retryCall(ctx, store, rest[0])
		}
		return s.listCalls(ctx, store, verb == "dead")
	})
}

func (s *session) addEndpoint(ctx context.Context, store *webhooks.Store, w config.Webhooks, e webhooks.Endpoint) error {
	if w.Master == nil {
		return config.Usage("webhooks are signed: name the producers' secret with --webhook-secret-file; make one with openssl rand -base64 32")
	}
	e, err := store.Put(ctx, e, w.AllowPrivate)
	if err != nil {
		return err
	}
	if err := s.noteHook(ctx, "add webhook", e.Name); err != nil {
		return err
	}
	secret := w.Master.Secret(e)
	if s.json {
		e.Salt = ""
		return s.encode(struct {
			webhooks.Endpoint
			Secret string `json:"secret"`
		}{e, secret})
	}
	return s.print(fmt.Sprintf("%s\n\nThis is the secret of the endpoint %s. Give it to whoever answers there; it is shown only now.\n", secret, e.Name))
}

func (s *session) noteHook(ctx context.Context, action, name string) error {
	return keys.New(s.broker).NewAudit().Write(ctx, byHand(action, keys.Key{ID: name}))
}

func (s *session) listEndpoints(ctx context.Context, store *webhooks.Store) error {
	all, err := store.Endpoints(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{{"NAME", "ADDRESS", "SINCE"}}
	for _, e := range all {
		if e.Salt = ""; s.json {
			if err := s.encode(e); err != nil {
				return err
			}
		}
		rows = append(rows, []string{e.Name, e.URL, day(e.Created)})
	}
	if s.json {
		return nil
	}
	return s.print(report.Table(rows))
}

func hookFault(err error, name string) error {
	if errors.Is(err, webhooks.ErrUnknown) {
		return config.Usage("there is no %s", name)
	}
	return err
}

func (s *session) removeEndpoint(ctx context.Context, store *webhooks.Store, name string) error {
	if err := store.Remove(ctx, name); err != nil {
		return hookFault(err, "endpoint "+name)
	}
	return errors.Join(s.noteHook(ctx, "remove webhook", name), s.print("The endpoint "+name+" is removed; its calls become dead letters.\n"))
}

func (s *session) retryCall(ctx context.Context, store *webhooks.Store, id string) error {
	d, err := store.Retry(ctx, id)
	if err != nil {
		return hookFault(err, "call "+id)
	}
	if d.Body = nil; s.json {
		return s.encode(d)
	}
	return s.print("The call " + id + " is made again.\n")
}

func (s *session) listCalls(ctx context.Context, store *webhooks.Store, dead bool) error {
	all, err := store.Deliveries(ctx, dead, deliveryLines)
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "ENDPOINT", "ABOUT", "ATTEMPTS", "NEXT", "LAST"}}
	for _, d := range all {
		if s.json {
			if err := s.encode(d); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{d.ID, d.Endpoint, d.Object, fmt.Sprint(d.Attempts), day(d.Next), d.Error})
	}
	if s.json {
		return nil
	}
	return s.print(report.Table(rows))
}
