package results

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// deadWalk goes through the dead letters of several queues in the order of when
// they failed, a page of each queue in memory. Letters that come or go meanwhile
// change nothing about those behind and before them.
type deadWalk struct {
	store  *Store
	filter tasks.DeadFilter
	latest bool // first
	page   int
	queues []*deadQueue
}

// deadQueue is a walk's place in one queue.
type deadQueue struct {
	name   string
	number int // in tasks.Queues
	behind *deadPlace
	read   []deadRead
	ended  bool
}

// deadPlace is a place in a queue: behind the letter of that second and id.
type deadPlace struct {
	second float64
	id     string
}

// deadRead is an entry of the archive; one without a letter is damaged.
type deadRead struct {
	place  deadPlace
	letter Dead
	ok     bool
}

// walkDead begins a walk.
func (s *Store) walkDead(f tasks.DeadFilter, latest bool, page int) *deadWalk {
	w := &deadWalk{store: s, filter: f, latest: latest, page: page}
	for i, name := range tasks.Queues() {
		if slices.Contains(deadQueues(f), name) {
			w.queues = append(w.queues, &deadQueue{name: name, number: i})
		}
	}
	return w
}

// next returns the next letter, whether the filter chooses it or not, and nil at
// the end. Damaged entries are passed over.
func (w *deadWalk) next(ctx context.Context) (*deadRead, error) {
	for {
		if err := w.fill(ctx); err != nil {
			return nil, err
		}
		var first *deadQueue
		for _, q := range w.queues {
			if len(q.read) > 0 && (first == nil || w.sooner(q, first)) {
				first = q
			}
		}
		if first == nil {
			return nil, nil //nolint:nilnil // the end is no error
		}
		r := first.read[0]
		first.read, first.behind = first.read[1:], &r.place
		if r.ok {
			return &r, nil
		}
	}
}

// sooner reports whether a's next letter comes before b's; of letters of the
// same second the earlier queue's.
func (w *deadWalk) sooner(a, b *deadQueue) bool {
	x, y := a.read[0].place.second, b.read[0].place.second
	if x == y {
		return a.number < b.number
	}
	return (x > y) == w.latest
}

// fill reads a page of every queue that has none, in one round trip.
func (w *deadWalk) fill(ctx context.Context) error {
	var calls []scriptCall
	var asked []*deadQueue
	for _, q := range w.queues {
		if len(q.read) == 0 && !q.ended {
			calls, asked = append(calls, w.call(q)), append(asked, q)
		}
	}
	if len(calls) == 0 {
		return nil
	}
	ctx, cancel := w.store.broker.CallContext(ctx)
	defer cancel()
	cmds, err := runAll(ctx, w.store.broker.Client(), deadPageScript, calls)
	if err != nil {
		return fmt.Errorf("list dead letters: %w", w.store.broker.Explain(err))
	}
	for i, q := range asked {
		q.take(cmds[i])
		q.ended = len(q.read) < w.page
	}
	return nil
}

func (w *deadWalk) call(q *deadQueue) scriptCall {
	order, second, id, from, to := "", "", "", "-inf", "+inf"
	if w.latest {
		order = "rev"
	}
	if q.behind != nil {
		second, id = formatSecond(q.behind.second), q.behind.id
	}
	if !w.filter.Since.IsZero() {
		from = strconv.FormatInt(w.filter.Since.Unix(), 10)
	}
	if !w.filter.Before.IsZero() {
		to = strconv.FormatInt(w.filter.Before.Unix(), 10)
	}
	args := []any{w.page, order, broker.TaskKeyPrefix(q.name), second, id, from, to}
	for _, f := range deadFields {
		args = append(args, f)
	}
	return scriptCall{[]string{broker.QueueKey(q.name, "archived")}, args}
}

func formatSecond(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

// take takes a page over.
func (q *deadQueue) take(cmd *redis.Cmd) {
	list, _ := cmd.Slice() // runAll has looked at the errors
	for _, entry := range list {
		f, _ := entry.([]any)
		if len(f) != 2+len(deadFields) {
			continue
		}
		id, _ := f[0].(string)
		text, _ := f[1].(string)
		second, _ := strconv.ParseFloat(text, 64)
		r := deadRead{place: deadPlace{second, id}}
		r.letter, r.ok = parseDead(id, q.name, f[2:], second)
		q.read = append(q.read, r)
	}
}

// cursor is the letter's place in a list: "second~queue~id".
func (r deadRead) cursor() string {
	return formatSecond(r.place.second) + "~" + r.letter.Queue + "~" + r.letter.ID
}

// from puts a walk, the latest first, behind the letter of a cursor.
func (w *deadWalk) from(cursor string) error {
	if cursor == "" {
		return nil
	}
	parts := strings.SplitN(cursor, "~", 3)
	if len(parts) != 3 {
		return errCursor
	}
	second, err := strconv.ParseFloat(parts[0], 64)
	at := slices.Index(tasks.Queues(), parts[1])
	if err != nil || math.IsNaN(second) || math.IsInf(second, 0) || at < 0 || len(cursor) > 1000 {
		return errCursor
	}
	for _, q := range w.queues {
		switch place := (deadPlace{second: second}); {
		case q.number == at:
			place.id = parts[2]
			q.behind = &place
		case q.number > at:
			place.id = "\xff" // of its second nothing has been told yet
			q.behind = &place
		default:
			q.behind = &place // of its second everything has
		}
	}
	return nil
}

var errCursor = tasks.Invalid("after", "must be a next of an earlier page, as it was given")
