package batch

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxLine bounds a line in bytes: the largest payload, written as JSON, with
// what stands around it.
const MaxLine = 17 << 20

// lines reads a file line by line.
type lines struct {
	r      *bufio.Reader
	max    int
	number int
}

func newLines(r io.Reader, most int) *lines {
	return &lines{r: bufio.NewReaderSize(r, 256<<10), max: most}
}

// line is one line that is not blank. Text is nil if it was too long.
type line struct {
	number int
	text   []byte
}

// next returns the next line that is not blank; at the end, io.EOF. What
// exceeds the bound is read over, not kept.
func (l *lines) next() (line, error) {
	for {
		text, err := l.read()
		if err != nil {
			return line{}, err
		}
		l.number++
		if l.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors begin a file so
		}
		if text == nil || len(bytes.TrimSpace(text)) > 0 {
			return line{l.number, text}, nil
		}
	}
}

// read returns the bytes of a line without its end; nil if there are too many.
func (l *lines) read() ([]byte, error) {
	text, tooLong := []byte{}, false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(text)+len(part) > l.max+1; tooLong {
			text = nil
		} else {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && (len(text) > 0 || tooLong):
		case err != nil:
			return nil, err
		}
		if text = bytes.TrimSuffix(text, []byte{'\n'}); tooLong || len(text) > l.max {
			return nil, nil
		}
		return text, nil
	}
}

// ready reports whether the next line can be had without waiting for input.
func (l *lines) ready() bool {
	waiting, _ := l.r.Peek(l.r.Buffered()) // of what is there: cannot fail
	return bytes.IndexByte(waiting, '\n') >= 0
}
