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
	msgLastFailed = 11
	msgUniqueKey  = 10
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
	for rest := raw; len(rest) > 0; {
		number, kind, n := protowire.ConsumeField(rest)
		if n < 0 {
			return message{}, fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		field := rest[:n]
		rest = rest[n:]
		if number != msgRetried && number != msgError && number != msgLastFailed {
			m.fresh = append(m.fresh, field...)
		}
		_, _, tag := protowire.ConsumeTag(field)
		if err := m.read(number, kind, field[tag:]); err != nil {
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
		number, kind, value, n := consumeField(msg)
		if n < 0 {
			return false
		}
		msg = msg[n:]
		if kind != protowire.BytesType {
			continue
		}
		switch number {
		case msgID:
			whose = value
		case msgQueue:
			where = value
		case msgType, msgError, msgUniqueKey, msgGroupKey:
			if !utf8.Valid(value) {
				return false
			}
		case msgHeaders:
			if !legibleHeader(value) {
				return false
			}
		}
	}
	return string(whose) == id && string(where) == queue
}

func legibleHeader(entry []byte) bool {
	for len(entry) > 0 {
		number, kind, value, n := consumeField(entry)
		if n < 0 || kind == protowire.BytesType && number <= 2 && !utf8.Valid(value) {
			return false
		}
		entry = entry[n:]
	}
	return true
}

// consumeField reads a field of n bytes; n is negative if it cannot be read. It
// has a value if its kind is that of bytes.
func consumeField(b []byte) (number protowire.Number, kind protowire.Type, value []byte, n int) {
	number, kind, tag := protowire.ConsumeTag(b)
	if tag < 0 {
		return 0, 0, nil, tag
	}
	if kind == protowire.BytesType {
		value, n = protowire.ConsumeBytes(b[tag:])
	} else {
		n = protowire.ConsumeFieldValue(number, kind, b[tag:])
	}
	if n < 0 {
		return 0, 0, nil, n
	}
	return number, kind, value, tag + n
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
func (m *message) read(number protowire.Number, kind protowire.Type, value []byte) error {
	switch kind {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(value)
		switch number {
		case msgRetry:
			m.maxRetry = int(int32(v)) //nolint:gosec // as protobuf reads an int32
		case msgRetried:
			m.retried = int(int32(v)) //nolint:gosec // as above
		case msgRetention:
			m.retention = time.Duration(int64(v)) * time.Second //nolint:gosec // as above
		}
	case protowire.BytesType:
		v, _ := protowire.ConsumeBytes(value)
		switch number {
		case msgType:
			m.kind = string(v)
		case msgPayload:
			m.payload = v
		case msgHeaders:
			return m.readHeader(v)
		}
	}
	return nil
}

// readHeader reads one entry of a map: key 1, value 2.
func (m *message) readHeader(entry []byte) error {
	var key, value string
	for len(entry) > 0 {
		number, kind, n := protowire.ConsumeField(entry)
		if n < 0 {
			return fmt.Errorf("%w: a header: %w", errMessage, protowire.ParseError(n))
		}
		if kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(entry)
			v, _ := protowire.ConsumeBytes(entry[tag:n])
			if number == 1 {
				key = string(v)
			} else {
				value = string(v)
			}
		}
		entry = entry[n:]
	}
	m.headers[key] = value
	return nil
}
