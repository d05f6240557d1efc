package dts

import (
	"slices"
	"strings"
	"testing"
)

func TestManifest_Root(t *testing.T) {
	t.Parallel()
	files := []string{"index.d.ts", "lib/a.d.ts", "lib/a.d.cts", "lib/a.d.mts"}
	has := func(f string) bool { return slices.Contains(files, f) }
	for manifest, want := range map[string]string{
		`{}`:                           "index.d.ts",
		`{"main":"./lib/a.js"}`:        "lib/a.d.ts",
		`{"main":"./lib/a"}`:           "lib/a.d.ts",
		`{"types":"lib/a.d.cts"}`:      "lib/a.d.cts",
		`{"types":"../../etc/passwd"}`: "index.d.ts",
		`{"exports":"./lib/a.mjs"}`:    "lib/a.d.mts",
		`{"exports":{"require":"./lib/a.cjs","import":"./lib/a.mjs"}}`:                                                  "lib/a.d.mts",
		`{"exports":{".":{"browser":"./x.js","require":{"types":"./lib/a.d.cts"}},"./sub":"./y"}}`:                      "lib/a.d.cts",
		`{"types":["odd"],"main":"lib/a.cjs"}`:                                                                          "lib/a.d.cts",
		`{"exports":{".":[{"import":"./lib/a.js"}]}}`:                                                                   "lib/a.d.ts",
		`{"exports":{".":{"types@<5":"./lib/a.d.cts","types@>=5":"./lib/a.d.mts","types":"./index.d.ts"}}}`:             "lib/a.d.mts",
		`{"exports":{"types":{"require":"./lib/a.d.cts","import":"./lib/a.d.mts"}}}`:                                    "lib/a.d.mts",
		`{"types":"index.d.ts","typesVersions":{"<4":{"*":["lib/a.d.cts"]},">=4":{"*":["lib/missing","lib/a"]}}}`:       "lib/a.d.ts",
		`{"types":"./a.d.ts","typesVersions":{"*":{"*":["lib/*"]}}}`:                                                    "lib/a.d.ts",
		`{"types":"./a.d.ts","typesVersions":{"*":{"a.d.ts":["./lib/a.d.mts"],"*":["lib/*"]}}}`:                         "lib/a.d.mts",
		`{"types":"index.d.ts","typesVersions":{"<=5.6":{"*":["lib/a.d.ts"]}}}`:                                         "index.d.ts",
		`{"types":"index.d.ts","typesVersions":{"*":{"*":["../../etc/*"]}}}`:                                            "index.d.ts",
		`{"types":"index.d.ts","typesVersions":["odd"]}`:                                                                "index.d.ts",
		`{"types":"index.d.ts","typesVersions":{"what?":{"*":["lib/a"]},"*":{"*":"lib/a"}}}`:                            "index.d.ts",
		`{"types":"index.d.ts","exports":{".":{"types":"./lib/a.d.mts"}},"typesVersions":{"*":{"*":["./lib/a.d.ts"]}}}`: "lib/a.d.mts",
		`{"exports":{"./sub":{"types":"./lib/a.d.ts"}}}`:                                                                "index.d.ts",
		`not json`: "index.d.ts",
	} {
		if got := readManifest([]byte(manifest)).root(has); got != want {
			t.Errorf("%s: got %q, want %q", manifest, got, want)
		}
	}
}

