package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of asynq's message (v0.26) that are read or reset here. asynq exports
// no decoder.
const (
	msgType       = 1
	msgPayload    = 2
	msgID         = 3
	msgQueue      = 4
	msgRetry      = 5
	msgRetried    = 6
	msgError      = 7
	msgUniqueKey  = 10
	msgLastFailed = 11
	msgRetention  = 12
	msgGroupKey   = 14
	msgHeaders    = 15
)

var errMessage = errors.New("asynq's message cannot be read")

// message is what asynq's message says of a task.
type message struct {
	kind      string
	payload   []byte
	headers   map[string]string
	maxRetry  int
	retried   int
	retention time.Duration
	// fresh is the message of the same task that was never tried.
	fresh []byte
}

// readMessage reads asynq's message for a task.
func readMessage(raw []byte) (message, error) {
	m := message{headers: map[string]string{}, fresh: make([]byte, 0, len(raw))}
	for len(raw) > 0 {
		f, err := nextField(&raw)
		if err != nil {
			return message{}, fmt.Errorf("%w: %w", errMessage, err)
		}
		if f.number != msgRetried && f.number != msgError && f.number != msgLastFailed {
			m.fresh = append(m.fresh, f.raw...)
		}
		if err := m.read(f); err != nil {
			return message{}, err
		}
	}
	return m, nil
}

// legible reports whether asynq will read the message, and as that of this task:
// else it would neither run the task nor end it. Texts have to be UTF-8.
func legible(msg []byte, id, queue string) bool {
	var whose, where []byte
	for len(msg) > 0 {
		f, err := nextField(&msg)
		if err != nil {
			return false
		}
		if f.kind != protowire.BytesType {
			continue
		}
		switch f.number {
		case msgID:
			whose = f.bytes
		case msgQueue:
			where = f.bytes
		case msgType, msgError, msgUniqueKey, msgGroupKey:
			if !utf8.Valid(f.bytes) {
				return false
			}
		case msgHeaders:
			if !legibleHeader(f.bytes) {
				return false
			}
		}
	}
	return string(whose) == id && string(where) == queue
}

func legibleHeader(entry []byte) bool {
	for len(entry) > 0 {
		f, err := nextField(&entry)
		if err != nil || f.number <= 2 && !utf8.Valid(f.bytes) {
			return false
		}
	}
	return true
}

// field is one of a message. It has bytes or a varint if its kind is that.
type field struct {
	number protowire.Number
	kind   protowire.Type
	raw    []byte // with its tag
	bytes  []byte
	varint uint64
}

// nextField takes the first field off a message.
func nextField(msg *[]byte) (f field, err error) {
	number, kind, tag := protowire.ConsumeTag(*msg)
	if tag < 0 {
		return f, protowire.ParseError(tag)
	}
	f.number, f.kind = number, kind
	n := 0
	switch value := (*msg)[tag:]; kind {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(value)
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(value)
	default:
		n = protowire.ConsumeFieldValue(number, kind, value)
	}
	if n < 0 {
		return f, protowire.ParseError(n)
	}
	f.raw, *msg = (*msg)[:tag+n], (*msg)[tag+n:]
	return f, nil
}

// readOrShow reads a message to show it. Of a damaged one the payload is all of
// it, as a text.
func readOrShow(raw []byte) message {
	m, err := readMessage(raw)
	if err != nil {
		m.payload, _ = json.Marshal(string(raw))
	}
	return m
}

// read takes one field over. Fields of another type than asynq's are not its
// own.
func (m *message) read(f field) error {
	switch f.kind {
	case protowire.VarintType:
		switch f.number {
		case msgRetry:
			m.maxRetry = int(int32(f.varint)) //nolint:gosec // as protobuf reads an int32
		case msgRetried:
			m.retried = int(int32(f.varint)) //nolint:gosec // as above
		case msgRetention:
			m.retention = time.Duration(int64(f.varint)) * time.Second //nolint:gosec // as above
		}
	case protowire.BytesType:
		switch f.number {
		case msgType:
			m.kind = string(f.bytes)
		case msgPayload:
			m.payload = f.bytes
		case msgHeaders:
			return m.readHeader(f.bytes)
		}
	}
	return nil
}

// readHeader reads one entry of a map: key 1, value 2.
func (m *message) readHeader(entry []byte) error {
	var key, value string
	for len(entry) > 0 {
		f, err := nextField(&entry)
		if err != nil {
			return fmt.Errorf("%w: a header: %w", errMessage, err)
		}
		if f.kind == protowire.BytesType {
			if f.number == 1 {
				key = string(f.bytes)
			} else {
				value = string(f.bytes)
			}
		}
	}
	m.headers[key] = value
	return nil
}
