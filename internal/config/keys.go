package config

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/jobyard/jobyard/internal/keys"
)

// KeyFlags say what a new key is good for. They have no variables.
func KeyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "kinds", Usage: "kinds that it is good for, as search,sdk_fetch", DefaultText: "all of them"},
		&cli.StringFlag{Name: "actions", Value: "enqueue,read,cancel", Usage: "what it allows, of enqueue, read, cancel, admin"},
		&cli.Float64Flag{Name: "rate", Usage: "requests a second; 0 is no limit"},
		&cli.IntFlag{Name: "in-flight", Usage: "unfinished tasks at most; 0 is no limit"},
		&cli.DurationFlag{Name: "expires-in", Usage: "how long it is good, as 720h", DefaultText: "until it is revoked"},
	}
}

// Key reads KeyFlags. What they say is checked where the key is made.
func Key(c *cli.Context, name string, now time.Time) (keys.Key, error) {
	k := keys.Key{Name: name, Kinds: words(c.String("kinds")), Rate: c.Float64("rate"), InFlight: c.Int("in-flight")}
	for _, a := range words(c.String("actions")) {
		k.Actions = append(k.Actions, keys.Action(a))
	}
	if c.IsSet("expires-in") {
		if c.Duration("expires-in") <= 0 {
			return k, Usage("--expires-in must be positive, got %s", c.Duration("expires-in"))
		}
		k.Expires = now.Add(c.Duration("expires-in")).UTC().Truncate(time.Second)
	}
	return k, nil
}

// words splits a list at its commas.
func words(text string) []string {
	var all []string
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			all = append(all, w)
		}
	}
	return all
}
