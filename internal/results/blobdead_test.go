package results

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

// buried admits a task and makes a dead letter of it.
func buried(t *testing.T, s *Store, id string, r tasks.Request) Dead {
	t.Helper()
	admitOne(t, s, id, r)
	c, q := s.broker.Client(), r.Options.Queue
	c.LRem(t.Context(), broker.QueueKey(q, "pending"), 0, id)
	c.HSet(t.Context(), broker.TaskKey(q, id), "state", "archived", "y_final", "archived", "y_reason", "rejected", "y_msg", "m")
	c.ZAdd(t.Context(), broker.QueueKey(q, "archived"), redis.Z{Score: float64(time.Now().Unix()), Member: id})
	d, err := s.FindDead(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReplayChanged_PutsWhatIsLargeIntoTheBlobStore(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	before, after := document(t, 100_000), document(t, 150_000)
	d := buried(t, s, "x", before)
	if !bytes.Equal(d.Payload, before.Payload) {
		t.Errorf("got a payload of %d bytes, want that of the blob", len(d.Payload))
	}
	// A full queue: the letter keeps what it has, and the new payload goes.
	var full *FullError
	if err := s.ReplayChanged(t.Context(), roomFor(0), d, tasks.Replay{Payload: after.Payload}); !errors.As(err, &full) {
		t.Errorf("got %v, want it full", err)
	}
	if all := blobsIn(t, b); len(all) != 1 || all[0] != blob.SHA(before.Payload) {
		t.Errorf("got the blobs %v, want the old payload's", all)
	}
	if err := s.ReplayChanged(t.Context(), roomFor(10), d, tasks.Replay{Payload: after.Payload}); err != nil {
		t.Fatal(err)
	}
	sweepLater(t, s, time.Hour)
	if got, err := s.LargePayload(t.Context(), "document_parse", "x"); err != nil || !bytes.Equal(got, after.Payload) {
		t.Errorf("got %d bytes, %v, want the new payload", len(got), err)
	}
	if all := blobsIn(t, b); len(all) != 1 || all[0] != blob.SHA(after.Payload) {
		t.Errorf("got the blobs %v, want the new payload's", all)
	}
}

func TestReplayChanged_RefersToAnUploadedBlob(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	d := buried(t, s, "x", document(t, 100))
	sha, err := s.PutBlob(t.Context(), []byte("# A document"))
	if err != nil {
		t.Fatal(err)
	}
	payload := func(sha string) []byte { return parsing(t, tasks.DocumentSource{Blob: sha}).Payload }
	var invalid *tasks.InvalidError
	err = s.ReplayChanged(t.Context(), roomFor(10), d, tasks.Replay{Payload: payload(blob.SHA([]byte("never")))})
	if !errors.As(err, &invalid) || invalid.Fields[0].Path != "payload.source.blob" {
		t.Errorf("got %v, want it invalid at payload.source.blob", err)
	}
	if err := s.ReplayChanged(t.Context(), roomFor(10), d, tasks.Replay{Payload: payload(sha)}); err != nil {
		t.Fatal(err)
	}
	sweepLater(t, s, 25*time.Hour)
	if _, err := s.Blob(t.Context(), sha); err != nil {
		t.Errorf("the blob of the replayed task: %v", err)
	}
}

// A letter whose payload is lost can be looked at and deleted.
func TestFindDead_ALostPayloadIsNoHindrance(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	s := New(b)
	buried(t, s, "x", document(t, 100_000))
	b.Client().Del(t.Context(), "jobyard:blob:{"+blobsIn(t, b)[0]+"}")
	d, err := s.FindDead(t.Context(), "x")
	if err != nil || string(d.Payload) != "null" {
		t.Fatalf("got %s, %v", d.Payload, err)
	}
	if answers, err := s.DeleteDead(t.Context(), d); err != nil || answers[0] != nil {
		t.Errorf("got %v, %v, want it deleted", answers, err)
	}
}
