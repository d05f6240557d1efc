package isolation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A frame is a length (4 bytes, little end first, of the body alone), a type
// and a body.
type frame struct {
	kind byte
	body []byte
}

// The types of frames. Zero is none, so that a run of zeros is not a frame.
const (
	frameHello     byte = 1 + iota // parent: the settings, as JSON
	frameReady                     // child: its Report, as JSON
	frameCall                      // parent: a task
	frameReply                     // child: its steps, and its output
	frameFault                     // child: its steps, and its failure as JSON
	frameCancel                    // parent: end the task soon
	frameCollect                   // parent: collect garbage now
	frameCollected                 // child: what stays alive
	frameProgress                  // child: how far its task is, as JSON
	frameEnd                       // one more than the last
)

const headerSize = 5

var (
	errCorrupt  = errors.New("corrupt frame")
	errTooLarge = errors.New("frame over its limit")
)

// writeFrame writes the parts of one body without copying them together.
func writeFrame(w io.Writer, kind byte, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > maxFrame {
		return fmt.Errorf("write %d bytes: %w", n, errTooLarge)
	}
	head := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(head, uint32(n))
	head[4] = kind
	// One writev on a socket.
	buffers := append(net.Buffers{head}, parts...)
	_, err := buffers.WriteTo(w)
	return err
}

// readFrame reads one frame with a body of at most limit bytes. A length alone
// does not make it reserve much: the other side must send what it announces.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return frame{}, fmt.Errorf("%w: the header is cut short", errCorrupt)
		}
		return frame{}, err
	}
	n, kind := binary.LittleEndian.Uint32(head[:4]), head[4]
	if kind == 0 || kind >= frameEnd {
		return frame{}, fmt.Errorf("%w: type %d is unknown", errCorrupt, kind)
	}
	if int64(n) > int64(limit) {
		return frame{}, fmt.Errorf("%w: %d bytes announced, %d allowed", errTooLarge, n, limit)
	}
	body, err := readBody(r, int(n))
	if err != nil {
		return frame{}, fmt.Errorf("%w: the body of %d bytes is cut short: %v", errCorrupt, n, err) //nolint:errorlint // an io.EOF inside would pass for an orderly end
	}
	return frame{kind: kind, body: body}, nil
}

// readBody reads n bytes into a buffer that at most doubles with what arrives,
// from a size on that holds most bodies: to grow from 1 MiB takes 5 MiB twice
// the time.
func readBody(r io.Reader, n int) ([]byte, error) {
	const first = 8 << 20
	body := make([]byte, 0, min(n, first))
	for len(body) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		got, err := io.ReadFull(r, body[len(body):cap(body)])
		body = body[:len(body)+got]
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

// callFrame is a task on its way to the child.
type callFrame struct {
	seq     uint32
	wall    time.Duration
	memory  int64
	output  int64
	name    string
	place   string // in a trace, or ""
	payload []byte
}

const callHeader = 4 + 8 + 8 + 8 + 1 + 1

// head is all of the frame's body before the payload.
func (c callFrame) head() []byte {
	b := make([]byte, 0, callHeader+len(c.name)+len(c.place))
	b = binary.LittleEndian.AppendUint32(b, c.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.wall))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.memory))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.output))
	b = append(b, byte(len(c.name)), byte(len(c.place)))
	b = append(b, c.name...)
	return append(b, c.place...)
}

func parseCall(b []byte) (callFrame, error) {
	if len(b) < callHeader || len(b) < callHeader+int(b[callHeader-2])+int(b[callHeader-1]) {
		return callFrame{}, fmt.Errorf("%w: a call of %d bytes is cut short", errCorrupt, len(b))
	}
	named := callHeader + int(b[callHeader-2])
	end := named + int(b[callHeader-1])
	return callFrame{
		seq:     binary.LittleEndian.Uint32(b),
		wall:    time.Duration(binary.LittleEndian.Uint64(b[4:])),
		memory:  int64(binary.LittleEndian.Uint64(b[12:])),
		output:  int64(binary.LittleEndian.Uint64(b[20:])),
		name:    string(b[callHeader:named]),
		place:   string(b[named:end]),
		payload: b[end:],
	}, nil
}

// seqOf splits the body of a reply, a fault or a cancellation, which begins with
// the number of its call.
func seqOf(b []byte) (seq uint32, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("%w: the call's number is missing", errCorrupt)
	}
	return binary.LittleEndian.Uint32(b), b[4:], nil
}

// stepsHeader is the length of the steps that an answer begins with.
const stepsHeader = 2

// headOf is all of an answer's body before the output or the failure.
func headOf(seq uint32, steps []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(seqBytes(seq), uint16(len(steps))), steps...)
}

// stepsOf splits what follows the number in an answer.
func stepsOf(b []byte) (steps, rest []byte, err error) {
	if len(b) < stepsHeader || len(b) < stepsHeader+int(binary.LittleEndian.Uint16(b)) {
		return nil, nil, fmt.Errorf("%w: the call's steps are cut short", errCorrupt)
	}
	end := stepsHeader + int(binary.LittleEndian.Uint16(b))
	return b[stepsHeader:end], b[end:], nil
}

func seqBytes(seq uint32) []byte { return binary.LittleEndian.AppendUint32(nil, seq) }
