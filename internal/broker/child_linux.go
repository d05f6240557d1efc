package broker

import "syscall"

// dieWithParent has the kernel end the child when its parent thread ends, and
// keeps the terminal's Ctrl-C from it: we stop it after everything else.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
