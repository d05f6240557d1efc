package expo

import (
	"strings"

	"github.com/jobyard/jobyard/internal/jobs/configgen/tree"
)

// The two JavaScript files are fixed texts. Values enter them as JSON
// literals only, which are JavaScript literals as well: a value cannot end its
// string or become code.

func literal(v any) string { return tree.IndentJSON(tree.From(v), "", "") }

// babelText writes babel.config.js.
func babelText(p parameters) string {
	preset := literal("babel-preset-expo")
	if source := p.Babel.JSXImportSource; source != "" {
		preset = "[" + preset + ", { jsxImportSource: " + literal(source) + " }]"
	}
	var b strings.Builder
	b.WriteString("module.exports = function (api) {\n  api.cache(true);\n  return {\n    presets: [" + preset + "],\n")
	if len(p.Babel.Plugins) > 0 {
		b.WriteString("    plugins: " + literal(p.Babel.Plugins) + ",\n")
	}
	b.WriteString("  };\n};\n")
	return b.String()
}

// metroText writes metro.config.js.
func metroText(p parameters) string {
	var b strings.Builder
	b.WriteString(`const { getDefaultConfig } = require("expo/metro-config");

/** @type {import("expo/metro-config").MetroConfig} */
const config = getDefaultConfig(__dirname);

`)
	if p.Metro.SVG {
		b.WriteString(`config.transformer.babelTransformerPath = require.resolve("react-native-svg-transformer/expo");
config.resolver.assetExts = config.resolver.assetExts.filter((ext) => ext !== "svg");
config.resolver.sourceExts.push("svg");

`)
	}
	more := ""
	if len(p.Metro.AssetExtensions) > 0 {
		more += "config.resolver.assetExts.push(..." + literal(p.Metro.AssetExtensions) + ");\n"
	}
	if len(p.Metro.SourceExtensions) > 0 {
		more += "config.resolver.sourceExts.push(..." + literal(p.Metro.SourceExtensions) + ");\n"
	}
	if more != "" {
		b.WriteString(more + "\n")
	}
	b.WriteString("module.exports = config;\n")
	return b.String()
}
