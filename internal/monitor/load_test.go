//go:build browser

package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/tasks"
)

// load plays a yard's day: tasks come in waves, nodes take them, memory goes
// up and down. The tasks are real; that they are worked on is played.
type load struct {
	*testYard
	random *rand.Rand
	nodes  []*broker.Node
	age    time.Duration
}

func newLoad(y *testYard, nodes int) *load {
	l := &load{testYard: y, random: rand.New(rand.NewPCG(1, 2))}
	for i := range nodes {
		n := &broker.Node{
			ID: fmt.Sprintf("yard-%d-%05d", i+1, 48213+917*i), Host: fmt.Sprintf("yard-%d", i+1), PID: 1, Version: "0.9.0",
			State: "running", Isolation: "full", StartedAt: y.clock.Add(-time.Duration(i+1) * 47 * time.Minute),
			MemoryLimit: 512 << 20, Kinds: map[string]broker.NodeKind{},
		}
		for _, k := range tasks.KindNames() {
			n.Kinds[k] = broker.NodeKind{Slots: 4}
		}
		l.nodes = append(l.nodes, n)
	}
	return l
}

// step plays dt of the day, up to the yard's clock.
func (l *load) step(dt time.Duration) {
	l.age += dt
	speed := map[string]float64{"search": 22, "sdk_fetch": 4, "config_gen": 9, "document_parse": 6}
	for i, kind := range tasks.KindNames() {
		wave := 1 + 0.45*math.Sin(l.age.Minutes()/7+float64(i)) + 0.25*l.random.NormFloat64()
		l.arrive(kind, max(0, speed[kind]*wave*dt.Seconds()))
		l.serve(kind, speed[kind]*1.12*dt.Seconds(), wave)
	}
	for i, n := range l.nodes {
		l.beat(i, n)
	}
}

func (l *load) arrive(kind string, n float64) {
	info, err := l.client.Queues(l.tb.Context())
	if err != nil {
		l.tb.Fatal(err)
	}
	for _, q := range info {
		if room := int(480 - q.Waiting()); q.Name == kind && room > 0 {
			l.enqueue(kind, min(room, int(n)))
		}
	}
	if kind == "document_parse" && l.random.IntN(60) == 0 {
		l.enqueue(kind, 900, tasks.WithQueue("bulk"))
	}
	if l.random.IntN(40) == 0 {
		l.enqueue(kind, 1, tasks.WithDelay(time.Hour))
	}
}

// serve takes tasks off the queues and counts them, as a worker's scripts do.
func (l *load) serve(kind string, n, wave float64) {
	ctx, c := l.tb.Context(), l.broker.Client()
	for _, queue := range []string{kind, tasks.BulkQueue(kind)} {
		ids, err := c.RPopCount(ctx, broker.QueueKey(queue, "pending"), int(n)+1).Result()
		if err != nil {
			continue // it is empty
		}
		failed := l.random.IntN(len(ids)/25 + 1)
		c.IncrBy(ctx, broker.QueueKey(queue, "processed"), int64(len(ids)))
		c.IncrBy(ctx, broker.QueueKey(queue, "failed"), int64(failed))
		for i, id := range ids {
			c.Del(ctx, broker.TaskKey(queue, id))
			node := l.nodes[i%len(l.nodes)]
			k := node.Kinds[kind]
			k.Completed++
			node.Kinds[kind] = k
		}
		node := l.nodes[l.random.IntN(len(l.nodes))]
		k := node.Kinds[kind]
		k.Failed += int64(failed)
		node.Kinds[kind] = k
	}
	active := broker.QueueKey(kind, "active")
	c.Del(ctx, active)
	for _, node := range l.nodes {
		k := node.Kinds[kind]
		k.Busy = min(k.Slots, max(0, int(2.2*wave+l.random.NormFloat64())))
		node.Kinds[kind] = k
		for i := range k.Busy {
			c.LPush(ctx, active, fmt.Sprintf("%s-%d", node.ID, i))
		}
	}
}

func (l *load) beat(i int, n *broker.Node) {
	t := l.age.Minutes()
	heap := 60 + 25*math.Sin(t/3+float64(i)) + 18*math.Mod(t*1.7+float64(i)*0.3, 1) + 3*l.random.NormFloat64()
	if i == 2 { // one of them leaks
		heap += 5.2 * math.Mod(t, 60)
	}
	n.HeapLive = int64(heap * (1 << 20))
	n.RSS = int64((heap*1.18 + 62) * (1 << 20))
	n.CPUPercent = 40 + 25*math.Sin(t/5+float64(i)) + 5*l.random.NormFloat64()
	n.Goroutines, n.OpenFiles = 61+l.random.IntN(30), 34+l.random.IntN(9)
	n.SeenAt = l.clock
	if err := l.broker.PutNode(l.tb.Context(), *n); err != nil {
		l.tb.Fatal(err)
	}
}
