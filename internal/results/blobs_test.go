package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// document is a checked request whose payload is as large as n.
func document(t testing.TB, n int, opts ...tasks.Option) tasks.Request {
	t.Helper()
	return parsing(t, tasks.DocumentSource{Text: strings.Repeat("large ", n/6)}, opts...)
}

func parsing(t testing.TB, source tasks.DocumentSource, opts ...tasks.Option) tasks.Request {
	t.Helper()
	return request(t, tasks.DocumentParse, tasks.DocumentParsePayload{Source: source}, opts...)
}

func admitOne(t testing.TB, s *Store, id string, r tasks.Request) {
	t.Helper()
	if err := s.AdmitOne(t.Context(), Admission{ID: id, Chosen: true, Request: r, Limit: 500}); err != nil {
		t.Fatal(err)
	}
}

// refsOf lists the references to a blob.
func refsOf(t testing.TB, b *broker.Broker, sha string) []string {
	t.Helper()
	return b.Client().ZRange(t.Context(), "jobyard:blob:{"+sha+"}:refs", 0, -1).Val()
}

// blobsIn lists the blobs in Redis.
func blobsIn(t testing.TB, b *broker.Broker) []string {
	t.Helper()
	var all []string
	for _, key := range b.Client().Keys(t.Context(), "jobyard:blob:{*}").Val() {
		if !strings.HasSuffix(key, ":refs") {
			all = append(all, strings.TrimSuffix(strings.TrimPrefix(key, "jobyard:blob:{"), "}"))
		}
	}
	return all
}

