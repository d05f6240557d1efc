package cache

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A value lies in Redis and on disk behind a header: three letters, the form of
// what follows ("r" as it is, "z" a zstd frame), when it expires in ms (8 bytes),
// and a checksum of the key and all of this (8 bytes), both big-endian. The
// admit script knows the header too.
const (
	magic      = "JYC"
	formRaw    = 'r'
	formZstd   = 'z'
	HeaderSize = 20
	// rawBytes is the largest value that is not worth compressing.
	rawBytes = 512
)

// Readable reports whether what lies in Redis has our header.
func Readable(raw []byte) bool {
	return len(raw) > HeaderSize && string(raw[:3]) == magic && (raw[3] == formRaw || raw[3] == formZstd)
}

// packers are made when they are first needed: a process whose cache is not
// used should not pay for them.
var packers = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	// Neither fails with constant options that are in range.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderLowmem(true))
	return enc, dec
})

// encode writes a value for Redis or the disk.
func encode(k Key, v Value) []byte {
	out := make([]byte, HeaderSize, HeaderSize+len(v.Bytes)/3+64)
	copy(out, magic)
	out[3] = formRaw
	binary.BigEndian.PutUint64(out[4:], uint64(v.Expires.UnixMilli())) //nolint:gosec // after 1970
	if len(v.Bytes) > rawBytes {
		enc, _ := packers()
		out = enc.EncodeAll(v.Bytes, out)
		out[3] = formZstd
	}
	if out[3] == formRaw {
		out = append(out, v.Bytes...)
	}
	binary.BigEndian.PutUint64(out[12:], sum(k, out))
	return out
}

// sum is the checksum of what stands in the header and behind it.
func sum(k Key, raw []byte) uint64 {
	d := xxhash.New()
	d.Write(k[:])             //nolint:errcheck // never fails
	d.Write(raw[:12])         //nolint:errcheck // as above
	d.Write(raw[HeaderSize:]) //nolint:errcheck // as above
	return d.Sum64()
}

// decode reads what encode wrote for the key; anything else is ErrDamaged.
func decode(k Key, raw []byte) (Value, error) {
	if len(raw) < HeaderSize || string(raw[:3]) != magic {
		return Value{}, fmt.Errorf("%w: it has no header", ErrDamaged)
	}
	if sum(k, raw) != binary.BigEndian.Uint64(raw[12:]) {
		return Value{}, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	v := Value{Bytes: raw[HeaderSize:], Expires: time.UnixMilli(int64(binary.BigEndian.Uint64(raw[4:])))} //nolint:gosec // as written
	if raw[3] == formRaw {
		return v, nil
	}
	_, dec := packers()
	var err error
	if v.Bytes, err = dec.DecodeAll(v.Bytes, nil); err != nil {
		return Value{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return v, nil
}