func TestManifest_Entries(t *testing.T) {
	t.Parallel()
	files := []string{"index.d.ts", "a.d.ts", "b.d.mts", "c/index.d.ts"}
	has := func(f string) bool { return slices.Contains(files, f) || f == "lang/*.d.ts" }
	for manifest, want := range map[string]string{
		`{}`: "=index.d.ts",
		`{"exports":{".":"./index.js","./a":{"types":"./a.d.ts"},"./b":"./b.mjs","./gone":"./gone.js","./package.json":"./package.json"}}`: "=index.d.ts /a=a.d.ts /b=b.d.mts",
		`{"exports":{"./a":"./a.js","./again":"./a.js","./lang/*":"./lang/*.js","./*":"./*.js","./odd/*":"./odd/*"}}`:                      "/a=a.d.ts | ./lang/*",
		`{"exports":{"./a":null,"./b":[],"./c":7}}`:                                                           "=index.d.ts",
		`{"types":"index.d.ts","exports":{"./a":"./a.js","./b":"./b.mjs"}}`:                                   "/a=a.d.ts /b=b.d.mts",
		`{"types":"index.d.ts","exports":{"./gone":"./gone.js"}}`:                                             "=index.d.ts",
		`{"typesVersions":{"*":{"a":["./a.d.ts"],"c/sub":["./c"],"index":["./index.d.ts"],"x/*":["./x/*"]}}}`: "=index.d.ts /a=a.d.ts /c/sub=c/index.d.ts",
		`{"exports":{".":"./index.js"},"typesVersions":{"*":{"a":["./a.d.ts"]}}}`:                             "=index.d.ts",
	} {
		entries, patterns := readManifest([]byte(manifest)).entries(has)
		var got []string
		for _, e := range entries {
			got = append(got, e.subpath+"="+e.file)
		}
		if len(patterns) > 0 {
			got = append(append(got, "|"), patterns...)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: got %s, want %s", manifest, text, want)
		}
	}
}

func TestScan_FollowsPathsWhereThePackageItselfExportsNothing(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"dist/more.d.ts":    []byte("export declare const a: 1; export declare function b(x: b): void; export { b as renamed }"),
		"dist/old.d.ts":     []byte(`declare module "pkg/old" { export class Old {} }`),
		"dist/again.d.ts":   []byte("export * from './more.js'; export declare const c: 1"),
		"dist/lang/de.d.ts": []byte("export const de: 1"),
	}
	const paths = `"./more":"./dist/more.js","./old":"./dist/old.js","./again":"./dist/again.js","./lang/*":"./dist/lang/*.js"`
	for name, c := range map[string]struct {
		manifest, entry string
		max             int
		want, unlisted  []string
		truncated       bool
	}{
		"no root":     {`{"exports":{` + paths + `}}`, "dist/more.d.ts", 100, []string{"/more const a: 1", "/more function b(x: b): void", "/more function renamed(x: b): void", "/old class Old {}", "/again const c: 1"}, []string{"./lang/*"}, false},
		"a root":      {`{"exports":{".":"./dist/old.js",` + paths + `}}`, "dist/old.d.ts", 100, nil, []string{"./more", "./again", "./lang/*", "pkg/old"}, false},
		"cut":         {`{"exports":{` + paths + `}}`, "dist/more.d.ts", 2, []string{"/more const a: 1", "/more function b(x: b): void"}, []string{"./lang/*"}, true},
		"cut between": {`{"exports":{` + paths + `}}`, "dist/more.d.ts", 4, []string{"/more const a: 1", "/more function b(x: b): void", "/more function renamed(x: b): void", "/old class Old {}"}, []string{"./lang/*"}, true},
		"just enough": {`{"exports":{"./more":"./dist/more.js"}}`, "dist/more.d.ts", 3, []string{"/more const a: 1", "/more function b(x: b): void", "/more function renamed(x: b): void"}, nil, false},
	} {
		res, err := Scan(t.Context(), Package{Name: "pkg", MaxSymbols: c.max, Manifest: []byte(c.manifest), Files: files})
		var got []string
		for _, s := range res.Symbols {
			got = append(got, s.Subpath+" "+s.Signature)
		}
		if err != nil || !slices.Equal(got, c.want) || res.Entry != c.entry || !slices.Equal(res.Unlisted, c.unlisted) || res.Truncated != c.truncated {
			t.Errorf("%s: got %q from %s, unlisted %v, truncated %v, %v, want %q", name, got, res.Entry, res.Unlisted, res.Truncated, err, c.want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(`{"types":"a.d.ts","typesVersions":{">=4":{"*":["x/*"]}}}`)
	f.Add(`{"exports":{".":{"types@>=5":"./a.d.ts"},"./b/*":["./b/*.js",{"import":"./c.mjs"}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		asked := 0
		entries, patterns := readManifest([]byte(text)).entries(func(p string) bool { asked++; return asked%7 == 0 })
		if len(entries) > maxEntries || len(patterns) > maxEntries {
			t.Fatalf("got %d entries and %d patterns", len(entries), len(patterns))
		}
		for _, e := range entries {
			if strings.HasPrefix(e.file, "/") || strings.Contains("/"+e.file+"/", "/../") {
				t.Fatalf("got the file %q", e.file)
			}
		}
	})
}
