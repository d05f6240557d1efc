package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// command is a write as Redis logs it.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func result(task, run int) string { return fmt.Sprintf(`{"title":%q}`, mark(task, run)) }

// lived is a task that went well.
func lived(n int) []note {
	return []note{
		{What: noteOffer, Task: n}, {What: noteAck, Task: n}, {What: noteRun, Task: n, Run: 1},
		{What: noteResult, Task: n, Run: 1, State: "completed"}, {What: noteAudit, Task: n, Run: 1, State: "completed"},
	}
}

// A judge that finds nothing proves nothing, unless it would find it.
func TestJudge(t *testing.T) {
	t.Parallel()
	single := func(n, run int) string {
		return command("HSET", "asynq:{q}:t:x", "state", "completed", "result", result(n, run))
	}
	without := func(notes []note, what string) []note {
		return slices.DeleteFunc(notes, func(n note) bool { return n.What == what })
	}
	for _, tt := range []struct {
		name   string
		notes  []note
		log    string
		rest   rest
		broken []string
	}{
		{"all is well", lived(7), single(7, 1), rest{}, nil},
		{"one in a bundle", lived(7), command("hset", "asynq:{q}:t:b.b0", "i:3", "completed 1 1 1 0 n\n"+result(7, 1), "y_cur", "x"), rest{}, nil},
		{"run twice, committed once", append([]note{{What: noteRun, Task: 7, Run: 2}}, lived(7)...), single(7, 1), rest{}, nil},
		{"never acknowledged", without(without(without(lived(7), noteAck), noteResult), noteAudit)[:1], "", rest{}, []string{"never_acknowledged"}},
		{"left at its refusal", []note{{What: noteOffer, Task: 7}, {What: noteLeave, Task: 7}}, "", rest{}, nil},
		{"left, and done all the same", []note{{What: noteOffer, Task: 7}, {What: noteLeave, Task: 7}, {What: noteRun, Task: 7, Run: 1}}, single(7, 1), rest{}, nil},
		{"left, and done twice", []note{{What: noteOffer, Task: 7}, {What: noteLeave, Task: 7}, {What: noteRun, Task: 7, Run: 1}}, single(7, 1) + single(7, 1),
			rest{}, []string{"committed_twice"}},
		{"not in the log", lived(7), "", rest{}, []string{"lost"}},
		{"not seen by its caller", without(lived(7), noteResult), single(7, 1), rest{}, []string{"lost"}},
		{"gone at the end", without(lived(7), noteAudit), single(7, 1), rest{}, []string{"lost"}},
		{"written twice", lived(7), single(7, 1) + single(7, 1), rest{}, []string{"committed_twice"}},
		{"overwritten", append(without(lived(7), noteAudit), note{What: noteRun, Task: 7, Run: 2}, note{What: noteAudit, Task: 7, Run: 2, State: "completed"}),
			single(7, 1) + single(7, 2), rest{}, []string{"committed_twice", "changed"}},
		{"not what was written", lived(7), single(7, 2), rest{}, []string{"changed"}},
		{"of another task", append(without(lived(7), noteAudit), note{What: noteAudit, Task: 7, State: "completed"}), single(7, 1), rest{}, []string{"changed", "wrong_result"}},
		{"unasked", []note{{What: noteRun, Task: 7, Run: 1}}, "", rest{}, []string{"unasked"}},
		{"left over", nil, "", rest{queued: 1, dead: 2, leases: 3, open: 4, odd: []string{"x"}},
			[]string{"still_queued", "dead_letters", "leases_left", "batches_open", "odd_keys"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l, err := openLedger(filepath.Join(dir, "ledger.ndjson"))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range tt.notes {
				l.write(n)
			}
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
			log := command("SELECT", "0") + "#TS:1\r\n" + command("LPUSH", "k", "v") + tt.log
			if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), []byte(log), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := judge(dir, tt.rest)
			if err != nil {
				t.Fatal(err)
			}
			var broken []string
			for _, c := range v.Checks {
				if !c.OK {
					broken = append(broken, c.Name)
				}
			}
			if !slices.Equal(broken, tt.broken) || v.ok() != (len(tt.broken) == 0) {
				t.Errorf("got %v broken, want %v", broken, tt.broken)
			}
			if report := v.markdown(); strings.Contains(report, "A promise was broken") == v.ok() {
				t.Errorf("the report says otherwise:\n%s", report)
			}
		})
	}
}

// A log that is cut off or no log at all must not pass for an empty one.
func TestReadLog_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	whole := command("HSET", "k", "result", result(1, 1))
	for name, log := range map[string]string{"cut off": whole[:len(whole)-5], "no head": "x" + whole, "a wrong size": "*1\r\n$x\r\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := readLog(dir); err == nil {
			t.Errorf("%s: got %v and no error", name, all)
		}
	}
	if _, err := readLog(t.TempDir()); err == nil {
		t.Error("no log: got no error")
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte(command("HSET", "k", "result", result(1, 1))))
	f.Add([]byte("*3\r\n$999999999\r\n"))
	f.Add([]byte("#\r\n*-1\r\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readLog(dir)
		for task := range all {
			if task < 1 {
				t.Errorf("got task %d, %v", task, err)
			}
		}
	})
}

func TestIdleKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"asynq:{document_parse}:t:chaos-7":                              true,
		"asynq:{document_parse}:t:01a22cd4-f17d-746a-aaf3-16ee54173898": true,
		"asynq:{document_parse:bulk}:t:batch-7.b0":                      true,
		"asynq:{document_parse}:t:01a22cd4-f17d-446a-aaf3-16ee54173898": false,
		"asynq:{document_parse}:pending":                                false,
		"asynq:{document_parse}:t:chaos-7!":                             false,
		"jobyard:leases":                                                false,
	} {
		if got := idleKeys.MatchString(key); got != want {
			t.Errorf("%s: got %t, want %t", key, got, want)
		}
	}
}
