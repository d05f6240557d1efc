package dts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jobyard/jobyard/internal/datatest"
)

// scanFiles scans a package whose types entry point is index.d.ts and returns
// its names as "name kind".
func scanFiles(t *testing.T, files map[string]string) (Result, []string) {
	t.Helper()
	p := Package{Name: "pkg", Manifest: []byte(`{"types":"index.d.ts"}`), Files: map[string][]byte{}, MaxSymbols: 1000}
	for name, text := range files {
		p.Files[name] = []byte(text)
	}
	res, err := Scan(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range res.Symbols {
		out = append(out, s.Name+" "+s.Kind)
	}
	slices.Sort(out)
	return res, out
}

func TestScan_ReadsTheFormsOfExport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"modifiers": {map[string]string{"index.d.ts": `
			export declare function f(a: string): void
			export abstract class C<T extends {a: 1}> extends B<{b: 2}> { m(): void; export: string }
			export interface I { x: "}" }
			export type T = { a: string } | ` + "`x${string}`" + `
			export const a: Map<string, number>, b: () => void
			export let c: number; export enum E { A } export const enum F { B }
			export namespace N { const inner: string }
			export async function g(): Promise<void>;
			export {}; interface Hidden {}`},
			"C class, E enum, F enum, I interface, N namespace, T type, a const, b const, c var, f func, g func"},
		"declarations without any export list are all exported": {map[string]string{"index.d.ts": "interface Opts {}\nexport function f(o: Opts): void"}, "Opts interface, f func"},
		"an export list hides the rest":                         {map[string]string{"index.d.ts": "interface A {}\ninterface B {}\nexport { A as C, type B as default }"}, "C interface, default interface"},
		"default forms":                                         {map[string]string{"index.d.ts": "declare const _default: { a: 1 };\nexport default _default;"}, "default const"},
		"a default class keeps its own name back":               {map[string]string{"index.d.ts": "export default class Foo {}\nexport interface Bar {}"}, "Bar interface, default class"},
		"a default function without a name":                     {map[string]string{"index.d.ts": "export default function (a: 1): void\nexport default function (a: 2): void"}, "default func"},
		"names of other files": {map[string]string{
			"index.d.ts": `export * from "./a.js"; export * as ns from './dir'; export { default as d, x as y } from "./b.mjs"; import z from "./a"; export { z }`,
			"a.d.ts":     "export const one: 1; export default one", "dir/index.d.ts": "export const two: 2",
			"b.d.mts": "declare class K {} export { K as default }; export type x = string",
		}, "d class, ns namespace, one const, y type, z const"},
		"circles": {map[string]string{
			"index.d.ts": `export * from "./a"; export { loop } from "./index"; import q = q; export { q as r }`,
			"a.d.ts":     `export * from "./index"; export const a: 1`,
		}, "a const"},
		"export = with a namespace": {map[string]string{"index.d.ts": `
			import core = require("./core"); export = e; declare function e(): e.App;
			declare namespace e { interface App extends core.X {} export import Y = core.Y; var v: number }`,
			"core.d.ts": "export interface X {} export class Y {}",
		}, "App interface, Y class, export = func, v var"},
		"export = of another file": {map[string]string{
			"index.d.ts": `import f = require("./f"); export = f`, "f.d.ts": "declare function f(): void; export = f",
		}, "export = func"},
		"a file that adds to another": {map[string]string{
			"index.d.ts":    "/// <reference path=\"./common/a.d.ts\" />\nexport = _; declare const _: _.Static; declare namespace _ { interface Static {} }",
			"common/a.d.ts": "import _ = require(\"../index\"); declare module \"../index\" { interface Added {} }",
			"common/b.d.ts": "declare module \"../index\" { interface NeverLoaded {} }",
		}, "Added interface, Static interface, export = const"},
		"an ambient module":       {map[string]string{"index.d.ts": `declare module "pkg" { export function f(): void } declare module "other" { export const no: 1 }`}, "f func"},
		"names of other packages": {map[string]string{"index.d.ts": `export { A } from "else"; import * as B from "else"; export { B }; export * from "all"`}, "A alias, B alias"},
		"statements without semicolons": {map[string]string{"index.d.ts": "export type A =\n  | 'x'\n  | B\ntype B = keyof\n  typeof c\nexport declare const c: {\n  type: string\n  export: 1\n}\nexport interface D {}"},
			"A type, B type, D interface, c const"},
		"names that look like keywords": {map[string]string{"index.d.ts": "export declare const type: string; export declare function from(): void; declare const as: 1; export { as as module }"}, "from func, module const, type const"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, got := scanFiles(t, c.files)
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %s, want %s", strings.Join(got, ", "), c.want)
			}
			if name == "names of other packages" && !slices.Equal(res.Foreign, []string{"all"}) {
				t.Errorf("foreign: got %v, want [all]", res.Foreign)
			}
		})
	}
}

func TestScan_WritesSignaturesAndDocs(t *testing.T) {
	t.Parallel()
	res, _ := scanFiles(t, map[string]string{"index.d.ts": `
/**
 * Adds.
 *
 * @param a number
 * @deprecated use sum
 */
export declare function add(a: number /* first */, b: number): number;
export declare function add(a: string): string;
`})
	if len(res.Symbols) != 1 {
		t.Fatalf("got %v, want one symbol", res.Symbols)
	}
	s := res.Symbols[0]
	if want := "function add(a: number , b: number): number\nfunction add(a: string): string"; s.Signature != want {
		t.Errorf("signature: got %q, want %q", s.Signature, want)
	}
	if want := "Adds.\n\nDeprecated: use sum"; s.Doc != want {
		t.Errorf("doc: got %q, want %q", s.Doc, want)
	}
}

