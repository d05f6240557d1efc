package main

import (
	"context"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/broker/brokertest"
)

// stage is the yard with all that stands around it.
type stage struct {
	ledger *ledger
	redis  *brokertest.Redis
	origin *origin
	broker *broker.Broker
	client *client.Client
	fleet  *fleet
}

// openStage starts everything. What it returns is to be closed even if that
// failed.
func openStage(ctx context.Context, s settings, dir string) (st *stage, err error) {
	st = &stage{}
	if st.ledger, err = openLedger(filepath.Join(dir, "ledger.ndjson")); err != nil {
		return st, err
	}
	// Its log must hold every write from the first, and each on disk at once.
	if st.redis, err = brokertest.OpenRedis(ctx, dir, "appendfsync always", "auto-aof-rewrite-percentage 0"); err != nil {
		return st, err
	}
	if st.origin, err = openOrigin(st.ledger, s.Seed); err != nil {
		return st, err
	}
	cfg := broker.DefaultConfig()
	cfg.URL, cfg.MaxOpen = st.redis.URL, 20
	if st.broker, err = broker.Open(ctx, cfg, zerolog.Nop()); err != nil {
		return st, err
	}
	if st.client, err = client.New(st.broker, client.Config{QueueLimit: 100_000, BulkLimit: 100_000}); err != nil {
		return st, err
	}
	st.fleet = &fleet{settings: s, url: st.redis.URL, dir: dir, ledger: st.ledger}
	return st, st.fleet.launch(s.Workers)
}

// close ends what was started, and what still runs of it at once.
func (st *stage) close() {
	if st.fleet != nil {
		st.fleet.killAll()
	}
	if st.client != nil {
		st.client.Close()
	}
	if st.broker != nil {
		st.broker.Close()
	}
	if st.origin != nil {
		st.origin.close()
	}
	if st.redis != nil {
		st.redis.Kill()
	}
	if st.ledger != nil {
		st.ledger.close() //nolint:errcheck // whoever judges has closed it before
	}
}
