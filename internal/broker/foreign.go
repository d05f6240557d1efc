package broker

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// Foreign tells that under a key lies something else than is read from it.
// Whoever put it there: it is nothing of ours, and must not keep anything else
// from being read.
func Foreign(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// Trouble is the first error of commands sent together that is none of a key: not
// that it is not there, nor that it is foreign.
func Trouble(cmds []redis.Cmder, err error) error {
	if !Foreign(err) && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !Foreign(err) && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
