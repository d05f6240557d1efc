package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/config"
	"github.com/jobyard/jobyard/internal/keys"
	"github.com/jobyard/jobyard/internal/report"
)

// auditLines is how much of the audit log is shown.
const auditLines = 100

func keysCommand() *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "make, list and revoke the API's keys; read its audit log", Category: "Yard",
		ArgsUsage: "add NAME | list | revoke ID|NAME | audit",
		Description: "A key is shown once, when it is made; Redis keeps only its hash. From the first key on the API serves\n" +
			"nobody without one, also after all were revoked. A revoked key opens nothing after two seconds.",
		Flags: flags(config.KeyFlags()...), Action: keysAction,
	}
}

func keysAction(c *cli.Context) error {
	words := c.Args().Slice()
	verb, rest := "", []string(nil)
	if len(words) > 0 {
		verb, rest = words[0], words[1:]
	}
	takes := map[string]int{"add": 1, "list": 0, "revoke": 1, "audit": 0}
	n, known := takes[verb]
	if !known {
		return config.Usage("keys takes add NAME, list, revoke ID or audit, got %q", verb)
	}
	if len(rest) != n {
		return config.Usage("keys %s takes %s, got %d", verb, []string{"no argument", "one argument"}[n], len(rest))
	}
	return talk(c, func(ctx context.Context, s *session) error {
		store := keys.New(s.broker)
		switch verb {
		case "add":
			return s.addKey(ctx, c, store, rest[0])
		case "list":
			return s.listKeys(ctx, store)
		case "revoke":
			return s.revokeKey(ctx, store, rest[0])
		}
		return s.showAudit(ctx, store)
	})
}

func (s *session) addKey(ctx context.Context, c *cli.Context, store *keys.Store, name string) error {
	k, err := config.Key(c, name, time.Now())
	if err != nil {
		return err
	}
	k, token, err := store.Add(ctx, k)
	if err != nil {
		return keyFault(err)
	}
	if err := store.NewAudit().Write(ctx, byHand("add key", k)); err != nil {
		return err
	}
	if s.json {
		return s.encode(struct {
			keys.Key
			Token string `json:"token"`
		}{k, token})
	}
	return s.print(fmt.Sprintf("%s\n\nThis is the key %s (%s), good for %s. It is shown only now.\n", token, k.Name, k.ID, scope(k)))
}

// byHand is the audit log's entry for what is done at the command line.
func byHand(action string, k keys.Key) keys.Entry {
	return keys.Entry{At: time.Now(), Class: keys.Changes, Name: "command line", Action: action, Object: k.ID + " " + k.Name}
}

func keyFault(err error) error {
	var missing *keys.NotFoundError
	var twins *keys.AmbiguousError
	var full *keys.FullError
	if errors.As(err, &missing) || errors.As(err, &twins) || errors.As(err, &full) {
		return config.Usage("%w", err)
	}
	return err
}

func scope(k keys.Key) string {
	actions := make([]string, len(k.Actions))
	for i, a := range k.Actions {
		actions[i] = string(a)
	}
	text := strings.Join(actions, ", ")
	if len(k.Kinds) > 0 {
		text += " of " + strings.Join(k.Kinds, ", ")
	}
	if k.Rate > 0 {
		text += fmt.Sprintf(", %g requests a second", k.Rate)
	}
	if k.InFlight > 0 {
		text += fmt.Sprintf(", %d unfinished tasks", k.InFlight)
	}
	return text
}

func (s *session) listKeys(ctx context.Context, store *keys.Store) error {
	all, err := store.List(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].Hash = ""
		if s.json {
			if err := s.encode(all[i]); err != nil {
				return err
			}
		}
	}
	if s.json {
		return nil
	}
	if len(all) == 0 {
		return s.print("There are no keys: only the producer's own machine is served.\n")
	}
	rows := [][]string{{"ID", "NAME", "GOOD FOR", "STATE", "LAST USED"}}
	for _, k := range all {
		rows = append(rows, []string{k.ID, k.Name, scope(k), keyState(k, time.Now()), day(k.Used)})
	}
	return s.print(report.Table(rows))
}

func keyState(k keys.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + day(k.Revoked)
	case k.Ended(now):
		return "expired " + day(k.Expires)
	case !k.Expires.IsZero():
		return "good until " + day(k.Expires)
	}
	return "good"
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func (s *session) revokeKey(ctx context.Context, store *keys.Store, name string) error {
	k, err := store.Revoke(ctx, name)
	if err != nil {
		return keyFault(err)
	}
	if err := store.NewAudit().Write(ctx, byHand("revoke key", k)); err != nil {
		return err
	}
	if s.json {
		return s.encode(k)
	}
	return s.print(fmt.Sprintf("The key %s (%s) is revoked; within two seconds it opens nothing.\n", k.Name, k.ID))
}

func (s *session) showAudit(ctx context.Context, store *keys.Store) error {
	entries, err := store.NewAudit().Last(ctx, auditLines)
	if err != nil {
		return err
	}
	rows := [][]string{{"WHEN", "WHO", "FROM", "WHAT", "STATUS"}}
	for _, e := range entries {
		if s.json {
			if err := s.encode(e); err != nil {
				return err
			}
			continue
		}
		what := e.Action
		if e.Count > 1 {
			what += fmt.Sprintf(" of %d", e.Count)
		}
		status := ""
		if e.Status > 0 {
			status = fmt.Sprint(e.Status)
		}
		rows = append(rows, []string{day(e.At), orUnknown(e.Name), e.Remote, strings.Join(strings.Fields(what+" "+e.Kind+" "+e.Object), " "), status})
	}
	if s.json {
		return nil
	}
	return s.print(report.Table(rows))
}