// sweepLater sweeps as if some time had passed.
func sweepLater(t testing.TB, s *Store, by time.Duration) {
	t.Helper()
	c := s.broker.Client()
	for _, key := range c.Keys(t.Context(), "jobyard:blob:*:refs").Val() {
		for _, name := range c.ZRange(t.Context(), key, 0, -1).Val() {
			c.ZIncrBy(t.Context(), key, -float64(by.Milliseconds()), name)
		}
	}
	for _, sha := range c.ZRange(t.Context(), "jobyard:{blobs}:due", 0, -1).Val() {
		c.ZAdd(t.Context(), "jobyard:{blobs}:due", redis.Z{Score: 1, Member: sha})
	}
	if _, err := s.SweepBlobs(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAdmit_ALargePayloadLiesInTheBlobStore(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	r := document(t, 200_000)
	admitOne(t, s, "one", r)
	admitOne(t, s, "two", r)
	sha := blob.SHA(r.Payload)
	if got := blobsIn(t, b); len(got) != 1 || got[0] != sha || len(refsOf(t, b, sha)) != 2 {
		t.Fatalf("got the blobs %v, want one with two references", got)
	}
	beside := b.Client().HGet(t.Context(), broker.TaskKey("document_parse", "one"), "y_payload").Val()
	if m, ok := blob.ParseMarker([]byte(strings.SplitN(beside, "\n", 2)[0])); !ok || m.SHA != sha {
		t.Errorf("got %q in the record, want it to name the blob", beside)
	}
	for _, id := range []string{"one", "two"} {
		got, err := s.Payload(t.Context(), tasks.Task{ID: id, Queue: "document_parse"})
		if err != nil || !bytes.Equal(got, r.Payload) {
			t.Errorf("%s: got %d bytes, %v", id, len(got), err)
		}
	}
	// While one record names it, it stays.
	sweepLater(t, s, 48*time.Hour)
	b.Client().Del(t.Context(), broker.TaskKey("document_parse", "one"))
	sweepLater(t, s, time.Hour)
	if refs := refsOf(t, b, sha); len(refs) != 1 || !strings.Contains(refs[0], " two ") {
		t.Errorf("got the references %v, want that of the task that is left", refs)
	}
	b.Client().Del(t.Context(), broker.TaskKey("document_parse", "two"))
	sweepLater(t, s, time.Hour)
	if got := blobsIn(t, b); len(got) != 0 {
		t.Errorf("got the blobs %v, want none", got)
	}
}

// What an older version packed into the record itself is still read.
func TestLargePayload_ReadsWhatOlderVersionsWrote(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	payload := document(t, 100_000).Payload
	b.Client().HSet(t.Context(), broker.TaskKey("search", "old"), "y_payload", s.packer.pack(payload))
	got, err := s.LargePayload(t.Context(), "search", "old")
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestAdmit_ARefusedPayloadIsNotKept(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	first, second := document(t, 100_000), document(t, 120_000)
	admit := func(id string, r tasks.Request, limit int) error {
		return s.AdmitOne(t.Context(), Admission{ID: id, Chosen: true, Request: r, Limit: limit})
	}
	if err := admit("a", first, 1); err != nil {
		t.Fatal(err)
	}
	var full *FullError
	var conflict *ConflictError
	if err := admit("b", second, 1); !errors.As(err, &full) {
		t.Errorf("got %v, want it full", err)
	}
	if err := admit("a", second, 10); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := admit("a", first, 10); !errors.Is(err, ErrKnown) {
		t.Errorf("got %v, want it known", err)
	}
	if got := blobsIn(t, b); len(got) != 1 || len(refsOf(t, b, got[0])) != 1 {
		t.Errorf("got the blobs %v, want that of the first with its one reference", got)
	}
	if _, err := s.LargePayload(t.Context(), "document_parse", "a"); err != nil {
		t.Error(err)
	}
}

// Equal tasks that are handed over at once share a blob; those that are refused
// or known must not take it from the one that is admitted.
func TestAdmit_RefusedTwinsLeaveTheBlob(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	r := document(t, 70_000)
	var known, full, admitted, other [64]int
	atOnce(64, func(i int) {
		for j := range 8 {
			err := s.AdmitOne(t.Context(), Admission{ID: fmt.Sprint("t", (i+j)%24), Chosen: true, Request: r, Limit: 12})
			var f *FullError
			switch {
			case err == nil:
				admitted[i]++
			case errors.Is(err, ErrKnown):
				known[i]++
			case errors.As(err, &f):
				full[i]++
			default:
				other[i]++
				t.Error(err)
			}
		}
	})
	ids := b.Client().LRange(t.Context(), broker.QueueKey("document_parse", "pending"), 0, -1).Val()
	if len(ids) != 12 {
		t.Errorf("got %d tasks, want 12", len(ids))
	}
	for _, id := range ids {
		if got, err := s.LargePayload(t.Context(), "document_parse", id); err != nil || !bytes.Equal(got, r.Payload) {
			t.Errorf("task %s: got %d bytes, %v", id, len(got), err)
		}
	}
	if n := len(refsOf(t, b, blob.SHA(r.Payload))); n != 12 {
		t.Errorf("got %d references, want one for each task", n)
	}
}

// A producer died between storing a payload and admitting its task.
func TestSweep_WhatWasNeverAdmittedGoes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	all := []Admission{{ID: "x", Request: document(t, 100_000), Limit: 500}}
	if _, _, _, err := s.hold(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	sweepLater(t, s, heldFor/2)
	if n := len(blobsIn(t, b)); n != 1 {
		t.Error("it went before the task could be admitted")
	}
	sweepLater(t, s, heldFor)
	if n := len(blobsIn(t, b)); n != 0 {
		t.Error("it is still there")
	}
}

func TestHolding(t *testing.T) {
	t.Parallel()
	ref := func(role, queue, sha string, age time.Duration) blob.Held {
		return blob.Held{Ref: blob.Ref{SHA: sha, Name: refName(role, queue, "id")}, Age: age}
	}
	sha, other := blob.SHA([]byte("x")), blob.SHA([]byte("y"))
	marker := func(sha string) string { return string(blob.Marker{SHA: sha, Size: 1}.Bytes()) + "\nref" }
	young, old, ancient := heldFor/2, heldFor*2, settleWithin*2
	for name, c := range map[string]struct {
		ref   blob.Held
		state any
		at    any
		want  bool
	}{
		"payload, not admitted yet":      {ref(rolePayload, "search", sha, young), nil, nil, true},
		"payload, never admitted":        {ref(rolePayload, "search", sha, old), nil, nil, false},
		"payload, named":                 {ref(rolePayload, "search", sha, ancient), "archived", marker(sha), true},
		"payload, completed":             {ref(rolePayload, "search", sha, old), "completed", nil, false},
		"payload, another one":           {ref(rolePayload, "search", sha, old), "pending", marker(other), false},
		"result, not settled yet":        {ref(roleResult, "search", sha, ancient), "active", nil, true},
		"result, its task handed back":   {ref(roleResult, "search", sha, ancient), "pending", nil, true},
		"result, of a bundle's task":     {ref(roleResult, "search", sha, old), nil, nil, true},
		"result, archived meanwhile":     {ref(roleResult, "search", sha, ancient), "archived", nil, false},
		"result, named":                  {ref(roleResult, "search", sha, ancient), "completed", marker(sha), true},
		"result, another attempt's":      {ref(roleResult, "search", sha, ancient), "completed", `{"a":1}`, false},
		"result, its record gone":        {ref(roleResult, "search", sha, ancient), nil, nil, false},
		"source, not admitted yet":       {ref(roleSource, "search", sha, young), nil, nil, true},
		"source, its record there":       {ref(roleSource, "search", sha, ancient), "completed", nil, true},
		"source, its record gone":        {ref(roleSource, "search", sha, old), nil, nil, false},
		"batch, its hash there":          {ref(roleBatch, "-", sha, ancient), "creating", nil, true},
		"batch, its hash gone":           {ref(roleBatch, "-", sha, old), nil, nil, false},
		"result, damaged where it stood": {ref(roleResult, "search", sha, ancient), "completed", "jobyard:blob ?", false},
	} {
		if got := holding(c.ref, []any{c.state, c.at}); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

// A reference of a version to come is not ours to judge.
func TestSweep_SparesReferencesItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := New(brokertest.Start(t))
	refs := []blob.Held{
		{Ref: blob.Ref{SHA: blob.SHA(nil), Name: "index somewhere id 123"}, Age: time.Hour * 1000},
		{Ref: blob.Ref{SHA: blob.SHA(nil), Name: ""}, Age: time.Hour * 1000},
		{Ref: blob.Ref{SHA: blob.SHA(nil), Name: refName(rolePayload, "search", "x")}, Age: time.Hour * 1000},
	}
	dead, err := s.judge(t.Context(), refs)
	if err != nil || dead[0] || dead[1] || !dead[2] {
		t.Errorf("got %v, %v, want the last one dead", dead, err)
	}
	if dead, err := s.judge(t.Context(), nil); err != nil || len(dead) != 0 {
		t.Errorf("of none: got %v, %v", dead, err)
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(refName(rolePayload, "search", "id"))
	f.Add(refName(roleBatch, "-", "id"))
	f.Add("payload search:bulk a.b 00")
	f.Fuzz(func(t *testing.T, name string) {
		role, key, ok := parseRef(name)
		if ok && (role == "" || !strings.HasPrefix(key, "asynq:{") && !strings.HasPrefix(key, "jobyard:batch:{")) {
			t.Fatalf("%q: got %q, %q", name, role, key)
		}
	})
}

func TestAdmit_RefersToAnUploadedBlob(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	sha, err := s.PutBlob(t.Context(), []byte("# A document"))
	if err != nil {
		t.Fatal(err)
	}
	never := blob.SHA([]byte("never"))
	answers, err := s.Admit(t.Context(),
		Admission{ID: "there", Request: parsing(t, tasks.DocumentSource{Blob: sha}), Limit: 500},
		Admission{ID: "missing", Request: parsing(t, tasks.DocumentSource{Blob: never}), Limit: 500},
		Admission{ID: "text", Request: parsing(t, tasks.DocumentSource{Text: sha}), Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	var invalid *tasks.InvalidError
	if answers[0] != nil || answers[2] != nil || !errors.As(answers[1], &invalid) || invalid.Fields[0].Path != "payload.source.blob" {
		t.Errorf("got %v, want only the second refused, at payload.source.blob", answers)
	}
	if _, err := s.Get(t.Context(), "missing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want no such task", err)
	}
	// The upload's own time is over, the task is there.
	sweepLater(t, s, 25*time.Hour)
	if data, err := s.Blob(t.Context(), sha); err != nil || string(data) != "# A document" {
		t.Errorf("got %q, %v", data, err)
	}
	b.Client().Del(t.Context(), broker.TaskKey("document_parse", "there"))
	sweepLater(t, s, time.Hour)
	if _, err := s.Blob(t.Context(), sha); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want it gone with the task", err)
	}
}

func TestCreateBatch_RefersToUploadedBlobs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	sha, err := s.PutBlob(t.Context(), []byte("# A document"))
	if err != nil {
		t.Fatal(err)
	}
	there, never := parsing(t, tasks.DocumentSource{Blob: sha}), parsing(t, tasks.DocumentSource{Blob: blob.SHA([]byte("never"))})
	for path, batch := range map[string]tasks.Batch{
		"tasks[1].payload.source.blob": {ID: "bad", Requests: []tasks.Request{bulk(there), bulk(never), bulk(there)}},
		"callback.payload.source.blob": {ID: "bad", Requests: []tasks.Request{bulk(there)}, Callback: &never},
	} {
		var invalid *tasks.InvalidError
		err := s.CreateBatch(t.Context(), checked(t, batch), roomFor(500))
		if !errors.As(err, &invalid) || invalid.Fields[0].Path != path {
			t.Errorf("got %v, want it invalid at %s", err, path)
		}
	}
	if refs := refsOf(t, b, sha); len(refs) != 1 {
		t.Errorf("got the references %v, want that of the upload", refs)
	}
	good := checked(t, tasks.Batch{ID: "good", Requests: []tasks.Request{bulk(there), bulk(there), bulk(there)}})
	if err := s.CreateBatch(t.Context(), good, roomFor(500)); err != nil {
		t.Fatal(err)
	}
	// Each task lives on its own, and the blob with it.
	sweepLater(t, s, 25*time.Hour)
	b.Client().Del(t.Context(), batchKey("good"), broker.TaskKey("document_parse:bulk", "good.0"), broker.TaskKey("document_parse:bulk", "good.1"))
	sweepLater(t, s, time.Hour)
	if refs := refsOf(t, b, sha); len(refs) != 1 || !strings.Contains(refs[0], "good.2") {
		t.Errorf("got the references %v, want that of the last task", refs)
	}
}

// The blob of a batch was lost before its tasks were queued: they are queued
// all the same, since the batch has let them in, and say it themselves.
func TestCreateBatch_GoesOnWithoutALostBlob(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	sha, err := s.PutBlob(t.Context(), []byte("# A document"))
	if err != nil {
		t.Fatal(err)
	}
	batch := checked(t, tasks.Batch{ID: "b", Requests: []tasks.Request{bulk(parsing(t, tasks.DocumentSource{Blob: sha}))}})
	if _, err := s.holdBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if code, err := s.writeBatch(t.Context(), batch, "sum", specOf(t, batch)); err != nil || code != 1 {
		t.Fatal(code, err)
	}
	// While the batch is there, so is the blob.
	sweepLater(t, s, 25*time.Hour)
	if _, err := s.Blob(t.Context(), sha); err != nil {
		t.Error(err)
	}
	b.Client().Del(t.Context(), "jobyard:blob:{"+sha+"}")
	if err := later(b).RecoverBatches(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Client().LLen(t.Context(), broker.QueueKey("document_parse:bulk", "pending")).Val(); got != 1 {
		t.Errorf("got %d tasks queued, want 1", got)
	}
}

func bulk(r tasks.Request) tasks.Request {
	r.Options.Queue = "bulk"
	return r
}

func TestGet_ResolvesResults(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	result := []byte(`{"text":"` + strings.Repeat("x", 100_000) + `"}`)
	m, err := s.blobs.Put(t.Context(), result, refName(roleResult, "search", "x"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(id string, result []byte) {
		b.Client().HSet(t.Context(), broker.TaskKey("search", id), "state", "completed", "y_final", "completed", "result", result)
	}
	write("blob", m.Bytes())
	write("packed", s.packer.pack(result)) // as an older version kept it
	write("plain", result)
	write("lost", blob.Marker{SHA: blob.SHA([]byte("gone")), Size: 9}.Bytes())
	for _, id := range []string{"blob", "packed", "plain"} {
		got, err := s.Get(t.Context(), id)
		if err != nil || !bytes.Equal(got.Result, result) || got.Error != nil {
			t.Errorf("%s: got %d bytes, %v, %v", id, len(got.Result), got.Error, err)
		}
	}
	got, err := s.Get(t.Context(), "lost")
	if err != nil || got.Result != nil || got.Error == nil || got.Error.Reason != tasks.ReasonNotFound || !strings.Contains(got.Error.Message, "the result is lost") {
		t.Errorf("lost: got %+v, %v, want an error that says so", got, err)
	}
}

func TestPutBlob_StopsBeforeRedisIsFull(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	if err := b.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	var full *MemoryError
	if _, err := s.PutBlob(t.Context(), []byte("x")); !errors.As(err, &full) {
		t.Errorf("upload: got %v, want no room", err)
	}
	if _, err := s.Admit(t.Context(), Admission{ID: "x", Request: document(t, 100_000), Limit: 500}); !errors.As(err, &full) {
		t.Errorf("enqueue: got %v, want no room", err)
	}
	if got := blobsIn(t, b); len(got) != 0 {
		t.Errorf("got the blobs %v, want none", got)
	}
}

// A full Redis refuses writes, but not those that make room.
func TestSweep_GoesOnWhenRedisIsFull(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	admitOne(t, s, "x", document(t, 200_000))
	c := b.Client()
	c.Del(t.Context(), broker.TaskKey("document_parse", "x"))
	sha := blobsIn(t, b)[0]
	c.ZIncrBy(t.Context(), "jobyard:blob:{"+sha+"}:refs", -float64(time.Hour.Milliseconds()), refsOf(t, b, sha)[0])
	c.ZAdd(t.Context(), "jobyard:{blobs}:due", redis.Z{Score: 1, Member: sha})
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.SweepBlobs(t.Context()); err != nil || n != 1 || len(blobsIn(t, b)) != 0 {
		t.Errorf("got %d deleted, %v, want 1", n, err)
	}
}

// A result is not lost because Redis was away while it waited to be settled.
func TestSweep_SparesTheResultOfAnOpenAttempt(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	admitOne(t, s, "x", document(t, 100))
	o := Outcome{Mode: Complete, Result: []byte(`"` + strings.Repeat("x", 100_000) + `"`)}
	s.NewAttempts("node", zerolog.Nop()).KeepResult(t.Context(), "document_parse", "x", &o)
	if !blob.IsMarker(o.Result) {
		t.Fatalf("got %.100q", o.Result)
	}
	sweepLater(t, s, 48*time.Hour)
	if n := len(blobsIn(t, b)); n != 1 {
		t.Error("it went before the attempt was settled")
	}
	b.Client().HSet(t.Context(), broker.TaskKey("document_parse", "x"), "state", "archived")
	sweepLater(t, s, time.Hour)
	if n := len(blobsIn(t, b)); n != 0 {
		t.Error("it stays although the task ended otherwise")
	}
}

// Small payloads never come near the blob store.
func TestAdmit_SmallPayloadsNeedNoBlobStore(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := NewWith(b, nil)
	for i := range 3 {
		if err := s.AdmitOne(context.WithoutCancel(t.Context()), Admission{ID: fmt.Sprint(i), Request: document(t, 1000), Limit: 500}); err != nil {
			t.Fatal(err)
		}
	}
	if keys := b.Client().Keys(t.Context(), "jobyard:*blob*").Val(); len(keys) != 0 {
		t.Errorf("got the keys %v, want none", keys)
	}
}
