package documentparse

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/jobyard/jobyard/internal/fault"
)

// FuzzParse holds the promises of every result for any bytes read as any
// format, and that nothing but a permanent fault may stand in its place.
func FuzzParse(f *testing.F) {
	types := []string{"text/markdown", "text/mdx", "text/html", "application/json", "application/yaml", "text/plain", ""}
	sources, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range sources {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if filepath.Ext(path) != ".json" {
			for i := range types {
				f.Add(data, uint8(i), "")
			}
		}
	}
	f.Add([]byte("- a\n  ```x\n\n  ```\n\n{`a${b}`}<A b={c}>\n# x {#y}\n"), uint8(1), "shift_jis")
	f.Add([]byte("<table><tr><td colspan=9 rowspan=9>a<tr><td>b</table><pre><code>x"), uint8(2), "")
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, charset string) {
		if len(data) > 64<<10 {
			return
		}
		in := Input{Data: data, ContentType: types[int(kind)%len(types)], Charset: charset, URI: "https://yard.example/a/b"}
		res, err := Parse(t.Context(), in)
		if err != nil {
			if fault.Of(err).Verdict != fault.Permanent {
				t.Fatalf("not permanent: %v", err)
			}
			return
		}
		checkInvariants(t, res)
		again, err := Parse(t.Context(), in)
		if err != nil || !reflect.DeepEqual(res, again) {
			t.Fatalf("the same input gave another result: %v\n%+v\n%+v", err, res, again)
		}
	})
}
