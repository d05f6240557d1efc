// Package documentparse is the job of kind document_parse: it turns one
// document into sections, code, tables, links and chunks.
//
// The room has two halves. [Parse] is pure: bytes in, result out, without
// network, files or clock, so that it can run in a sandboxed child process and
// so that one input always gives one result. [Job] stands around it: it brings
// the bytes (inline, from the blob store, or from a URL by way of [Fetcher])
// and, when asked, hands the document to the library.
//
// It promises:
//   - Every input ends in a result or in a fault with a reason. What could make
//     a parser run out of time or memory is measured before the parser starts;
//     such documents take a linear path instead, with a warning, so that their
//     text is kept.
//   - All text in a result is valid UTF-8; sections cover the text in order, and
//     every chunk is a literal piece of the text.
//   - Identifiers, anchors and chunks are the same for the same input.
//   - The list of links holds no scheme that runs code (javascript, data,
//     vbscript). The Markdown of a Markdown document is its source: who shows it
//     must render it safely.
//
// It owns nothing in Redis or on disk and starts no goroutine that outlives a
// call.
package documentparse
