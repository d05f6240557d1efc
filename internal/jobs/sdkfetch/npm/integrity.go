package npm

import (
	"crypto/sha1" //nolint:gosec // npm's old shasum; better ones are preferred
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/tasks"
)

// Integrity is what an archive's bytes must hash to.
type Integrity struct {
	// Text is algorithm-base64, as it is stated.
	Text string
	// Weak tells that only SHA-1 is stated, which can be forged with effort.
	Weak bool
	algo string
	sums []string // base64, any of which will do
}

// strength orders the algorithms, the strongest first.
func strength() []string { return []string{"sha512", "sha384", "sha256", "sha1"} }

func hasher(algo string) hash.Hash {
	switch algo {
	case "sha512":
		return sha512.New()
	case "sha384":
		return sha512.New384()
	case "sha256":
		return sha256.New()
	case "sha1":
		return sha1.New() //nolint:gosec // as above
	}
	return nil
}

// parseIntegrity reads a subresource integrity text, else a hexadecimal SHA-1.
// Only the hashes of the strongest algorithm count. The zero Integrity means
// that nothing is stated.
func parseIntegrity(sri, shasum string) Integrity {
	byAlgo := map[string][]string{}
	for field := range strings.FieldsSeq(sri) {
		algo, sum, ok := strings.Cut(field, "-")
		sum, _, _ = strings.Cut(sum, "?")
		h := hasher(algo)
		raw, err := base64.StdEncoding.DecodeString(sum)
		if ok && h != nil && err == nil && len(raw) == h.Size() {
			byAlgo[algo] = append(byAlgo[algo], sum)
		}
	}
	if raw, err := hex.DecodeString(shasum); err == nil && len(raw) == sha1.Size && len(byAlgo) == 0 {
		byAlgo["sha1"] = []string{base64.StdEncoding.EncodeToString(raw)}
	}
	for _, algo := range strength() {
		if sums := byAlgo[algo]; sums != nil {
			return Integrity{Text: algo + "-" + sums[0], Weak: algo == "sha1", algo: algo, sums: sums}
		}
	}
	return Integrity{}
}

// Stated reports whether there is anything to check against.
func (i Integrity) Stated() bool { return i.algo != "" }

// Verify checks the bytes; a mismatch is a permanent fault.
func (i Integrity) Verify(data []byte) error {
	h := hasher(i.algo)
	h.Write(data)
	got := []byte(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	for _, want := range i.sums {
		if subtle.ConstantTimeCompare(got, []byte(want)) == 1 {
			return nil
		}
	}
	return fault.PermanentError(tasks.ReasonIntegrity, "the tarball does not match the %s that the registry states for it; do not use it", i.algo)
}

// Compute hashes bytes for which nothing is stated.
func Compute(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}
