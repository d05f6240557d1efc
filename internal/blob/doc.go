// Package blob keeps large bytes by their content: what is stored under the
// SHA-256 of the plain bytes, once, compressed, for as long as somebody refers
// to it.
//
// The bytes lie in Redis, or in a directory that every process shares. What is
// read is checked against its hash; a blob that is missing or damaged is an
// error that says so, never other bytes.
//
// It owns these keys; the first two have the blob's own slot, so that scripts
// work on them in a cluster too:
//
//	jobyard:blob:{<sha>}        the compressed bytes, or "file:" and a name
//	jobyard:blob:{<sha>}:refs   sorted set: references by when they were made
//	jobyard:{blobs}:due         sorted set: blobs by when a sweep looks next
//	jobyard:{blobs}:yard        the folder of this yard in shared directories
//	jobyard:{blobs}:shard       which part of the directory is swept next
//
// A blob's life, with the steps that may be last if a process dies:
//
//	listed ─▶ referred to ─▶ written ─▶ its task admitted ─▶ the task gone ─▶ swept
//
// The reference comes before the bytes and the bytes before the task, so there
// is never a task without its blob; what is left over, the sweep deletes. It
// deletes a blob in the step in which it finds the last reference gone, so a new
// one comes either before, and keeps the blob, or after, and writes it again.
//
// References are texts of the caller's, who also judges in Clean which of them
// still hold. A Store has nothing to close.
package blob
