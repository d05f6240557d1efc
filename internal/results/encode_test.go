package results

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// asynqs has asynq's own client write its message: it runs against a catcher
// that keeps the message and sends nothing.
func asynqs(t *testing.T, id string, r tasks.Request, headers map[string]string) []byte {
	t.Helper()
	var msg []byte
	catcher := broker.Intercept(unreachable{}, func(ctx context.Context, call broker.Call) *redis.Cmd {
		cmd := redis.NewCmd(ctx)
		cmd.SetVal(int64(1))
		msg, _ = call.Args[0].([]byte)
		return cmd
	})
	o := r.Options
	limit := (time.Duration(o.Timeout) + TimeoutGrace).Round(time.Second)
	_, err := asynq.NewClientFromRedisClient(catcher).Enqueue(asynq.NewTaskWithHeaders(r.Kind, r.Payload, headers),
		asynq.TaskID(id), asynq.Queue(o.Queue), asynq.MaxRetry(*o.MaxRetry), asynq.Timeout(limit),
		asynq.Retention(time.Duration(o.Retention)))
	if err != nil || msg == nil {
		t.Fatalf("asynq wrote no message: %v", err)
	}
	return msg
}

// unreachable answers the one command that asynq's client sends beside its
// script: it registers the queue.
type unreachable struct{ redis.UniversalClient }

func (unreachable) SAdd(ctx context.Context, _ string, _ ...any) *redis.IntCmd {
	return redis.NewIntCmd(ctx)
}

func TestEncode_WritesWhatAsynqWrites(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		payload string
		opts    []tasks.Option
	}{
		{"the defaults", `{"query":"x"}`, nil},
		{"every option", `{"query":"größer"}`, []tasks.Option{tasks.WithQueue("bulk"), tasks.WithTimeout(1500 * time.Millisecond),
			tasks.WithMaxRetry(25), tasks.WithRetention(30 * 24 * time.Hour)}},
		{"no retries", `{"query":"x"}`, []tasks.Option{tasks.WithMaxRetry(0), tasks.WithRetention(time.Second)}},
		{"a long payload", `{"query":"` + strings.Repeat("a", 999) + `"}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := tasks.Request{Kind: "search", Payload: []byte(tt.payload)}
			for _, o := range tt.opts {
				o(&r.Options)
			}
			r, err := r.Check(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			want := asynqs(t, "an-id", r, map[string]string{HeaderTimeout: r.Options.Timeout.String()})
			if got := encode(&Admission{ID: "an-id", Request: r}); !bytes.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestEncode_Marks(t *testing.T) {
	t.Parallel()
	r := searching(t, "x")
	beside := r
	beside.Payload = nil
	tests := []struct {
		name, header, value string
		admission           Admission
	}{
		{"a payload that lies beside", HeaderPayload, "beside", Admission{ID: "an-id", Request: beside}},
		{"a bundle", HeaderBundle, "1", Admission{ID: "an-id", Request: r, bundle: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := encode(&tt.admission)
			// A map has no order, so asynq may write its two headers either way around.
			limit := appendHeader(nil, HeaderTimeout, r.Options.Timeout.String())
			mark := appendHeader(nil, tt.header, tt.value)
			want := asynqs(t, "an-id", tt.admission.Request, map[string]string{HeaderTimeout: r.Options.Timeout.String(), tt.header: tt.value})
			if len(got) != len(want) || !bytes.Contains(want, limit) || !bytes.Contains(want, mark) ||
				!bytes.Equal(got, append(append(bytes.Clone(want[:len(want)-len(limit)-len(mark)]), mark...), limit...)) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	r := searching(b, "x")
	b.ReportAllocs()
	for b.Loop() {
		encode(&Admission{ID: "0197a7a5-6a5e-7cde-8f00-0123456789ab", Request: r})
	}
}
