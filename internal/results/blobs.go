package results

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Payloads and results over inlineBytes lie in the blob store, and so do
// documents that were uploaded for tasks. A record refers to each by a reference
// of one of these kinds:
//
//	payload  held while the record's y_payload names the blob
//	result   held while the record's result names it, or none is settled yet
//	source   of a payload that names an uploaded blob; held while there is a record
//	batch    of a batch whose requests do; held while there is the batch
//
// What a record does not name yet is spared while it is young, so that no blob
// is deleted between its reference and its task.
const (
	rolePayload = "payload"
	roleResult  = "result"
	roleSource  = "source"
	roleBatch   = "batch"
)

const (
	// heldFor is how long a reference holds that no record names: longer than
	// admitWithin and the round trip after it.
	heldFor = time.Minute
	// admitWithin is how long storing blobs may take before their tasks are
	// admitted.
	admitWithin = 30 * time.Second
	// settleWithin is the same for results, whose record a bundle may write as late
	// as its tasks may run. While an attempt is open its end may come at any time:
	// it waits for Redis as long as it must.
	settleWithin = 10 * time.Minute
	// storeAtOnce is how many payloads one call stores at once.
	storeAtOnce = 4
)

// refName makes a reference that nobody else makes.
func refName(role, queue, id string) string {
	nonce := make([]byte, 6)
	rand.Read(nonce) // never fails
	return strings.Join([]string{role, queue, id, hex.EncodeToString(nonce)}, " ")
}

// parseRef says what a reference is of.
func parseRef(name string) (role, key string, ok bool) {
	parts := strings.Split(name, " ")
	if len(parts) != 4 || !tasks.ValidID(parts[2]) {
		return "", "", false
	}
	switch role = parts[0]; role {
	case rolePayload, roleResult, roleSource:
		return role, broker.TaskKey(parts[1], parts[2]), slices.Contains(tasks.Queues(), parts[1])
	case roleBatch:
		return role, batchKey(parts[2]), true
	}
	return "", "", false
}

// PutBlob stores bytes for tasks to come, and returns their SHA-256. They are
// kept for an hour, and longer if a task names them by then.
func (s *Store) PutBlob(ctx context.Context, data []byte) (sha string, err error) {
	if err := s.room(ctx, len(data)); err != nil {
		return "", err
	}
	sha, err = s.blobs.Upload(ctx, data)
	if err != nil {
		err = s.memory.refused(s.broker, err)
	}
	return sha, err
}

// Blob returns the bytes of a blob. blob.ErrNotFound tells that there is none.
func (s *Store) Blob(ctx context.Context, sha string) ([]byte, error) { return s.blobs.Get(ctx, sha) }

func (s *Store) room(ctx context.Context, bytes int) error {
	ctx, cancel := s.broker.CallContext(ctx)
	defer cancel()
	return s.memory.room(ctx, s.broker, bytes)
}

// holds reports whether a task needs the blob store. A bundle does not: it is
// hardly over inlineBytes, and gone in a moment.
func (a Admission) holds() bool {
	return !a.bundle && (len(a.Request.Payload) > inlineBytes || a.Request.Blob() != "")
}

// Admit queues the tasks, large payloads by way of the blob store, and the rest
// in one round trip. The answers have the order of the admissions: nil,
// ErrKnown, a *FullError, a *ConflictError or, where the payload names a blob
// that is not there, an *tasks.InvalidError each. The second value is set if
// Redis or the blob store failed; then nothing is known of any of them.
func (s *Store) Admit(ctx context.Context, all ...Admission) ([]error, error) {
	if !slices.ContainsFunc(all, Admission.holds) {
		return s.admit(ctx, pointers(all))
	}
	started := time.Now()
	answers, refs, all, err := s.hold(ctx, all)
	if err == nil && time.Since(started) > admitWithin {
		err = fmt.Errorf("storing large payloads took over %s: hand over fewer at once", admitWithin)
	}
	if err != nil {
		return nil, s.memory.refused(s.broker, err)
	}
	var accepted []Admission
	var index []int
	for i, refused := range answers {
		if refused == nil {
			accepted, index = append(accepted, all[i]), append(index, i)
		}
	}
	got, err := s.admit(ctx, pointers(accepted))
	if err != nil {
		return nil, err // what was admitted is not known: the sweep finds out
	}
	var left []blob.Ref
	for j, i := range index {
		if answers[i] = got[j]; answers[i] != nil {
			left = append(left, refs[i]...)
		}
	}
	s.letGo(ctx, left)
	return answers, nil
}

