package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	events := strings.Join([]string{
		`{"Action":"attr","Package":"p","Test":"TestQuality_B","Key":"quality","Value":"{\"name\":\"b\",\"value\":0.5,\"gate\":0.6,\"ok\":false}"}`,
		`{"Action":"attr","Package":"p","Test":"TestQuality_B","Key":"other","Value":"x"}`,
		`{"Action":"attr","Package":"p","Test":"TestQuality_A","Key":"quality","Value":"{\"name\":\"a\",\"value\":1,\"gate\":1,\"ok\":true}"}`,
		`{"Action":"output","Package":"p","Test":"TestQuality_C","Output":"    datatest.go:25: shared data absent: sdk\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestQuality_B/one"}`,
		`{"Action":"fail","Package":"p","Test":"TestQuality_B"}`,
		`{"Action":"fail","Package":"p"}`,
	}, "\n")
	var progress, table strings.Builder
	found, err := read(strings.NewReader(events), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.print(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a  1.0000  1.0000     ok", "b  0.5000  0.6000  BELOW", "skipped: TestQuality_C: shared data absent: sdk", "failed: TestQuality_B\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("got %s, want %q in it", table.String(), want)
		}
	}
	if progress.String() != "fail p\n" {
		t.Errorf("got progress %q, want the package told", progress.String())
	}
	file := filepath.Join(t.TempDir(), "quality.json")
	if err := found.write(file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	want := "[\n" + `  {"name":"a","value":1,"gate":1,"ok":true},` + "\n" + `  {"name":"b","value":0.5,"gate":0.6,"ok":false}` + "\n]\n"
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v, want %s", raw, err, want)
	}
	if _, err := read(strings.NewReader("ok p\n"), &progress); err == nil {
		t.Error("got no error for what is no event")
	}
}
