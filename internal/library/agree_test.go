package library

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func xadd(id string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: logKey, Values: []string{idField, id}}
}

// Two replicas, one that saw every change as it came and one that read the
// result at once, have other segments and other deleted entries. They must
// answer alike, to the last bit of the scores.
func TestReplicas_AgreeWhateverTheirBatches(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	w, steady := newWriter(t, s), run(t, s, t.TempDir())
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("camera picture film lens light shadow color depth focus frame motion sound useState app.json")
	text := func(n int) string {
		var out []string
		for range n {
			out = append(out, words[rng.IntN(len(words))])
		}
		return strings.Join(out, " ")
	}
	var token string
	for i := range 300 {
		uri := fmt.Sprintf("page-%d", rng.IntN(80))
		token = put(t, w, page(uri, text(2), text(1+rng.IntN(30)), text(1+rng.IntN(5)), text(3)))
		if i%7 == 0 {
			var err error
			if token, err = w.Delete(t.Context(), "", fmt.Sprintf("page-%d", rng.IntN(80))); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 0 {
			steady.reach(token)
		}
	}
	sudden := run(t, s, t.TempDir())
	steady.reach(token)
	sudden.reach(token)
	for _, q := range append(words, "camera lens", "light camra", "focos depht motion", "state", "sound film color frame") {
		query := Query{Text: q, Limit: 10, Weights: plainWeights, Fuzzy: true, Facets: []string{"document"}}
		a, errA := steady.Search(t.Context(), query)
		b, errB := sudden.Search(t.Context(), query)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if len(a.Hits) == 0 || !reflect.DeepEqual(a, b) {
			t.Errorf("search %q:\n got %+v\nwant %+v", q, a, b)
		}
	}
}
