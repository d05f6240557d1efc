package scale

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Commands are the command lines that start and end workers. They are run
// without a shell: words are parted by blanks, commands by &&.
type Commands struct {
	// Up brings the number of workers to {count}.
	Up string
	// Stop ends the worker on {host}.
	Stop string
	// List writes the workers' ids, one a line; {host} must be the beginning of
	// one. Empty trusts the names in the heartbeats.
	List string
}

// ComposeCommands drive docker compose. A container's host name is the
// beginning of its id.
func ComposeCommands(service string) Commands {
	return Commands{
		Up:   "docker compose up --detach --no-recreate --scale " + service + "={count} " + service,
		Stop: "docker stop {host} && docker rm --volumes {host}",
		List: "docker compose ps --quiet " + service,
	}
}

// Run runs one command and returns what it wrote to stdout.
type Run func(ctx context.Context, argv []string) (string, error)

const (
	// commandTime bounds one command: a worker that stops may drain first.
	commandTime = 5 * time.Minute
	// maxOutput bounds what is kept of what it writes.
	maxOutput = 64 << 10
)

// Execute runs a command as a child process.
func Execute(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, said limited
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %.400s", strings.Join(argv, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// limited keeps the first maxOutput bytes.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// Echo tells the commands and runs none.
func Echo(log zerolog.Logger) Run {
	return func(_ context.Context, argv []string) (string, error) {
		log.Info().Str("command", strings.Join(argv, " ")).Msg("would run")
		return "", nil
	}
}

// hostName is what may stand for {host}. It comes from a heartbeat, which
// anybody who reaches Redis can write.
var hostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Validate reports commands that cannot be meant.
func (c Commands) Validate() error {
	switch {
	case !strings.Contains(c.Up, "{count}"):
		return fmt.Errorf("scale: the up command must hold {count}, got %q", c.Up)
	case !strings.Contains(c.Stop, "{host}"):
		return fmt.Errorf("scale: the stop command must hold {host}, got %q", c.Stop)
	}
	return nil
}

// Fleet is the workers that the commands start and end.
func (c Commands) Fleet(run Run) Fleet {
	return Fleet{
		Start: func(ctx context.Context, count int) error {
			return runAll(ctx, run, c.Up, "{count}", strconv.Itoa(count))
		},
		Stop: func(ctx context.Context, host string) error {
			if !hostName.MatchString(host) {
				return fmt.Errorf("the node gives %q as its host, which is no host's name", host)
			}
			if err := c.known(ctx, run, host); err != nil {
				return err
			}
			return runAll(ctx, run, c.Stop, "{host}", host)
		},
	}
}

// known makes sure that a host is one of the workers.
func (c Commands) known(ctx context.Context, run Run, host string) error {
	if c.List == "" {
		return nil
	}
	out, err := run(ctx, strings.Fields(c.List))
	if err != nil {
		return err
	}
	for id := range strings.Lines(out) {
		if len(host) >= 8 && strings.HasPrefix(strings.TrimSpace(id), host) {
			return nil
		}
	}
	return fmt.Errorf("host %s is none of the workers that %q lists", host, c.List)
}

func runAll(ctx context.Context, run Run, line, name, value string) error {
	for one := range strings.SplitSeq(line, "&&") {
		argv := strings.Fields(one)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], name, value)
		}
		if len(argv) == 0 {
			continue
		}
		if _, err := run(ctx, argv); err != nil {
			return err
		}
	}
	return nil
}
