package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// compressFrom is the smallest answer that is worth compressing.
const compressFrom = 1024

// compressed answers with zstd or gzip whoever accepts it. Event streams stay
// as they are: every event must leave at once.
func compressed(next http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(compressFrom), gzhttp.EnableZstd(true), gzhttp.PreferZstd(true),
		gzhttp.ContentTypeFilter(func(contentType string) bool {
			t, _, _ := strings.Cut(contentType, ";")
			t = strings.TrimSpace(t)
			return t != "text/event-stream" && (strings.HasPrefix(t, "text/") || strings.Contains(t, "json") || strings.Contains(t, "javascript"))
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("set up compression: %w", err)
	}
	return wrap(next), nil
}
