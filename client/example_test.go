package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/client"
	"github.com/jobyard/jobyard/internal/broker"
	"github.com/jobyard/jobyard/internal/worker"
	"github.com/jobyard/jobyard/tasks"
)

// openYard stands for a yard that runs elsewhere: a private Redis and a worker
// that answers every search with its query.
func openYard(ctx context.Context) (redisURL string, closeYard func()) {
	e, err := broker.StartEmbedded(ctx, broker.EmbeddedConfig{Dir: tempDir()})
	if err != nil {
		log.Fatal(err)
	}
	bc := broker.DefaultConfig()
	bc.URL = e.URL
	b, err := broker.Open(ctx, bc, zerolog.Nop())
	if err != nil {
		log.Fatal(err)
	}
	jobs := worker.Jobs{}
	worker.Register(jobs, tasks.Search, func(_ context.Context, p tasks.SearchPayload) (tasks.SearchResult, error) {
		return tasks.SearchResult{Hits: []tasks.SearchHit{{Title: p.Query}}, Total: 1}, nil
	})
	cfg := worker.DefaultConfig()
	cfg.Slots = map[string]int{"search": 2}
	w, err := worker.New(cfg, b, &worker.Registry{Jobs: jobs}, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return e.URL, func() {
		cancel()
		if err := <-done; err != nil {
			log.Print(err)
		}
		b.Close()
		e.Close()
	}
}

func ExampleDo() {
	ctx := context.Background()
	url, closeYard := openYard(ctx)
	defer closeYard()
	cfg := client.DefaultConfig()
	cfg.RedisURL = url
	yard, err := client.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer yard.Close()

	found, err := client.Do(ctx, yard, tasks.Search, tasks.SearchPayload{Query: "camera"}, tasks.WithTimeout(5*time.Second))
	var failed *tasks.Error
	switch {
	case errors.As(err, &failed):
		fmt.Println("the task failed:", failed.Reason)
	case err != nil:
		fmt.Println("no answer:", err)
	default:
		fmt.Println(found.Total, found.Hits[0].Title)
	}
	// Output: 1 camera
}

func ExampleEnqueue() {
	ctx := context.Background()
	url, closeYard := openYard(ctx)
	defer closeYard()
	cfg := client.DefaultConfig()
	cfg.RedisURL = url
	yard, err := client.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer yard.Close()

	// The same id again gives the same task: a caller may repeat itself.
	for range 2 {
		if _, err := client.Enqueue(ctx, yard, tasks.Search, tasks.SearchPayload{Query: "maps"}, tasks.WithID("order-17")); err != nil {
			fmt.Println(err)
			return
		}
	}
	found, err := client.Wait(ctx, yard, tasks.Search, "order-17")
	fmt.Println(found.Hits[0].Title, err)

	_, err = client.Enqueue(ctx, yard, tasks.Search, tasks.SearchPayload{Query: ""})
	fmt.Println(err)
	// Output:
	// maps <nil>
	// payload.query: must not be empty
}
