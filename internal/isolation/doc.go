// Package isolation runs tasks in warm child processes that can be killed.
//
// A Pool keeps runners of one kind: children of the own binary, one task at a
// time, with at least one spare ready. It promises that
//
//   - a task over its wall clock, CPU, memory or output limit is dead within
//     the limit and a second, with a reason of its own, and its neighbors do
//     not notice;
//   - there are never more children than slots and spares, a slot is free only
//     when its child has been reaped, and Close leaves none behind;
//   - a runner gets an empty environment and no descriptors but its channel,
//     dies with its parent, and locks itself in before it reads its first task.
//     How well is found out by trying (Report).
//
// The life of a runner:
//
//	starting ──ready──▶ idle ──task──▶ busy ──reply──▶ idle
//	   │                 │ ▲             │ └──reply──▶ collecting ─▶ idle
//	   └─no answer       │ └─────────────┼──────────────────┘
//	                     └─due, unused   └─limit, death
//	                            ▼                ▼
//	                          ending ──reaped──▶ gone (its place is free)
//
// The pool carries bytes only. Remote and Handle put types on both ends.
// Nothing is kept on disk or in Redis.
package isolation
