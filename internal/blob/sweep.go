package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sweepMost bounds the blobs of one sweep, sweepRefs the references of one
	// of them that it looks at.
	sweepMost, sweepRefs = 200, 50
	// claimFor is how long a sweep may take before another takes its part over.
	claimFor = time.Minute
	// A blob is looked at again after half as long as its youngest reference is
	// old, so that it is kept too long by that much at most; between these.
	soonest, latest = 10 * time.Second, 5 * time.Minute
)

// Held is a reference that a sweep asks about.
type Held struct {
	Ref
	// Age is how long ago it was made.
	Age time.Duration
}

// Judge tells which references hold no longer.
type Judge func(ctx context.Context, refs []Held) (dead []bool, err error)

// Clean looks at some of the blobs that are due, takes away the references that
// hold no longer, and deletes blobs that have none left. In a shared directory
// it also deletes files that no blob lies in. It reports how many blobs it
// deleted. Any number of processes may do so at once.
func (s *Store) Clean(ctx context.Context, judge Judge) (int, error) {
	n, err := s.cleanBlobs(ctx, judge)
	if s.dir != nil {
		err = errors.Join(err, s.cleanFiles(ctx))
	}
	return n, err
}

// seen is what a look at a blob's references found.
type seen struct {
	count    int64
	youngest time.Duration
	dead     []string
}

func (s *Store) cleanBlobs(ctx context.Context, judge Judge) (int, error) {
	claim, shas, err := s.claim(ctx)
	if err != nil || len(shas) == 0 {
		return 0, err
	}
	found, err := s.look(ctx, shas, judge)
	if err != nil {
		return 0, err
	}
	names := make(map[string][]string, len(found))
	for sha, f := range found {
		names[sha] = f.dead
	}
	did, err := s.drop(ctx, names)
	if err != nil {
		return 0, err
	}
	n := 0
	args := append(make([]any, 0, 1+2*len(shas)), claim)
	for _, sha := range shas {
		switch did[sha] {
		case absent:
			args = append(args, sha, "")
		case deleted:
			n++ // it stays listed until the next look, in case it is written anew
		case kept:
			args = append(args, sha, found[sha].again().Milliseconds())
		}
	}
	if len(args) > 1 {
		_, err = run(ctx, s.broker, call{settleScript, []string{dueKey}, args})
	}
	return n, err
}

// claim takes some blobs that are due.
func (s *Store) claim(ctx context.Context) (claim string, shas []string, err error) {
	cmds, err := run(ctx, s.broker, call{claimScript, []string{dueKey}, []any{sweepMost, claimFor.Milliseconds()}})
	if err != nil {
		return "", nil, fmt.Errorf("list blobs: %w", err)
	}
	list, err := answer(cmds[0])
	if err != nil {
		return "", nil, fmt.Errorf("list blobs: %w", err)
	}
	claim, _ = list[0].(string)
	entries, _ := list[1].([]any)
	for _, e := range entries {
		if sha, ok := e.(string); ok {
			shas = append(shas, sha)
		}
	}
	return claim, shas, nil
}

// look reads some references of each blob and has them judged.
func (s *Store) look(ctx context.Context, shas []string, judge Judge) (map[string]*seen, error) {
	calls := make([]call, len(shas))
	for i, sha := range shas {
		calls[i] = call{lookScript, []string{refsKey(sha)}, []any{sweepRefs}}
	}
	cmds, err := run(ctx, s.broker, calls...)
	if err != nil {
		return nil, fmt.Errorf("look at blobs: %w", err)
	}
	found := make(map[string]*seen, len(shas))
	var refs []Held
	for i, cmd := range cmds {
		list, err := answer(cmd)
		if err != nil {
			return nil, fmt.Errorf("look at blobs: %w", err)
		}
		held, count := readHeld(shas[i], list)
		found[shas[i]] = &seen{count: count, youngest: latest * 2}
		for _, h := range held {
			if found[h.SHA].youngest = min(found[h.SHA].youngest, h.Age); h.Name != uploaded {
				refs = append(refs, h)
			}
		}
	}
	dead, err := judge(ctx, refs)
	if err != nil {
		return nil, err
	}
	for i, r := range refs {
		if dead[i] {
			found[r.SHA].dead = append(found[r.SHA].dead, r.Name)
		}
	}
	return found, nil
}

// readHeld reads a look script's answer.
func readHeld(sha string, list []any) (held []Held, count int64) {
	now, _ := list[0].(int64)
	count, _ = list[1].(int64)
	for i := 2; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		text, _ := list[i+1].(string)
		at, _ := strconv.ParseFloat(text, 64)
		held = append(held, Held{Ref{sha, name}, max(0, time.Duration(float64(now)-at)*time.Millisecond)})
	}
	return held, count
}

// again is when to look at a blob again that is kept.
func (f *seen) again() time.Duration {
	if len(f.dead) > 0 && f.count > sweepRefs {
		return soonest // more of them may be dead
	}
	return min(latest, max(soonest, f.youngest/2))
}

// cleanFiles deletes the files in the next part of the directory that are old
// and not named in Redis: a process died between writing one and naming it, or
// between forgetting one and deleting it.
func (s *Store) cleanFiles(ctx context.Context) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	c := s.broker.Client()
	yard, err := c.GetRange(ctx, yardKey, 0, 63).Result()
	if err != nil || !isHex(yard, 16) {
		return s.broker.Explain(err) // nothing was ever written
	}
	n, err := c.Incr(ctx, shardKey).Result()
	if err != nil {
		return s.broker.Explain(err)
	}
	now, err := c.Time(ctx).Result()
	if err != nil {
		return s.broker.Explain(err)
	}
	files, err := s.dir.orphans(fmt.Sprintf("%s/%02x", yard, n%shards), now)
	for len(files) > 0 && err == nil {
		page := files[:min(len(files), referPage)]
		files = files[len(page):]
		err = s.cleanPage(ctx, page)
	}
	return err
}

// cleanPage deletes those of the files that are not named.
func (s *Store) cleanPage(ctx context.Context, files []file) error {
	cmds, err := s.broker.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, f := range files {
			p.GetRange(ctx, blobKey(f.sha), 0, 255)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep the blob directory: %w", s.broker.Explain(err))
	}
	for i, cmd := range cmds {
		if cmd.(*redis.StringCmd).Val() != inFile+files[i].name() {
			s.dir.remove(files[i])
		}
	}
	return nil
}

// orphans lists the files of a folder that are old enough to be deleted if
// nobody names them. What was never finished it deletes at once.
func (d *directory) orphans(folder string, now time.Time) ([]file, error) {
	entries, err := os.ReadDir(d.at(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sweep the blob directory: %w", err)
	}
	yard, _, _ := strings.Cut(folder, "/")
	var old []file
	for _, e := range entries {
		base, temporary := strings.CutPrefix(e.Name(), ".")
		f, ours := parseBase(yard, base)
		if !ours || now.UnixMilli()-f.made < orphanFor.Milliseconds() {
			continue
		}
		if temporary {
			os.Remove(d.at(folder + "/" + e.Name()))
			continue
		}
		old = append(old, f)
	}
	return old, nil
}
