// Package library keeps the corpus that search and document_parse share: the
// documents, their sections, and on each worker an index of them.
//
// # The corpus in Redis
//
// A Writer keeps each document, encoded, in one hash and names the change in
// one stream, the log, both in one transaction. The log carries ids only: a
// reader takes the document as it is now, so that entries may be read twice,
// late or out of order. The id of a log entry is the write's token. All keys lie
// under jobyard:{library}: and so in one cluster slot:
//
//	jobyard:{library}:docs   hash, document id -> encoded document
//	jobyard:{library}:log    stream of ids, trimmed to about DefaultLogLength entries
//
// # The replica on a worker
//
// A Replica holds a bleve (scorch) index of the whole corpus and follows the log:
//
//	                 log continues               entries
//	start ──▶ check ───────────────▶ follow ──────────────▶ apply ─┐
//	            │                      ▲  ▲                        │
//	            │ log lost or trimmed  │  └────────────────────────┘
//	            └──────▶ reconcile ────┘
//
// Its position in the log is stored in the index with the changes it stands
// for, so a crash loses neither or both. When the entry at its position is gone
// (the log was trimmed past it, or Redis lost data) the replica reconciles: it
// reads all documents, indexes those that differ and drops those that are gone,
// while searches go on. A damaged index, or one of another schema, is deleted
// and built anew. Searches need no Redis.
//
// Run owns the following and ends with its context; Close comes after it.
package library
