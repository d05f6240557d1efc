package library

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// The first byte of a stored document says how the rest is encoded.
const (
	plainJSON = 'j'
	zstdJSON  = 'z'
)

// worthPacking is the size from which compression pays: below it a document of
// docs compresses by less than two (measured in research, 1 KB and less).
const worthPacking = 512

var errDamagedDocument = errors.New("stored document is damaged")

// codec turns documents into what Redis stores and back. It is safe for
// concurrent use.
type codec struct {
	packer   *zstd.Encoder
	unpacker *zstd.Decoder
}

func newCodec() (*codec, error) {
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("make document encoder: %w", err)
	}
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxDocumentBytes), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("make document decoder: %w", err)
	}
	return &codec{packer, unpacker}, nil
}

func (c *codec) close() {
	_ = c.packer.Close() // it holds no stream
	c.unpacker.Close()
}

func (c *codec) encode(d *Document) ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	if len(raw) > MaxDocumentBytes {
		return nil, fault.PermanentError(tasks.ReasonTooLarge,
			"the document has %d bytes encoded and %d are allowed; split it", len(raw), MaxDocumentBytes)
	}
	if len(raw) >= worthPacking {
		if packed := c.packer.EncodeAll(raw, []byte{zstdJSON}); len(packed) < len(raw) {
			return packed, nil
		}
	}
	return append([]byte{plainJSON}, raw...), nil
}

func (c *codec) decode(stored []byte) (*Document, error) {
	if len(stored) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errDamagedDocument)
	}
	raw := stored[1:]
	switch stored[0] {
	case plainJSON:
	case zstdJSON:
		var err error
		if raw, err = c.unpacker.DecodeAll(raw, nil); err != nil {
			return nil, fmt.Errorf("%w: %w", errDamagedDocument, err)
		}
	default:
		return nil, fmt.Errorf("%w: unknown encoding %q", errDamagedDocument, stored[0])
	}
	if len(raw) > MaxDocumentBytes {
		return nil, fmt.Errorf("%w: %d bytes", errDamagedDocument, len(raw))
	}
	var d Document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamagedDocument, err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamagedDocument, err)
	}
	return &d, nil
}