func TestScan_NamesWhatIsExported(t *testing.T) {
	t.Parallel()
	res, _ := scanFiles(t, map[string]string{
		"index.d.ts": `export { default as MAX } from "./max.js"; export { default as parse } from "./parse.js"; export type { type as kind, output as infer, Base as Name } from "./names.js"`,
		"max.d.ts":   `declare const _default: "ff"; export default _default;`,
		"parse.d.ts": "export default function parse(a: string): void;\nexport default function parse(a: number): void;",
		"names.d.ts": "export type type = 1; export type output<T> = T; export interface Base$ {} export interface Base {}",
	})
	var got []string
	for _, s := range res.Symbols {
		got = append(got, s.Signature)
	}
	want := []string{`const MAX: "ff"`, "function parse(a: string): void\nfunction parse(a: number): void", "type kind = 1", "type infer<T> = T", "interface Name {}"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScan_HidesWhatIsPrivate(t *testing.T) {
	t.Parallel()
	res, _ := scanFiles(t, map[string]string{"index.d.ts": `
export declare class A {
    #private;
    private readonly _map;
    private constructor();
    private static of(a: { b: 1; }): void;
    protected kept: string;
    private: string;
    get(): { private: 1 };
    private last?;
}
export declare class B {
  private a: {
    b: 1
  }
  private c
  shown: 1
  private d
}
export interface C {
  private: 1;
}
export declare class D { private x; y: 1 }
`})
	want := []string{
		"class A {\n    private constructor();\n    protected kept: string;\n    private: string;\n    get(): { private: 1 };\n}",
		"class B {\n  shown: 1\n}", "interface C {\n  private: 1;\n}", "class D { private x; y: 1 }",
	}
	for i, s := range res.Symbols {
		if s.Signature != want[i] {
			t.Errorf("got %q, want %q", s.Signature, want[i])
		}
	}
}

// TestScan_ReadsLargeBarrels has as many files behind export * as the largest
// packages: a name must not be looked for in all of them.
func TestScan_ReadsLargeBarrels(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	var index strings.Builder
	for i := range 800 {
		fmt.Fprintf(&index, "export * from './f%d';\n", i)
		files[fmt.Sprintf("f%d.d.ts", i)] = fmt.Appendf(nil, "export interface A%d {} export declare const b%d: A%d;", i, i, i)
	}
	files["index.d.ts"] = []byte(index.String())
	res, err := Scan(t.Context(), Package{Name: "pkg", MaxSymbols: 5000, Files: files})
	if err != nil || len(res.Symbols) != 1600 || res.Truncated {
		t.Errorf("got %d names, truncated %v, %v, want 1600", len(res.Symbols), res.Truncated, err)
	}
}

func TestScan_NamesTheModulesThatAreDeclaredForOthers(t *testing.T) {
	t.Parallel()
	res, got := scanFiles(t, map[string]string{
		"index.d.ts": "/// <reference path=\"fs.d.ts\" />\ndeclare module \"path\" { export const sep: string }",
		"fs.d.ts":    "declare module \"fs\" { export function stat(): void } declare module \"*.css\" {}",
	})
	if len(got) != 0 || !slices.Equal(res.Unlisted, []string{"fs", "path"}) {
		t.Errorf("got %v and unlisted %v", got, res.Unlisted)
	}
}

func TestScan_Ends(t *testing.T) {
	t.Parallel()
	// Every file passes on the names of all others, and every name is looked up.
	files := map[string][]byte{}
	for i := range 60 {
		var b strings.Builder
		for j := range 60 {
			fmt.Fprintf(&b, "export * from './f%d'; export { x%d } from './f%d'; import y = y%d; import y%d = y;\n", j, j, j, j, j)
		}
		files[fmt.Sprintf("f%d.d.ts", i)] = []byte(b.String())
	}
	files["deep.d.ts"] = []byte(strings.Repeat("namespace a {", 10_000) + strings.Repeat("`${", 5_000))
	for _, entry := range []string{"f0.d.ts", "deep.d.ts"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := Scan(ctx, Package{Manifest: []byte(`{"types":"` + entry + `"}`), Files: files, MaxSymbols: 100})
		cancel()
		if err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, Package{Manifest: []byte(`{"types":"f0.d.ts"}`), Files: files}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("export declare function f<T>(a: {b: string}): T;", "export * from './index'")
	f.Add("export = a; declare namespace a.b { export { c } } import d = a.b; /** x */ export default d", "")
	f.Fuzz(func(t *testing.T, index, other string) {
		res, err := Scan(t.Context(), Package{Files: map[string][]byte{"index.d.ts": []byte(index), "a.d.ts": []byte(other)}, MaxSymbols: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range res.Symbols {
			if s.Kind == "" || len(s.Signature) > maxSignature+10 || len(s.Doc) > maxDoc+40 {
				t.Fatalf("got %+v", s)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	p := load(b, datatest.Path(b, "sdk", "npm", "tarballs", "expo-haptics-57.0.3.tgz"))
	for b.Loop() {
		if res, err := Scan(b.Context(), p); err != nil || len(res.Symbols) == 0 {
			b.Fatal(err)
		}
	}
}
