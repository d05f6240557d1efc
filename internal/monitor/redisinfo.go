package monitor

import (
	"context"
	"strconv"
	"strings"

	"github.com/jobyard/jobyard/internal/broker"
)

// Redis tells whether the yard's Redis answers, and how it is.
type Redis struct {
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"`
	// Version and Policy are Redis's own words; what a full Redis does is its
	// policy.
	Version string `json:"version,omitempty"`
	Policy  string `json:"maxmemory_policy,omitempty"`
	// Used and Max are its memory in bytes; Max is 0 where there is no limit.
	Used int64 `json:"used_bytes,omitempty"`
	Max  int64 `json:"max_bytes,omitempty"`
	// Evicted counts keys that were dropped for want of memory.
	Evicted int64 `json:"evicted_keys,omitempty"`
	// SaveFailed names the file that Redis could not write last; empty if it could.
	SaveFailed string `json:"save_failed,omitempty"`
	Clients    int64  `json:"clients,omitempty"`
}

// mayEvict reports whether Redis would drop keys when its memory is full.
func (r Redis) mayEvict() bool { return r.Max > 0 && r.Policy != "" && r.Policy != "noeviction" }

// readRedis asks Redis how it is. One that does not tell, as a managed one may
// not, is only known to be up.
func readRedis(ctx context.Context, b *broker.Broker) Redis {
	r := Redis{Up: true}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	raw, err := b.Client().Info(ctx).Result()
	if err != nil {
		return r
	}
	f := infoFields(raw)
	number := func(name string) int64 { n, _ := strconv.ParseInt(f[name], 10, 64); return max(0, n) }
	r.Version, r.Policy = clean(f["redis_version"], maxWord), clean(f["maxmemory_policy"], maxWord)
	r.Used, r.Max = number("used_memory"), number("maxmemory")
	r.Evicted, r.Clients = number("evicted_keys"), number("connected_clients")
	switch {
	case f["aof_enabled"] == "1" && f["aof_last_write_status"] == "err":
		r.SaveFailed = "append-only file"
	case f["rdb_last_bgsave_status"] == "err":
		r.SaveFailed = "snapshot"
	}
	return r
}

// infoFields reads Redis's INFO.
func infoFields(raw string) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(raw) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(name, "#") {
			f[name] = value
		}
	}
	return f
}
