package library

import (
	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"
)

// The index's fields. The first four are searched, in this order.
const (
	titleField = iota
	headingField
	bodyField
	codeField
	textFields // their number
)

const (
	surfaceField  = "surface"  // words as written, for typos and suggestions
	documentField = "document" // the filter and facet of that name
	sectionField  = "section"  // a section, stored
	recordField   = "record"   // what a document left in the index, by its id
)

// textFieldNames are what the index and Why call the searched fields.
func textFieldNames() [textFields]string { return [...]string{"title", "heading", "body", "code"} }

// The ways a field is kept.
const (
	searched = index.IndexField
	listed   = index.IndexField | index.SkipFreqNorm
	counted  = index.IndexField | index.SkipFreqNorm | index.DocValues
	kept     = index.StoreField
)

// field is a field that was analyzed before the index sees it, so that
// its length is known in time to be counted in the same batch.
type field struct {
	name    string
	value   []byte
	options index.FieldIndexingOptions
	length  int
	terms   index.TokenFrequencies
}

var _ document.Field = (*field)(nil)

func textField(name string, words []word) *field {
	terms := make(index.TokenFrequencies, len(words))
	for _, w := range words {
		t, ok := terms[w.term]
		if !ok {
			t = &index.TokenFreq{Term: []byte(w.term)}
			terms[w.term] = t
		}
		t.SetFrequency(t.Frequency() + 1)
	}
	return &field{name: name, options: searched, length: len(words), terms: terms}
}

// termField lists terms without counting them.
func termField(name string, options index.FieldIndexingOptions, values ...string) *field {
	terms := make(index.TokenFrequencies, len(values))
	for _, v := range values {
		terms[v] = &index.TokenFreq{Term: []byte(v)}
	}
	return &field{name: name, options: options, length: len(values), terms: terms}
}

func storedField(name string, value []byte) *field {
	return &field{name: name, value: value, options: kept}
}

// Analyze implements document.Field; all is done already.
func (f *field) Analyze() {}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) Options() index.FieldIndexingOptions              { return f.options }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) AnalyzedLength() int                              { return f.length }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return uint64(len(f.value)) }
func (f *field) Size() int                                        { return len(f.value) + f.terms.Size() }
