package blob

import (
	"bytes"
	"strconv"
	"strings"
)

// Marker stands where a blob's bytes would: it tells which blob and how large.
type Marker struct {
	SHA  string
	Size int
}

// markerPrefix begins a marker. No JSON value begins so.
const markerPrefix = "jobyard:blob "

// Bytes is the marker as it is kept, readable for whoever comes upon it in
// Asynqmon or Redis.
func (m Marker) Bytes() []byte {
	out := make([]byte, 0, 256)
	out = append(append(append(out, markerPrefix...), m.SHA...), ' ')
	out = append(strconv.AppendInt(out, int64(m.Size), 10), " bytes, in the blob store: GET /v1/blobs/"...)
	out = append(append(out, m.SHA...), " or producer blob get "...)
	return append(out, m.SHA...)
}

// IsMarker reports whether data begins like a marker.
func IsMarker(data []byte) bool { return bytes.HasPrefix(data, []byte(markerPrefix)) }

// maxMarker is longer than any marker.
const maxMarker = 1024

// ParseMarker reads a marker; ok is false if data is none.
func ParseMarker(data []byte) (m Marker, ok bool) {
	if !IsMarker(data) || len(data) > maxMarker {
		return m, false
	}
	words := strings.SplitN(string(data[len(markerPrefix):]), " ", 3)
	if len(words) != 3 || !ValidSHA(words[0]) || !strings.HasPrefix(words[2], "bytes") {
		return m, false
	}
	n, err := strconv.Atoi(words[1])
	if err != nil || n < 0 || n > MaxBytes || strconv.Itoa(n) != words[1] {
		return m, false
	}
	return Marker{SHA: words[0], Size: n}, true
}
