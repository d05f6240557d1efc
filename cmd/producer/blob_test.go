package main

import (
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/blob"
	"github.com/jobyard/jobyard/internal/config"
)

func TestBlob_PutAndGet(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	data := "\x00some bytes\xff"
	sha := blob256(data)
	command(t, url, "", "blob", "put", file(t, "x.bin", data)).want(t, 0, sha+"\n", "")
	command(t, url, data, "blob", "put", "-", "--json").want(t, 0, `{"bytes":12,"sha256":"`+sha+`"}`, "")
	if got := command(t, url, "", "blob", "get", sha); got.code != 0 || got.out != data {
		t.Errorf("got code %d and %q: %s", got.code, got.out, got.err)
	}
	// A shared directory is a setting like any other.
	dir := t.TempDir()
	command(t, url, "in a folder", "blob", "put", "-", "--blob-dir", dir).want(t, 0, blob256("in a folder"), "")
	command(t, url, "", "blob", "get", blob256("in a folder"), "--blob-dir", dir).want(t, 0, "in a folder", "")
	command(t, url, "", "blob", "get", blob256("in a folder")).want(t, config.ExitFailed, "", "--blob-dir")
	for name, tt := range map[string]struct {
		stdin string
		args  []string
		err   string
	}{
		"no verb":      {args: []string{"blob"}, err: "put and one file"},
		"unknown verb": {args: []string{"blob", "delete", sha}, err: "put and one file"},
		"no file":      {args: []string{"blob", "put"}, err: "put and one file"},
		"missing file": {args: []string{"blob", "put", "/no/such/file"}, err: "no such file"},
		"empty":        {args: []string{"blob", "put", "-"}, err: "there is nothing to upload"},
		"too large":    {stdin: strings.Repeat("x", blob.MaxBytes+1), args: []string{"blob", "put", "-"}, err: "is over"},
		"unknown":      {args: []string{"blob", "get", blob256("never")}, err: "no blob has the hash"},
		"no hash":      {args: []string{"blob", "get", "x"}, err: "no blob has the hash"},
		"a bad folder": {stdin: "x", args: []string{"blob", "put", "-", "--blob-dir", "/dev/null/x"}, err: "blob directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command(t, url, tt.stdin, tt.args...).want(t, config.ExitUsage, "", tt.err)
		})
	}
}

func TestBlob_ATaskNamesIt(t *testing.T) {
	t.Parallel()
	url, _ := yard(t)
	sha := strings.TrimSpace(command(t, url, "# Hello", "blob", "put", "-").out)
	command(t, url, "", "enqueue", "document_parse", "--payload", `{"source":{"blob":"`+sha+`"}}`, "--wait", "--json").
		want(t, 0, `"state":"completed"`, "")
	command(t, url, "", "enqueue", "document_parse", "--payload", `{"source":{"blob":"`+blob256("never")+`"}}`).
		want(t, config.ExitUsage, "", "payload.source.blob: names no blob that is there")
}

func blob256(text string) string { return blob.SHA([]byte(text)) }
