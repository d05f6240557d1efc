package documentparse

import (
	"path"
	"strings"
)

// readCode makes a document of one block of code. The first line of the text
// is kept as it is: code is never trimmed on the left.
func readCode(b *builder, text, language string) {
	b.code(language, text)
	b.markdown = fenced(language, strings.TrimRight(text, "\n"))
}

// fenced writes a code block whose fence is longer than any inside.
func fenced(language, code string) string {
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	return fence + language + "\n" + code + "\n" + fence + "\n"
}

// codeLanguage is the language of a source file by its name, or "".
func codeLanguage(name string) string {
	switch name {
	case "dockerfile", "makefile":
		return name
	case "go.mod":
		return "go-mod"
	}
	return languageOfExt[path.Ext(name)]
}

var languageOfExt = map[string]string{
	".go": "go", ".ts": "typescript", ".tsx": "tsx", ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript",
	".jsx": "jsx", ".py": "python", ".pyi": "python", ".rb": "ruby", ".rs": "rust", ".java": "java", ".kt": "kotlin",
	".kts": "kotlin", ".swift": "swift", ".m": "objective-c", ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp",
	".hpp": "cpp", ".cs": "csharp", ".php": "php", ".sh": "bash", ".bash": "bash", ".zsh": "bash", ".ps1": "powershell",
	".sql": "sql", ".graphql": "graphql", ".gql": "graphql", ".proto": "protobuf", ".toml": "toml", ".ini": "ini",
	".yaml": "yaml", ".yml": "yaml", ".json": "json", ".json5": "json5", ".jsonc": "jsonc", ".ndjson": "json",
	".xml": "xml", ".css": "css", ".scss": "scss", ".vue": "vue", ".svelte": "svelte", ".dart": "dart", ".scala": "scala",
	".lua": "lua", ".r": "r", ".ex": "elixir", ".exs": "elixir", ".erl": "erlang", ".hs": "haskell", ".clj": "clojure",
	".tf": "hcl", ".gradle": "groovy", ".groovy": "groovy", ".zig": "zig", ".nix": "nix", ".pl": "perl", ".diff": "diff",
	".patch": "diff", ".csv": "csv", ".tsv": "tsv", ".env": "dotenv", ".properties": "properties",
}
