package blob

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/klauspost/compress/zstd"
)

// magic begins what was compressed.
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// packer compresses and checks.
type packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newPacker() *packer {
	// Neither fails with constant options that are in range.
	enc, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	dec, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecoderLowmem(true))
	return &packer{enc, dec}
}

func (p *packer) pack(data []byte) []byte {
	return p.enc.EncodeAll(data, make([]byte, 0, len(data)/3+64))
}

// unpack returns the bytes whose hash is sha; anybody can write to Redis.
func (p *packer) unpack(sha string, packed []byte) ([]byte, error) {
	if !bytes.HasPrefix(packed, magic) {
		return nil, damaged(sha, "it is not compressed as blobs are")
	}
	data, err := p.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, damaged(sha, "it cannot be unpacked: "+err.Error())
	}
	if SHA(data) != sha {
		return nil, damaged(sha, "its bytes have another hash")
	}
	return data, nil
}

// SHA is the name of the blob with these bytes.
func SHA(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ValidSHA reports whether text can be a blob's name.
func ValidSHA(text string) bool {
	if len(text) != 2*sha256.Size {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
