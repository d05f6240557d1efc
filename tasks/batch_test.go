package tasks_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/tasks"
)

func query(q string, opts ...tasks.Option) tasks.Request {
	r, err := tasks.Search.New(tasks.SearchPayload{Query: q}, opts...)
	if err != nil {
		panic(err)
	}
	return r
}

func TestBatch_Check(t *testing.T) {
	t.Parallel()
	other := query("x", tasks.WithQueue("search"))
	tests := []struct {
		name  string
		batch tasks.Batch
		path  string // of the fault; empty if there is none
	}{
		{"it accepts requests for the bulk queue", tasks.Batch{ID: "b", Requests: []tasks.Request{query("a"), query("b", tasks.WithQueue("bulk"))}}, ""},
		{"it refuses an empty batch", tasks.Batch{}, "tasks"},
		{"it refuses too many", tasks.Batch{Requests: make([]tasks.Request, tasks.MaxBatchTasks+1)}, "tasks"},
		{"it refuses a long id", tasks.Batch{ID: strings.Repeat("x", 101), Requests: []tasks.Request{query("a")}}, "id"},
		{"it leads to the field at fault", tasks.Batch{Requests: []tasks.Request{query("a"), query("")}}, "tasks[1].payload.query"},
		{"it refuses ids of their own", tasks.Batch{Requests: []tasks.Request{query("a", tasks.WithID("mine"))}}, "tasks[0].options.id"},
		{"it refuses another queue", tasks.Batch{Requests: []tasks.Request{other}}, "tasks[0].options.queue"},
		{"it checks the callback", tasks.Batch{Requests: []tasks.Request{query("a")}, Callback: new(query(""))}, "callback.payload.query"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.batch.Check(time.Now())
			if tt.path == "" {
				if err != nil || got.Requests[0].Options.Queue != "search:bulk" {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			var in *tasks.InvalidError
			if !errors.As(err, &in) || in.Fields[0].Path != tt.path {
				t.Errorf("got %v, want a fault at %s", err, tt.path)
			}
		})
	}
}

func TestBatch_CheckTellsManyFaultsButNotAll(t *testing.T) {
	t.Parallel()
	b := tasks.Batch{Requests: make([]tasks.Request, 1000)}
	for i := range b.Requests {
		b.Requests[i] = query("")
	}
	_, err := b.Check(time.Now())
	var in *tasks.InvalidError
	if !errors.As(err, &in) || len(in.Fields) != 20 || in.Fields[19].Path != "tasks[19].payload.query" {
		t.Errorf("got %v, want the first twenty faults", err)
	}
}

func TestBatch_CheckKeepsTasksLongEnough(t *testing.T) {
	t.Parallel()
	got, err := tasks.Batch{Requests: []tasks.Request{query("a", tasks.WithRetention(time.Second))}}.Check(time.Now())
	if err != nil || got.Requests[0].Options.Retention != tasks.Duration(tasks.MinBatchRetention) {
		t.Errorf("got %+v, %v", got.Requests, err)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(`{"id":"b","tasks":[{"kind":"search","payload":{"query":"x"}}],"callback":{"kind":"search","payload":{"query":"y"}}}`))
	f.Add([]byte(`{"tasks":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := tasks.DecodeBatch(raw)
		if err == nil {
			_, err = b.Check(time.Unix(1700000000, 0))
		}
		var in *tasks.InvalidError
		if err != nil && !errors.As(err, &in) {
			t.Errorf("got %v, want an InvalidError", err)
		}
	})
}
