package configgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jobyard/jobyard/internal/fault"
	"github.com/jobyard/jobyard/internal/jobs/configgen/syntax"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
	"github.com/jobyard/jobyard/tasks"
)

// Bounds of one task.
const (
	maxFiles         = 200
	maxOutputBytes   = 8 << 20
	maxExistingBytes = 8 << 20
	maxDiagnostics   = 200
)

// finish writes the files of a draft, checks them and puts the result together.
func (j *Job) finish(ctx context.Context, t template.Template, p tasks.ConfigGenPayload, d *template.Draft) (tasks.ConfigGenResult, error) {
	var none tasks.ConfigGenResult
	if err := checkExisting(p.Existing, d); err != nil {
		return none, err
	}
	if len(d.Files) > maxFiles {
		return none, tooLarge("the parameters make %d files, over the limit of %d", len(d.Files), maxFiles)
	}
	slices.SortFunc(d.Files, func(a, b template.File) int { return strings.Compare(a.Path, b.Path) })
	out := tasks.ConfigGenResult{Files: []tasks.ConfigFile{}, Diagnostics: []tasks.ConfigDiagnostic{}, Resolved: d.Resolved}
	changed, total := false, 0
	for i, f := range d.Files {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		if !tasks.SafePath(f.Path) || i > 0 && d.Files[i-1].Path == f.Path {
			return none, tasks.Invalid("payload.parameters", fmt.Sprintf("two files or an unsafe path come of them: %.100q", f.Path))
		}
		content, err := j.content(t, p, d, f)
		if err != nil {
			return none, err
		}
		if total += len(content); total > maxOutputBytes {
			return none, tooLarge("the files are over %d bytes together", maxOutputBytes)
		}
		old, known := p.Existing[f.Path]
		file := tasks.ConfigFile{Path: f.Path, Content: content, Format: f.Format, Changed: !known || old != content}
		changed = changed || file.Changed
		out.Files = append(out.Files, file)
	}
	out.Diagnostics = append(out.Diagnostics, sortRemarks(d.Diagnostics)...)
	out.Valid = !hasErrors(d.Diagnostics) && !(p.Check && changed)
	return out, nil
}

// checkExisting bounds the existing files and names those that no file of the
// template answers to.
func checkExisting(existing map[string]string, d *template.Draft) error {
	total := 0
	for _, content := range existing {
		total += len(content)
	}
	if total > maxExistingBytes {
		return tooLarge("the existing files are over %d bytes together", maxExistingBytes)
	}
	for path := range existing {
		if !slices.ContainsFunc(d.Files, func(f template.File) bool { return f.Path == path }) {
			d.Info(path, nil, "is not a file of this template and was left alone")
		}
	}
	return nil
}

// content is the text of one file: new, or the existing one edited.
func (j *Job) content(t template.Template, p tasks.ConfigGenPayload, d *template.Draft, f template.File) (string, error) {
	old, known := p.Existing[f.Path]
	s, isData := syntax.Of(f.Format)
	if !isData {
		return text(old, known, d, f), nil
	}
	data := f.Data
	if known {
		have, err := s.Decode(old)
		if err != nil {
			return "", unreadable(f.Path, err)
		}
		data = newMerger(d, f).merge(have, data)
	}
	content, remark, err := write(s, f, old, known, data)
	if err != nil {
		return "", err
	}
	if remark != "" {
		d.Info(f.Path, nil, "%s", remark)
	}
	if object, ok := data.(*tree.Object); ok && f.Check != nil {
		f.Check(object, d)
	}
	if err := j.checkOutput(t, d, f, data); err != nil {
		return "", err
	}
	return content, nil
}

func text(old string, known bool, d *template.Draft, f template.File) string {
	switch {
	case !known || old == f.Text:
		return f.Text
	case f.Lines:
		return syntax.EditLines(old, f.Text)
	}
	d.Info(f.Path, nil, "was replaced as a whole: a file of format %s is not merged", f.Format)
	return f.Text
}

// write makes the text and proves that it reads back as the data. It may have a
// remark for the user.
func write(s syntax.Syntax, f template.File, old string, known bool, data any) (content, remark string, err error) {
	if known {
		content, remark, err = s.Edit(old, data)
	} else {
		content, err = s.Encode(data, f.Notes)
	}
	if err != nil {
		return "", "", tasks.Invalid("payload.parameters", fmt.Sprintf("%s cannot be written: %v", f.Path, err))
	}
	again, err := s.Decode(content)
	if err != nil || !tree.Equal(again, data) {
		return "", "", fault.PermanentError(tasks.ReasonUnknown, "%s does not read back as it was written", f.Path).Because(err)
	}
	return content, remark, nil
}

func unreadable(path string, err error) error {
	var bad *syntax.ParseError
	if !errors.As(err, &bad) {
		return err
	}
	return tasks.Invalid("payload.existing", fmt.Sprintf("%s cannot be read, %v", path, bad))
}

// checkOutput checks the data of a file against its schema.
func (j *Job) checkOutput(t template.Template, d *template.Draft, f template.File, data any) error {
	if f.Schema == "" {
		return nil
	}
	compile, ok := j.schemas[schemaKey(t, f.Schema)]
	if !ok {
		return fmt.Errorf("template %s has no output schema %s", t.Name, f.Schema)
	}
	s, err := compile()
	if err != nil {
		return err
	}
	for _, broken := range s.Check(data) {
		d.Error(f.Path, broken.Place, "%s", broken.Message)
	}
	return nil
}

func hasErrors(remarks []tasks.ConfigDiagnostic) bool {
	return slices.ContainsFunc(remarks, func(r tasks.ConfigDiagnostic) bool { return r.Severity == "error" })
}

// sortRemarks orders remarks by gravity, file and place, so that the bound cuts
// the least grave ones.
func sortRemarks(remarks []tasks.ConfigDiagnostic) []tasks.ConfigDiagnostic {
	gravity := map[string]int{"error": 0, "warning": 1, "info": 2}
	slices.SortStableFunc(remarks, func(a, b tasks.ConfigDiagnostic) int {
		if c := gravity[a.Severity] - gravity[b.Severity]; c != 0 {
			return c
		}
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	remarks = slices.Compact(remarks)
	return remarks[:min(len(remarks), maxDiagnostics)]
}
