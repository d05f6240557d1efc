// Package sdkfetch does the work of the kind sdk_fetch: it resolves, verifies
// and describes one version of an npm package or a Go module.
//
// The network's part runs in Handle, in the parent process. What opens and reads
// an archive is the pure function Extract, which takes and returns plain data so
// that it can run in a sandboxed child; New takes it as a value.
//
// It promises to ask only the addresses in its Config, to hand out an archive's
// contents only after its bytes matched what an independent source states (or to
// say that nothing vouches for them), never to run anything that a package
// holds, and to change nothing: the same task may run twice. It keeps nothing
// between tasks but idle connections and the checksum database's newest tree.
package sdkfetch
