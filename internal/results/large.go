package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// inlineBytes is the largest payload that travels in asynq's message, and the
// largest result that is kept as it is. asynq writes the messages of running
// tasks to Redis again with every heartbeat; larger ones lie in the blob store,
// and the task's own hash says in which blob. Those of bundles, and results for
// which the store had no room, lie compressed in the hash itself.
const inlineBytes = 64 << 10

// HeaderPayload tells that the payload lies beside the message.
const HeaderPayload = "jobyard-payload"

// packer compresses large values.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() *packer {
	// Neither fails with constant options that are in range.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20)) // of 4 MB it would hold 8 for each
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(tasks.MaxResultBytes), zstd.WithDecoderLowmem(true))
	return &packer{enc, dec}
}

func (p *packer) pack(b []byte) []byte { return p.enc.EncodeAll(b, nil) }

// unpack refuses what would be larger than any result: anybody can write to
// Redis.
func (p *packer) unpack(b []byte) ([]byte, error) {
	out, err := p.dec.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return out, nil
}

// unpackIf unpacks a result that was packed, which JSON never looks like. One
// that was damaged is none.
func (p *packer) unpackIf(result []byte) []byte {
	if !bytes.HasPrefix(result, []byte{0x28, 0xb5, 0x2f, 0xfd}) { // zstd's magic number
		return result
	}
	out, _ := p.unpack(result)
	return out
}

// LargePayload reads a payload that lies beside its task's message.
func (s *Store) LargePayload(ctx context.Context, queue, id string) ([]byte, error) {
	payload, _, err := s.payloadBeside(ctx, queue, id)
	return payload, err
}

// payloadBeside also says which blob it is, if it is one.
func (s *Store) payloadBeside(ctx context.Context, queue, id string) ([]byte, blob.Ref, error) {
	call, cancel := s.broker.CallContext(ctx)
	defer cancel()
	beside, err := s.broker.Client().HGet(call, broker.TaskKey(queue, id), "y_payload").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, blob.Ref{}, fmt.Errorf("payload of task %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, blob.Ref{}, fmt.Errorf("read the payload of task %s: %w", id, s.broker.Explain(err))
	}
	payload, ref, err := s.largePayload(ctx, beside)
	if err != nil {
		err = fmt.Errorf("read the payload of task %s: %w", id, err)
	}
	return payload, ref, err
}
