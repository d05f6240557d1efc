package client_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
	"github.com/jobyard/jobyard/tasks"
)

func TestClient_Blobs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	for _, dir := range []string{"", t.TempDir()} {
		cfg := client.DefaultConfig()
		cfg.BlobDir = dir
		c, err := client.New(b, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		data := []byte("in " + dir)
		sha, err := c.PutBlob(t.Context(), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Blob(t.Context(), sha); err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := c.Blob(t.Context(), strings.Repeat("0", 64)); !errors.Is(err, client.ErrNoBlob) {
			t.Errorf("got %v, want no such blob", err)
		}
		var invalid *tasks.InvalidError
		for name, r := range map[string]io.Reader{"empty": strings.NewReader(""), "endless": endless{}} {
			if _, err := c.PutBlob(t.Context(), r); !errors.As(err, &invalid) {
				t.Errorf("%s: got %v, want it invalid", name, err)
			}
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
