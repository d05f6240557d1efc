//go:build !linux

package broker

import "syscall"

// dieWithParent keeps the terminal's Ctrl-C from the child: we stop it after
// everything else. Only Linux can tie its life to ours.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
