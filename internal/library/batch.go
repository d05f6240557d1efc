package library

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
)

// A batch is committed when it holds this much: what is analyzed takes some
// ten times the text's size in memory.
const (
	batchBytes    = 2 << 20
	batchSections = 2000
)

// record is what the index remembers of a document, to replace or drop it.
type record struct {
	Sum      []byte            `json:"sum"` // of the stored document
	Sections int               `json:"sections"`
	Bytes    int64             `json:"bytes"`
	Words    [textFields]int64 `json:"words"`
}

// keptSection is a section as the index stores it, to show it.
type keptSection struct {
	Section
	Title       string `json:"title"`
	URL         string `json:"url"`
	URI         string `json:"uri"`
	Collection  string `json:"collection"`
	Language    string `json:"language"`
	ContentType string `json:"content_type"`
}

// batch gathers changes of documents and applies them at once, together with
// the state they lead to.
type batch struct {
	store    *store
	splitter *splitter
	codec    *codec
	view     *view
	ops      *index.Batch
	state    state
	touched  map[string]bool
	bytes    int
	sections int
}

func newBatch(s *store, sp *splitter, c *codec) (*batch, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	return &batch{store: s, splitter: sp, codec: c, view: v, ops: index.NewBatch(), state: v.state, touched: map[string]bool{}}, nil
}

func (b *batch) close() error { return b.view.Close() }

// full reports whether the batch should be committed before more is added. A
// document is in a batch once: the view does not see what the batch holds.
func (b *batch) full(next string) bool {
	return b.bytes >= batchBytes || b.sections >= batchSections || b.touched[next]
}

// put indexes a stored document in place of what the index has of it, unless
// that is the same. A value that can't be decoded leaves the index as it is.
func (b *batch) put(id string, stored []byte) error {
	sum := sha256.Sum256(stored)
	old, err := b.record(id)
	if err != nil || old != nil && bytes.Equal(old.Sum, sum[:]) {
		return err
	}
	d, err := b.codec.decode(stored)
	if err != nil {
		return fmt.Errorf("document %.200q: %w", id, err)
	}
	now := &record{Sum: sum[:], Sections: len(d.Sections)}
	for i := range d.Sections {
		b.addSection(id, d, i, now)
	}
	b.replace(id, old, now)
	raw, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	entry := document.NewDocument(recordEntry(id))
	entry.AddField(termField(recordField, listed, id))
	entry.AddField(storedField(recordField, raw))
	b.ops.Update(entry)
	return nil
}

// drop takes a document out of the index, if it is there.
func (b *batch) drop(id string) error {
	old, err := b.record(id)
	if err != nil || old == nil {
		return err
	}
	b.replace(id, old, nil)
	b.ops.Delete(recordEntry(id))
	return nil
}

// replace counts the change and deletes the sections that now has no more.
func (b *batch) replace(id string, old, now *record) {
	b.touched[id] = true
	remaining := 0
	if now != nil {
		remaining = now.Sections
		b.state.count(now, 1)
	}
	if old == nil {
		return
	}
	b.state.count(old, -1)
	for i := remaining; i < old.Sections; i++ {
		b.ops.Delete(sectionEntry(id, i))
		b.sections++
	}
}

func (s *state) count(r *record, sign int) {
	s.Documents += sign
	s.Sections += sign * r.Sections
	s.Bytes += int64(sign) * r.Bytes
	for i, n := range r.Words {
		s.Words[i] += int64(sign) * n
	}
}

func (b *batch) addSection(id string, d *Document, i int, r *record) {
	s := d.Sections[i]
	entry := document.NewDocument(sectionEntry(id, i))
	var surfaces []string
	for f, text := range [textFields]string{d.Title, s.Heading, s.Body, s.Code} {
		words := b.splitter.split(text, nil)
		if len(words) == 0 {
			continue
		}
		entry.AddField(textField(textFieldNames()[f], words))
		r.Words[f] += int64(len(words))
		r.Bytes += int64(len(text))
		if f != codeField {
			surfaces = appendSurfaces(surfaces, words)
		}
	}
	entry.AddField(termField(surfaceField, listed, surfaces...))
	for _, f := range [][2]string{
		{"collection", d.Collection}, {"language", d.Language}, {"content_type", d.ContentType}, {documentField, d.URI},
	} {
		if f[1] != "" {
			entry.AddField(termField(f[0], counted, f[1]))
		}
	}
	raw, _ := json.Marshal(keptSection{s, d.Title, d.URL, d.URI, d.Collection, d.Language, d.ContentType}) // strings only: can't fail
	entry.AddField(storedField(sectionField, raw))
	b.ops.Update(entry)
	b.bytes += len(raw)
	b.sections++
}

// appendSurfaces adds the words that a typo could be meant for.
func appendSurfaces(out []string, words []word) []string {
	for _, w := range words {
		if !w.cjk && len(w.surface) >= minFuzzyLetters-1 {
			out = append(out, w.surface)
		}
	}
	return out
}

// commit applies the batch; with a position it is moved in the same write.
func (b *batch) commit(position *Token) error {
	if position == nil && len(b.ops.IndexOps) == 0 {
		return nil
	}
	if position != nil {
		b.state.position = *position
	}
	b.state.Position = b.state.position.String()
	raw, err := json.Marshal(b.state)
	if err != nil {
		return fmt.Errorf("encode index state: %w", err)
	}
	b.ops.SetInternal(stateKey, raw)
	if err := b.store.Batch(b.ops); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

func (b *batch) record(id string) (*record, error) {
	raw, err := b.view.stored(recordEntry(id), recordField)
	if err != nil || raw == nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%w: record: %w", errDamagedIndex, err)
	}
	return &r, nil
}

// The names of the index's entries. Sections of a document sort in their order.
func recordEntry(id string) string         { return "d/" + id }
func sectionEntry(id string, i int) string { return fmt.Sprintf("s/%s\x00%05d", id, i) }