func pointers(all []Admission) []*Admission {
	list := make([]*Admission, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	return list
}

// hold stores what the admissions need in the blob store, and refers to it. It
// returns the admissions as they are to be admitted, and an answer for each that
// names a blob which is not there.
func (s *Store) hold(ctx context.Context, all []Admission) (answers []error, refs [][]blob.Ref, held []Admission, err error) {
	large := 0
	for _, a := range all {
		if a.holds() {
			large += len(a.Request.Payload)
		}
	}
	if err := s.room(ctx, large); err != nil {
		return nil, nil, nil, err
	}
	answers, refs, held = make([]error, len(all)), make([][]blob.Ref, len(all)), slices.Clone(all)
	var sources []blob.Ref
	var index []int
	for i, a := range held {
		if sha := a.Request.Blob(); sha != "" && !a.bundle {
			sources, index = append(sources, blob.Ref{SHA: sha, Name: refName(roleSource, a.Request.Options.Queue, a.ID)}), append(index, i)
		}
	}
	missing, err := s.blobs.Refer(ctx, sources)
	if err != nil {
		return nil, nil, nil, err
	}
	for j, i := range index {
		switch {
		case !missing[j]:
			refs[i] = append(refs[i], sources[j])
		case held[i].Limit != noLimit: // else its batch has let it in: the task will say it
			answers[i] = unknownBlob("payload.source.blob")
		}
	}
	return answers, refs, held, s.storePayloads(ctx, held, answers, refs)
}

func unknownBlob(path string) error {
	return tasks.Invalid(path, "names no blob that is there: upload it first, and hand the task over within "+blob.UploadedFor.String())
}

// storePayloads stores the large payloads of those that have no answer yet.
func (s *Store) storePayloads(ctx context.Context, held []Admission, answers []error, refs [][]blob.Ref) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(storeAtOnce)
	for i, a := range held {
		if answers[i] != nil || len(a.Request.Payload) <= inlineBytes || a.bundle {
			continue
		}
		group.Go(func() error {
			name := refName(rolePayload, a.Request.Options.Queue, a.ID)
			m, err := s.blobs.Put(ctx, a.Request.Payload, name)
			refs[i] = append(refs[i], blob.Ref{SHA: m.SHA, Name: name})
			held[i].beside = append(append(m.Bytes(), '\n'), name...)
			return err
		})
	}
	return group.Wait()
}

// letGo takes references back. If that fails, the sweep does it.
func (s *Store) letGo(ctx context.Context, refs []blob.Ref) {
	if len(refs) > 0 {
		_ = s.blobs.Drop(ctx, refs...)
	}
}

// holdBatch refers to the blobs that the requests of a batch name, until each
// has a reference of its own.
func (s *Store) holdBatch(ctx context.Context, b tasks.Batch) ([]blob.Ref, error) {
	var refs []blob.Ref
	var paths []string
	seen := map[string]bool{}
	add := func(r tasks.Request, path string) {
		if sha := r.Blob(); sha != "" && !seen[sha] {
			seen[sha] = true
			refs, paths = append(refs, blob.Ref{SHA: sha, Name: refName(roleBatch, "-", b.ID)}), append(paths, path)
		}
	}
	for i, r := range b.Requests {
		add(r, fmt.Sprintf("tasks[%d]", i))
	}
	if b.Callback != nil {
		add(*b.Callback, "callback")
	}
	if len(refs) == 0 {
		return nil, nil
	}
	started := time.Now()
	missing, err := s.blobs.Refer(ctx, refs)
	if err == nil && time.Since(started) > admitWithin {
		err = fmt.Errorf("looking at the blobs of the batch took over %s: hand it over in parts", admitWithin)
	}
	if err != nil {
		return nil, fmt.Errorf("enqueue batch: %w", err)
	}
	if i := slices.Index(missing, true); i >= 0 {
		s.letGo(ctx, refs)
		return nil, unknownBlob(paths[i] + ".payload.source.blob")
	}
	return refs, nil
}

// largePayload reads a payload that lies beside its task's message, and which
// blob it is, if it is one.
func (s *Store) largePayload(ctx context.Context, beside []byte) ([]byte, blob.Ref, error) {
	marker, name, _ := bytes.Cut(beside, []byte{'\n'})
	m, ok := blob.ParseMarker(marker)
	if !ok {
		payload, err := s.packer.unpack(beside)
		return payload, blob.Ref{}, err
	}
	payload, err := s.blobs.Get(ctx, m.SHA)
	return payload, blob.Ref{SHA: m.SHA, Name: string(name)}, err
}

// resolve gives a task the result that its record names. If it is lost, the
// task says so in its error.
func (s *Store) resolve(ctx context.Context, t *tasks.Task) error {
	m, ok := blob.ParseMarker(t.Result)
	if !ok {
		t.Result = s.packer.unpackIf(t.Result)
		return nil
	}
	result, err := s.blobs.Get(ctx, m.SHA)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
		t.Result, t.Error = nil, fault.Of(err).Task()
		t.Error.Message = fault.Clean("the result is lost: "+t.Error.Message, fault.MaxMessage)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the result of task %s: %w", t.ID, err)
	}
	t.Result = result
	return nil
}
