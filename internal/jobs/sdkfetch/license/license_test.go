package license

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/jobyard/jobyard/internal/datatest"
)

func TestOfFiles_OnRealPackages(t *testing.T) {
	t.Parallel()
	for elem, want := range map[string]string{
		"gomod/github.com/gorilla/mux/@v/v1.8.1.zip": "BSD-3-Clause",
		"gomod/github.com/google/uuid/@v/v1.6.0.zip": "BSD-3-Clause",
		"gomod/github.com/pkg/errors/@v/v0.9.1.zip":  "BSD-2-Clause",
		"gomod/rsc.io/quote/@v/v1.5.2.zip":           "BSD-3-Clause",
		"npm/tarballs/nanoid-5.1.16.tgz":             "MIT",
		"npm/tarballs/ms-2.1.3.tgz":                  "MIT",
		"npm/tarballs/expo-haptics-57.0.3.tgz":       "MIT",
	} {
		t.Run(elem, func(t *testing.T) {
			t.Parallel()
			if got := OfFiles(rootFiles(t, datatest.Path(t, "sdk", elem))); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// rootFiles reads the license files of a zip or tarball.
func rootFiles(t *testing.T, file string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string, r io.Reader) {
		if is, _ := IsFile(path.Base(name)); is {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			out[path.Base(name)] = b
		}
	}
	if strings.HasSuffix(file, ".zip") {
		z, err := zip.OpenReader(file)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, r)
		}
		return out
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		add(h.Name, tr)
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004": "Apache-2.0",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n" + strings.Repeat("x ", 400) + "GNU Affero General Public License, version 3": "GPL-3.0",
		"This is free and unencumbered software released into the public domain.":                                                            "Unlicense",
		"// SPDX-License-Identifier: MIT OR Apache-2.0\n":                                                                                    "MIT OR Apache-2.0",
		"SPDX-License-Identifier: <a href=\"x\">\n":                                                                                          "",
		"All rights reserved.": "",
		"":                     "",
	} {
		if got := Identify(text); got != want {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
}

func TestOfFiles_JoinsAChoice(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"LICENSE-APACHE": []byte("Apache License Version 2.0"),
		"LICENSE-MIT": []byte("Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files " +
			"The above copyright notice and this permission notice shall be included in all copies"),
		"vendor/LICENSE": []byte("Boost Software License Version 1.0"),
	}
	if got := OfFiles(files); got != "Apache-2.0 OR MIT" {
		t.Errorf("got %q, want Apache-2.0 OR MIT", got)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add("MIT License")
	f.Fuzz(func(t *testing.T, text string) {
		if id := Identify(text); strings.ContainsAny(id, "\n<>\"") || len(id) > 400 {
			t.Fatalf("got %q", id)
		}
	})
}
