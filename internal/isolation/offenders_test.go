package isolation

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// offenders are jobs that no goroutine queue survives.
func offenders() map[string]Func[echo, echo] {
	return map[string]Func[echo, echo]{
		"loop": func(context.Context, echo) (echo, error) {
			for i := 0; ; i++ {
			}
		},
		"ignore": func(context.Context, echo) (echo, error) {
			time.Sleep(time.Hour) //nolint:forbidigo // that is the offense
			return echo{}, nil
		},
		"syscall": func(context.Context, echo) (echo, error) {
			for {
				sleepInKernel()
			}
		},
		"five gigabytes": func(context.Context, echo) (echo, error) {
			b := make([]byte, 5<<30)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			return echo{fmt.Sprint(len(b))}, nil
		},
		"balloon": func(ctx context.Context, _ echo) (echo, error) { // 100 MB/s
			for {
				_, _ = keep(ctx, 1<<20)
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // sets the rate
			}
		},
		"stack": func(context.Context, echo) (echo, error) { return echo{fmt.Sprint(recurse(1))}, nil },
		"exit": func(context.Context, echo) (echo, error) {
			os.Exit(0)
			return echo{}, nil
		},
		"goexit": func(context.Context, echo) (echo, error) {
			runtime.Goexit()
			return echo{}, nil
		},
		"goroutine panic": func(context.Context, echo) (echo, error) {
			go func() { panic("in a goroutine of the job") }()
			select {}
		},
		"map race": func(context.Context, echo) (echo, error) { panic("fatal error: not really") },
		"flood": func(_ context.Context, in echo) (echo, error) { // 11 MB of stderr
			line := strings.Repeat("chatter ", 128) + "\n"
			for written := 0; written < 11_000_000; written += len(line) {
				_, _ = os.Stderr.WriteString(line)
			}
			if in.Text == "panic" {
				go func() { panic("after the flood") }()
				select {}
			}
			return in, nil
		},
		"garbage": func(context.Context, echo) (echo, error) { return toChannel([]byte("\xff\xff\xff\xffgarbage")) },
		"boundless": func(context.Context, echo) (echo, error) {
			return toChannel([]byte{0xff, 0xff, 0xff, 0x7f, frameReply})
		},
		"forged": func(context.Context, echo) (echo, error) {
			return toChannel([]byte{4, 0, 0, 0, frameReply, 9, 9, 9, 9})
		},
		"chatty": func(context.Context, echo) (echo, error) {
			return toChannel(bytes.Repeat([]byte{6, 0, 0, 0, frameProgress, 1, 0, 0, 0, '{', '}'}, 1000))
		},
		"wordy": func(context.Context, echo) (echo, error) {
			return toChannel(append([]byte{0, 16, 0, 0, frameProgress, 1, 0, 0, 0}, make([]byte, 4092)...))
		},
		"mute": func(context.Context, echo) (echo, error) {
			for fd := 3; fd < 16; fd++ {
				syscall.Close(fd)
			}
			select {}
		},
	}
}

func recurse(n int) int {
	var pad [256]byte
	pad[n%256] = byte(n)
	return recurse(n+1) + int(pad[(n+1)%256]) //nolint:staticcheck // without end
}

// toChannel writes to whatever descriptor may be the runner's channel.
func toChannel(b []byte) (echo, error) {
	for fd := 3; fd < 16; fd++ {
		_, _ = syscall.Write(fd, b)
	}
	select {}
}
