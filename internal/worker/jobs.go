package worker

import (
	"context"
	"encoding/json"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Job runs one attempt: payload in, result out, both as JSON.
type Job func(ctx context.Context, payload []byte) (result []byte, err error)

// Jobs are the jobs by kind.
type Jobs map[string]Job

// Register adds the job of a kind. The compiler checks that its payload and
// result are the kind's.
func Register[P tasks.Payload, R any](jobs Jobs, kind tasks.Kind[P, R], do func(context.Context, P) (R, error)) {
	jobs[kind.Name()] = func(ctx context.Context, raw []byte) ([]byte, error) {
		// Producers check payloads too, but anybody can write to Redis.
		payload, err := kind.Decode(raw)
		if err != nil {
			return nil, err
		}
		result, err := do(ctx, payload)
		if err != nil {
			return nil, err
		}
		out, err := json.Marshal(result)
		if err != nil {
			return nil, fault.PermanentError(tasks.ReasonUnknown, "the result cannot be written as JSON").Because(err)
		}
		if len(out) > tasks.MaxResultBytes {
			return nil, fault.PermanentError(tasks.ReasonTooLarge,
				"the result has %d bytes, more than the %d that are kept; ask for less", len(out), tasks.MaxResultBytes)
		}
		return out, nil
	}
}
